// Made-up activations for `npm run bench -- measure`: a random dictionary, and a store of rows that it explains, on disk in bf16.
//
// Every row is a pure function of its index, so a longer store begins with the rows of a shorter one, and is made a shard at a
// time. A row is a sum of planted latents' decoder rows, of which some are drawn far more often than others, and noise; an eighth
// of the latents lives in the base alone, an eighth in the fine-tune alone.

import type { Dictionary } from "../src/dictionary/dictionary.ts";
import { createEncoder } from "../src/dictionary/encode.ts";
import { latentWeights } from "../src/dictionary/latent-norms.ts";
import { createRng } from "../src/numerics/rng.ts";
import { type DocumentRecord, N_DOCUMENT_GROUPS, ROLES, type RowTable, SPLITS } from "../src/store/rows.ts";
import type { Site } from "../src/store/store-contract.ts";
import { createStoreWriter } from "../src/store/store-writer.ts";

export interface MeasureCase {
  /** Per site; two sites. */
  dModel: number;
  nLatents: number;
  /** Mean codes a row that the threshold is set for. */
  l0: number;
  /** Latents put into a row; default: l0. */
  planted?: number;
}

const NOISE = 0.1;
/** Of rows that the threshold is chosen on. */
const SAMPLE_ROWS = 512;
const POOL = 2 ** 20;
const SHORTEST_DOCUMENT = 32;
const LONGEST_DOCUMENT = 256;
/** Rows of a chat document from one template token to the next. */
const TURN_ROWS = 24;
const N_TOKENS = 5000;
const DATASETS = ["bench-text", "bench-chat"];
const SLOTS = ["none", "user", "assistant"];

/** Standard normals, read from any place: a random number each would cost more than all else. */
const pool = (() => {
  const rng = createRng(0, "bench measure");
  return Float32Array.from({ length: POOL }, (_, i) => rng.normal(0, i));
})();

/** u32, uniform: a finaliser of MurmurHash3 over two counters. */
function scramble(a: number, b: number): number {
  let h = (Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
const uniform = (a: number, b: number): number => scramble(a, b) / 2 ** 32;

export function sitesOf({ dModel }: MeasureCase): Site[] {
  return [
    { name: "base-L1", model: "base", layer: 1, width: dModel },
    { name: "finetuned-L1", model: "finetuned", layer: 1, width: dModel },
  ];
}

/** Norms of a latent's decoder row, [base, finetuned]. */
function sideNorms(latent: number): [number, number] {
  if (latent % 8 === 1) return [1, 0.02];
  if (latent % 8 === 2) return [0.02, 1];
  return latent % 8 === 3 ? [0.4, 1] : [1, 1];
}

/** Encoder rows are decoder rows over their squared norm; every 101st latent is silent. The threshold is set by `withThreshold`. */
export function drawDictionary(which: MeasureCase): Dictionary {
  const { dModel, nLatents } = which;
  const width = 2 * dModel;
  const decoderWeight = new Float32Array(nLatents * width);
  const encoderWeight = new Float32Array(nLatents * width);
  for (let latent = 0; latent < nLatents; latent += 1) {
    const [base, finetuned] = sideNorms(latent).map((norm) => norm / Math.sqrt(dModel));
    const squared = dModel * (base * base + finetuned * finetuned);
    const start = (latent * 40_503) % POOL;
    for (let c = 0, at = latent * width; c < dModel; c += 1, at += 1) {
      decoderWeight[at] = base * pool[(start + c) % POOL];
      decoderWeight[at + dModel] = finetuned * pool[(start + (latent % 4 === 0 ? POOL / 2 : 0) + c) % POOL];
    }
    for (let at = latent * width; at < (latent + 1) * width; at += 1)
      encoderWeight[at] = decoderWeight[at] / squared;
  }
  return {
    ...{ sites: sitesOf(which), nLatents, width, encoderWeight, decoderWeight, k: which.l0 },
    encoderBias: Float32Array.from({ length: nLatents }, (_, j) => (j % 101 === 0 ? -1000 : 0)),
    decoderBias: Float32Array.from({ length: width }, (_, c) => 0.05 * pool[c]),
    inferenceThreshold: 0,
    normaliser: undefined,
  };
}

/** Writes row number `row` to target [width]. */
function fillRow(which: MeasureCase, dictionary: Dictionary, row: number, target: Float32Array): void {
  const { width, nLatents, decoderWeight, decoderBias } = dictionary;
  const noise = scramble(row, 0) % (POOL - width);
  for (let c = 0; c < width; c += 1) target[c] = decoderBias[c] + NOISE * pool[noise + c];
  const planted = which.planted ?? which.l0;
  for (let i = 0; i < planted; i += 1) {
    const rank = Math.floor(nLatents * uniform(row, 2 * i + 1) ** 2);
    const latent = (rank * 7919) % nLatents;
    const [base, finetuned] = sideNorms(latent);
    const strength = (2 * (1 + uniform(row, 2 * i + 2))) / (base + finetuned);
    for (let c = 0, at = latent * width; c < width; c += 1, at += 1)
      target[c] += strength * decoderWeight[at];
  }
}

/** The dictionary with the threshold that keeps l0 codes a row, as a sample of the rows says. */
export async function withThreshold(which: MeasureCase, dictionary: Dictionary): Promise<Dictionary> {
  const { width } = dictionary;
  const x = new Float32Array(SAMPLE_ROWS * width);
  for (let i = 0; i < SAMPLE_ROWS; i += 1)
    fillRow(which, dictionary, 61 * i, x.subarray(i * width, (i + 1) * width));
  const encoder = await createEncoder(dictionary, { maxRows: SAMPLE_ROWS });
  const { latent, code } = await encoder.encode(x, SAMPLE_ROWS);
  await encoder.dispose();
  const weight = latentWeights(dictionary);
  const activations = code.map((f, entry) => f * weight[latent[entry]]).sort();
  return { ...dictionary, inferenceThreshold: activations[activations.length - which.l0 * SAMPLE_ROWS] };
}

/** Documents of 32 to 256 rows in turn of plain text and chat, all held out; the first row of each is BOS. */
function drawRows(nRows: number): { rows: RowTable; documents: DocumentRecord[] } {
  const documents: DocumentRecord[] = [];
  for (let rowStart = 0; rowStart < nRows; ) {
    const index = documents.length;
    const length = SHORTEST_DOCUMENT + (scramble(index, 7) % (LONGEST_DOCUMENT - SHORTEST_DOCUMENT + 1));
    const rowEnd = Math.min(nRows, rowStart + length);
    const [dataset, group] = [DATASETS[index % 2], scramble(index, 8) % N_DOCUMENT_GROUPS];
    documents.push({
      ...{ index, id: `document-${index}`, dataset, split: "heldout", group, rowStart, rowEnd },
      ...{ text: "", turns: [] },
    });
    rowStart = rowEnd;
  }
  const rows: RowTable = {
    nRows,
    document: new Uint32Array(nRows),
    turn: new Int16Array(nRows).fill(-1),
    position: new Uint16Array(nRows),
    split: new Uint8Array(nRows).fill(SPLITS.indexOf("heldout")),
    role: new Uint8Array(nRows).fill(ROLES.indexOf("text")),
    slot: new Uint8Array(nRows),
    dataset: new Uint8Array(nRows),
    charStart: new Uint32Array(nRows),
    charEnd: new Uint32Array(nRows),
    tokenBase: Uint32Array.from({ length: nRows }, (_, row) => scramble(row, 9) % N_TOKENS),
    tokenFinetuned: Uint32Array.from({ length: nRows }, (_, row) => scramble(row, 9) % N_TOKENS),
  };
  for (const { index, rowStart, rowEnd } of documents) {
    const isChat = index % 2 === 1;
    rows.document.fill(index, rowStart, rowEnd);
    rows.dataset.fill(index % 2, rowStart, rowEnd);
    for (let row = rowStart; row < rowEnd; row += 1) {
      rows.position[row] = row - rowStart;
      if (!isChat) continue;
      const turn = Math.floor((row - rowStart) / TURN_ROWS);
      const isTemplate = (row - rowStart) % TURN_ROWS < 2;
      rows.turn[row] = turn;
      rows.role[row] = ROLES.indexOf(isTemplate ? "template" : turn % 2 === 0 ? "user" : "assistant");
      if (isTemplate) rows.slot[row] = 1 + (turn % 2);
    }
    rows.role[rowStart] = ROLES.indexOf("bos");
  }
  return { rows, documents };
}

/** Writes a finished store of nRows rows of the case's data. */
export async function writeGeneratedStore(
  folder: string,
  { which, dictionary, nRows }: { which: MeasureCase; dictionary: Dictionary; nRows: number },
): Promise<void> {
  const { dModel } = which;
  const { width } = dictionary;
  const sites = sitesOf(which);
  const writer = await createStoreWriter({
    ...{ folder, name: "bench", ...drawRows(nRows), datasets: DATASETS, slots: SLOTS, tokenizerHash: "none" },
    sites: sites.map((site) => ({ site, dtype: "bf16" as const })),
    identity: { kind: "bench measure" },
  });
  const row = new Float32Array(width);
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    const { rowStart, rowEnd } = writer.shardRange(shard);
    const parts = sites.map(() => new Float32Array((rowEnd - rowStart) * dModel));
    for (let i = 0; i < rowEnd - rowStart; i += 1) {
      fillRow(which, dictionary, rowStart + i, row);
      for (const [side, part] of parts.entries())
        part.set(row.subarray(side * dModel, (side + 1) * dModel), i * dModel);
    }
    for (const [side, site] of sites.entries()) await writer.writeShard(site.name, shard, parts[side]);
  }
  await writer.finish();
}
