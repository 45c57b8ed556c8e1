// Harvest speed of a SmolLM-135M-shaped model to layer 15, store writing included, against transformers on the same ids.
//
// Ours is harvestSite over a real store writer: forward, bf16 store, checksums, fsync; it loads the model anew in every
// pass, and its clock starts when that is done. The peer (harvest-peer.py) runs the same sequences in data order through
// the same blocks and keeps bf16 rows in memory; it writes nothing, which favours it. It tries both attention modes at
// several batch sizes first and races with its fastest. Passes alternate, the first of each is thrown away; medians of
// five with minimum and maximum.

import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { generateComparisonCorpus } from "../organisms/minichat/generator/index.ts";
import { type BuiltRows, buildRows } from "../src/harvest/build-rows.ts";
import { harvestSite } from "../src/harvest/harvest-site.ts";
import { type Checkpoint, openCheckpoint } from "../src/lm/checkpoint.ts";
import { createRng } from "../src/numerics/rng.ts";
import { packageRoot } from "../src/package-root.ts";
import { createStoreWriter } from "../src/store/store-writer.ts";
import { loadChatTemplate } from "../src/text/chat-template.ts";
import { createDocumentTokenizer } from "../src/text/tokenize-document.ts";
import { loadTokenizer } from "../src/text/tokenizer.ts";
import { type Peer, type PeerWay, startPeer } from "./harvest-peer.ts";
import { SMOLLM_SHAPE, writeSmolLmShaped } from "./random-checkpoint.ts";
import type { BenchRow } from "./run.ts";
import { median } from "./statistics.ts";

const LAYER = 15;
const PASSES = 5;
const BATCH_TOKENS = 1024;
const PEER_WAYS: PeerWay[] = [4, 8, 16].flatMap((batch) => [
  { mode: "eager", batch },
  { mode: "sdpa", batch },
]);

/** Tokens of each sequence. real-lengths: log-normal, median 120, sigma 0.8, 16 to 512: short chats and some long ones. */
const CASES: Record<string, (uniform: () => number) => number[]> = {
  "equal-256": () => Array(24).fill(256),
  "real-lengths": (uniform) =>
    Array.from({ length: 40 }, () => {
      const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
      return Math.round(Math.min(512, Math.max(16, 120 * Math.exp(0.8 * normal))));
    }),
};

function drawSequences(name: string): number[][] {
  const rng = createRng(1, `bench harvest ${name}`);
  let drawn = 0;
  const uniform = (): number => rng.uniform(0, drawn++);
  return CASES[name](uniform).map((length) =>
    Array.from({ length }, () => Math.floor(uniform() * SMOLLM_SHAPE.vocab_size)),
  );
}

function asRows(sequences: number[][]): BuiltRows {
  return buildRows(
    sequences.map((ids, i) => ({
      ...{ id: `d${i}`, dataset: "bench", split: "train", hash: "", group: i % 64, text: "", turns: [] },
      ...{ tokenBase: Uint32Array.from(ids), tokenFinetuned: Uint32Array.from(ids) },
      ...{ charStart: new Uint32Array(ids.length), charEnd: new Uint32Array(ids.length) },
      ...{ role: new Uint8Array(ids.length), turn: new Int16Array(ids.length).fill(-1) },
      slot: Array(ids.length).fill("none"),
    })),
  );
}

interface OurPass {
  seconds: number;
  /** Of these, waiting for shards to be written. */
  writing: number;
}

/** One pass into a fresh store. The clock starts at the first progress report, which comes before the model is loaded. */
async function ourPass(checkpoint: Checkpoint, built: BuiltRows): Promise<OurPass> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-store-"));
  const site = {
    name: `base-L${LAYER}`,
    model: "base" as const,
    layer: LAYER,
    width: SMOLLM_SHAPE.hidden_size,
  };
  const writer = await createStoreWriter({
    ...{ ...built, folder, name: "bench", tokenizerHash: "", identity: {} },
    sites: [{ site, dtype: "bf16" }],
  });
  let [started, writing] = [0, 0];
  try {
    await harvestSite({
      ...{ site, checkpoint, documents: built.documents, tokens: built.rows.tokenBase },
      batchTokens: BATCH_TOKENS,
      writer: {
        ...writer,
        async writeShard(...shard) {
          const from = performance.now();
          await writer.writeShard(...shard);
          writing += performance.now() - from;
        },
      },
      onLoaded: () => {
        started = performance.now();
      },
    });
    return { seconds: (performance.now() - started) / 1000, writing: writing / 1000 };
  } finally {
    await writer.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fastestWay(peer: Peer): Promise<PeerWay> {
  const timed: { way: PeerWay; seconds: number }[] = [];
  for (const way of PEER_WAYS) timed.push({ way, seconds: await peer.pass(way) });
  return timed.reduce((a, b) => (b.seconds < a.seconds ? b : a)).way;
}

async function benchCase(name: string, folder: string, checkpoint: Checkpoint): Promise<BenchRow[]> {
  const sequences = drawSequences(name);
  const built = asRows(sequences);
  const { nRows } = built.rows;
  const threads = cpus().length;
  const peer = await startPeer({ folder, sequences, layer: LAYER, threads });
  const ours: OurPass[] = [];
  const theirs: number[] = [];
  let way: PeerWay | undefined;
  try {
    if (peer) way = await fastestWay(peer);
    for (let pass = 0; pass <= PASSES; pass += 1) {
      const mine = await ourPass(checkpoint, built);
      const other = peer && way ? await peer.pass(way) : undefined;
      if (pass === 0) continue;
      ours.push(mine);
      if (other !== undefined) theirs.push(other);
    }
  } finally {
    await peer?.stop();
  }
  const rate = median(ours.map(({ seconds }) => nRows / seconds));
  const peerRate = theirs.length > 0 ? nRows / median(theirs) : null;
  const peerName =
    peer && way
      ? `transformers ${way.mode}, ${way.batch} a batch; ${peer.versions}`
      : "transformers not run: TUNEDIFF_PYTHON is not set";
  const range = (seconds: number[]): string =>
    `${Math.round(nRows / Math.max(...seconds))}–${Math.round(nRows / Math.min(...seconds))}`;
  console.error(`${name}: ours ${range(ours.map(({ seconds }) => seconds))} tokens/s`);
  if (theirs.length > 0) console.error(`${name}: ${peerName} ${range(theirs)} tokens/s`);
  return [
    {
      ...{ case: name, metric: "forward to layer 15 and store", ours: rate, peer: peerRate, peerName },
      ...{ ratio: peerRate === null ? null : rate / peerRate, unit: "tokens/s" },
    },
    {
      ...{ case: name, metric: "of it writing the store", peer: null, peerName: null, ratio: null },
      ...{ ours: median(ours.map(({ seconds, writing }) => writing / seconds)), unit: "share" },
    },
  ];
}

/** Tokenising speed, templates and masks included, on the demo's chats and prose with the bundled tokenizer. */
async function tokenizeRate(): Promise<number> {
  const folder = join(packageRoot(), "organisms", "minichat", "finetuned");
  const tokenizer = await loadTokenizer(folder);
  const template = await loadChatTemplate(folder, tokenizer.namedTokens);
  const documents = [
    ...generateComparisonCorpus({ seed: 1, chats: 1000, worldDocuments: 300, bibleParagraphs: 100 }),
  ];
  const { tokenize } = createDocumentTokenizer({ tokenizer, template });
  await tokenize(documents.slice(0, 50));
  const started = performance.now();
  const tokenized = await tokenize(documents);
  const tokens = tokenized.reduce((sum, { tokenBase }) => sum + tokenBase.length, 0);
  return (tokens * 1000) / (performance.now() - started);
}

export async function benchHarvest(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  try {
    await writeSmolLmShaped(folder, "BF16");
    const checkpoint = await openCheckpoint(folder);
    try {
      const rows: BenchRow[] = [];
      for (const name of Object.keys(CASES)) rows.push(...(await benchCase(name, folder, checkpoint)));
      const perToken = 1 / (await tokenizeRate());
      const none = { peer: null, peerName: null, ratio: null };
      rows.push(
        {
          case: "tokenising",
          metric: "speed, minichat tokenizer",
          ours: 1 / perToken,
          ...none,
          unit: "tokens/s",
        },
        {
          ...{ case: "tokenising", metric: "of tokenising and two such models", ...none, unit: "share" },
          ours: perToken / (perToken + 2 / rows[0].ours),
        },
      );
      return rows;
    } finally {
      await checkpoint.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
