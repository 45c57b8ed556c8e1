// The measuring of a whole dictionary, ours against PyTorch (measure-peer.py) on the same rows and weights.
//
// Peers: reference, the formula as the paper's scripts run it, a pass a target and an array a latent for the error targets, timed on a
// subset of latents and scaled; dense-identity, one dense pass that uses the identity of the error betas. Ours: measure() from a store on
// disk to its last file, intervals, examples and tables included; peers: their sums alone, from memory. Turns alternate, medians of five
// are reported with their range. Before, the dense peer's betas must be ours. Then: cost against size (measure-shape.ts),
// memory against rows (measure-memory.ts). TUNEDIFF_BENCH_CASES=peers,shape,memory names parts; TUNEDIFF_BENCH_ROWS: other than 200,000.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { LatentScaling } from "../src/measure/measure-contract.ts";
import {
  encodeOnce,
  type MeasuredOnce,
  measureOnce,
  type PreparedCase,
  prepareCase,
  rowsToEncode,
} from "./measure-cases.ts";
import { benchMeasureMemory } from "./measure-memory.ts";
import { benchShape } from "./measure-shape.ts";
import type { MeasureCase } from "./measure-store.ts";
import { type PythonPeer, startPython } from "./python-peer.ts";
import type { BenchRow } from "./run.ts";
import { median } from "./statistics.ts";

const CASE: MeasureCase = { dModel: 512, nLatents: 16_384, l0: 64 };
const ROWS = Number(process.env.TUNEDIFF_BENCH_ROWS ?? 200_000);
const TURNS = 5;
/** Rows in the peers' memory: four batches of the dense one. */
const PEER_ROWS = Math.min(8192, ROWS);
/** Latents that the reference's error targets are timed on. */
const SUBSET = 512;
const REFERENCE_BATCHES = 4;
/** Latents that fired in fewer rows are not compared with the peer's. */
const COMPARED_FROM_ROWS = 20;
/** f32 sums of the peer against f64 of ours, relative to betas of about 1. */
const AGREEMENT = 1e-3;

interface Peers {
  dense: PythonPeer | undefined;
  reference: PythonPeer | undefined;
}

async function startPeers(prepared: PreparedCase, x: Float32Array, folder: string): Promise<Peers> {
  const { nLatents, encoderWeight, encoderBias, decoderWeight, decoderBias } = prepared.dictionary;
  const arrays = { rows: x, encoder: encoderWeight, encoderBias, decoder: decoderWeight, decoderBias };
  for (const [name, values] of Object.entries(arrays)) writeFileSync(join(folder, `${name}.f32`), values);
  const setup = {
    ...{ folder, nLatents, dModel: prepared.which.dModel, threads: cpus().length, subset: SUBSET },
    threshold: prepared.dictionary.inferenceThreshold,
  };
  return {
    dense: await startPython("measure-peer.py", { ...setup, mode: "dense-identity" }),
    reference: await startPython("measure-peer.py", { ...setup, mode: "reference" }),
  };
}

const BETAS = ["Activation", "Reconstruction", "Error"].flatMap((target) =>
  ["Base", "Finetuned"].map((model) => `beta${target}${model}` as keyof LatentScaling),
);

/** Throws when the dense peer's betas on the same rows are not ours. */
async function compareBetas(dense: PythonPeer, { measurement }: MeasuredOnce, folder: string): Promise<void> {
  const path = join(folder, "betas.f64");
  const { l0 } = await dense.ask({ betas: path });
  const betas = new Float64Array(new Uint8Array(readFileSync(path)).buffer);
  const { latents, summary } = measurement;
  let furthest = 0;
  let nCompared = 0;
  for (const { latent, frequency, decoderNormBase, decoderNormFinetuned, ...of } of latents) {
    if (frequency * summary.nRows < COMPARED_FROM_ROWS) continue;
    nCompared += 1;
    // Along a direction of norm 0.02 a beta is some fifty times as large.
    const scales = [decoderNormFinetuned, decoderNormBase];
    for (const [side, scaling] of [of.scalingFinetuned, of.scalingBase].entries()) {
      for (const [i, name] of BETAS.entries()) {
        const difference = Math.abs(scaling[name] - betas[(2 * latent + side) * BETAS.length + i]);
        furthest = Math.max(furthest, difference * Math.min(1, scales[side]));
      }
    }
  }
  if (!(furthest < AGREEMENT && nCompared > 0)) {
    throw new Error(
      `measure: the dense peer's betas are not ours: ${furthest} apart, ${nCompared} latents, L0 ${l0}`,
    );
  }
  console.error(
    `measure: betas of ${nCompared} latents within ${furthest.toExponential(1)} of the dense peer's`,
  );
}

async function benchPeers(): Promise<BenchRow[]> {
  const threads = cpus().length;
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const prepared = await prepareCase(CASE);
  let peers: Peers = { dense: undefined, reference: undefined };
  try {
    const [storeFolder, shortFolder] = [await prepared.store(ROWS), await prepared.store(PEER_ROWS)];
    const x = await rowsToEncode(shortFolder);
    peers = await startPeers(prepared, x, folder);
    const warm = await measureOnce(prepared, { storeFolder: shortFolder, threads });
    if (peers.dense) await compareBetas(peers.dense, warm, folder);
    await peers.reference?.ask({ nBatches: 1 });

    const [ours, pass, encoder]: number[][] = [[], [], []];
    const [dense, every, ofSubset]: number[][] = [[], [], []];
    for (let turn = 0; turn < TURNS; turn += 1) {
      const mine = await measureOnce(prepared, { storeFolder, threads });
      ours.push(perThousand(mine.seconds, ROWS));
      pass.push(perThousand(mine.passSeconds, ROWS));
      encoder.push(
        perThousand(await encodeOnce(prepared.dictionary, x, threads), x.length / (2 * CASE.dModel)),
      );
      const other = await peers.dense?.ask({});
      if (other) dense.push(perThousand(Number(other.seconds), Number(other.rows)));
      const third = await peers.reference?.ask({ nBatches: REFERENCE_BATCHES });
      if (third) {
        every.push(perThousand(Number(third.everySeconds), Number(third.rows)));
        ofSubset.push(perThousand(Number(third.subsetSeconds), Number(third.rows)));
      }
    }
    const scaled = every.map((seconds, i) => seconds + (ofSubset[i] * CASE.nLatents) / SUBSET);
    const series = { ours, "of these the pass": pass, "encoder alone": encoder, "dense-identity": dense };
    for (const [name, seconds] of Object.entries({ ...series, "reference, scaled": scaled }))
      printRange(name, seconds);
    const scaling = `error targets of ${SUBSET} latents timed and scaled to ${CASE.nLatents}, ${REFERENCE_BATCHES} batches to all rows`;
    if (peers.reference) console.error(`reference: ${scaling}`);
    const row = rowMaker(ours, peers);
    return [
      row("reference", scaled, `six passes, ${scaling}`),
      row(
        "reference, no error targets",
        every,
        "the same less the error targets, so nothing is scaled by latents",
      ),
      row("dense-identity", dense, "one dense pass"),
      alone("measure", `${ROWS} rows, whole measurement`, (median(ours) * ROWS) / 1000),
      alone("measure", "encoder alone, 1k rows", median(encoder)),
    ];
  } finally {
    await peers.dense?.stop();
    await peers.reference?.stop();
    await prepared.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

const perThousand = (seconds: number, rows: number): number => (1000 * seconds) / rows;

function printRange(name: string, seconds: number[]): void {
  if (seconds.length === 0) return;
  const [low, high] = [Math.min(...seconds), Math.max(...seconds)].map((value) => value.toFixed(4));
  console.error(`measure, s per 1k rows: ${name} ${median(seconds).toFixed(4)} (${low}–${high})`);
}

function rowMaker(
  ours: number[],
  { dense }: Peers,
): (name: string, peer: number[], what: string) => BenchRow {
  return (name, peer, what) => {
    const seconds = peer.length > 0 ? median(peer) : null;
    return {
      ...{ case: name, metric: "1k rows", ours: median(ours), peer: seconds, unit: "s" },
      peerName: dense ? `${what}; torch ${dense.greeting.torch}` : "not run: TUNEDIFF_PYTHON is not set",
      ratio: seconds === null ? null : seconds / median(ours),
    };
  };
}

function alone(name: string, metric: string, ours: number): BenchRow {
  return { case: name, metric, ours, peer: null, peerName: null, ratio: null, unit: "s" };
}

export async function benchMeasure(): Promise<BenchRow[]> {
  const wanted = process.env.TUNEDIFF_BENCH_CASES?.split(",");
  const isWanted = (name: string): boolean => wanted === undefined || wanted.includes(name);
  const rows: BenchRow[] = [];
  if (isWanted("peers")) rows.push(...(await benchPeers()));
  if (isWanted("shape")) rows.push(...(await benchShape()));
  if (isWanted("memory")) rows.push(...benchMeasureMemory());
  return rows;
}
