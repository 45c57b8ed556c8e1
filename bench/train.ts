// One training step, ours against PyTorch (train-peer.py) on the same batch, and what a step is made of.
//
// Peers: reference-dense, the field's dense autograd; sparse-torch, a fused encoder and gathered decode as sparsify has them.
// Steps alternate, two of each are thrown away, medians of five are reported with their range. Then: the parts of a step, its
// cost against size (train-cost.ts), feeding from a store (train-feeding.ts), peak memory (train-memory.ts).
// `npm run bench -- train` does all; TUNEDIFF_BENCH_CASES=step-512,l1-512 names cases, "shards", "cost", "feeding" and "memory" are cases too.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type PythonPeer, startPython } from "./python-peer.ts";
import type { BenchRow } from "./run.ts";
import { median } from "./statistics.ts";
import { drawBatch, openEngine, partsOf, stepOnce, type TrainCase } from "./train-cases.ts";
import { benchCost } from "./train-cost.ts";
import { benchFeeding } from "./train-feeding.ts";
import { benchTrainMemory } from "./train-memory.ts";

const STEPS = 5;
const WARM_STEPS = 2;

/** As in the paper for Gemma-2-2B; more than a single WASM memory holds. Only when named: it takes 13 GB. */
const PAPER: TrainCase = { name: "paper-2304", dModel: 2304, nLatents: 73_728, k: 100, batch: 2048 };

const CASES: (TrainCase & { peers: ("reference-dense" | "sparse-torch")[] })[] = [
  {
    name: "step-128",
    dModel: 128,
    nLatents: 2048,
    k: 16,
    batch: 2048,
    peers: ["reference-dense", "sparse-torch"],
  },
  {
    name: "step-512",
    dModel: 512,
    nLatents: 16_384,
    k: 64,
    batch: 2048,
    peers: ["reference-dense", "sparse-torch"],
  },
  {
    name: "step-2304",
    dModel: 2304,
    nLatents: 18_432,
    k: 100,
    batch: 1024,
    peers: ["reference-dense", "sparse-torch"],
  },
  {
    ...{ name: "l1-512", dModel: 512, nLatents: 16_384, k: 64, batch: 2048, peers: ["reference-dense"] },
    sparsity: { kind: "reluL1", penalty: 0.04 },
  },
];

const range = (seconds: number[]): string =>
  `${Math.min(...seconds).toFixed(3)}–${Math.max(...seconds).toFixed(3)} s`;

async function benchCase(which: (typeof CASES)[number]): Promise<BenchRow[]> {
  const threads = cpus().length;
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const x = drawBatch(which);
  writeFileSync(join(folder, "batch.f32"), x);
  const rows: BenchRow[] = [];
  try {
    for (const peerName of which.peers) {
      const setup = { ...which, penalty: which.sparsity?.kind === "reluL1" ? which.sparsity.penalty : 0 };
      const peer = await startPython("train-peer.py", { ...setup, mode: peerName, folder, threads });
      rows.push(await againstPeer({ which, x, threads, peer, peerName, isFirst: rows.length === 0 }));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

/** No peer. */
async function alone(): Promise<Omit<Parameters<typeof againstPeer>[0], "which">> {
  const x = drawBatch(PAPER);
  return { x, threads: cpus().length, peer: undefined, peerName: "no peer", isFirst: true };
}

async function againstPeer(options: {
  which: TrainCase;
  x: Float32Array;
  threads: number;
  peer: PythonPeer | undefined;
  peerName: string;
  isFirst: boolean;
}): Promise<BenchRow> {
  const { which, x, threads, peer, peerName, isFirst } = options;
  const engine = await openEngine(which, threads);
  const [ours, theirs]: [number[], number[]] = [[], []];
  const parts: Record<string, number>[] = [];
  try {
    for (let step = 0; step < STEPS + WARM_STEPS; step += 1) {
      const mine = await stepOnce(engine, x, which);
      const other = Number((await peer?.ask({}))?.seconds);
      if (step < WARM_STEPS) continue;
      ours.push(mine);
      parts.push(await partsOf(engine));
      if (peer) theirs.push(other);
    }
  } finally {
    await peer?.stop();
    await engine.dispose();
  }
  console.error(`${which.name}: ours ${range(ours)}${peer ? `, ${peerName} ${range(theirs)}` : ""}`);
  if (isFirst) printParts(which.name, parts);
  const peerSeconds = peer ? median(theirs) : null;
  return {
    ...{ case: which.name, metric: "one step", ours: median(ours), peer: peerSeconds, unit: "s" },
    peerName: peer
      ? `${peerName}; torch ${peer.greeting.torch}`
      : `${peerName} not run: TUNEDIFF_PYTHON is not set`,
    ratio: peerSeconds === null ? null : peerSeconds / median(ours),
  };
}

/** Shares of the median step; "dense" is the encoder's product (ReLU + L1: all products outside "gradients"). */
function printParts(name: string, parts: Record<string, number>[]): void {
  const medians = Object.keys(parts[0]).map((part): [string, number] => [
    part,
    median(parts.map((step) => step[part])),
  ]);
  const total = medians.reduce((sum, [, ms]) => sum + ms, 0);
  const shown = medians.map(
    ([part, ms]) => `${part} ${ms.toFixed(0)} ms (${((100 * ms) / total).toFixed(0)} %)`,
  );
  console.error(`${name}: ${shown.join(", ")}`);
}

/** step-512 on a shard a thread against one shard whose product has all threads: the dense part, and the whole step. */
async function benchShards(): Promise<BenchRow[]> {
  const which = CASES[1];
  const x = drawBatch(which);
  const threads = cpus().length;
  const sides = [await openEngine(which, threads), await openEngine(which, threads, 1)];
  const dense: number[][] = [[], []];
  const steps: number[][] = [[], []];
  for (let step = 0; step < STEPS + WARM_STEPS; step += 1) {
    for (const [side, engine] of sides.entries()) {
      const seconds = await stepOnce(engine, x, which);
      if (step < WARM_STEPS) continue;
      steps[side].push(seconds);
      dense[side].push((await partsOf(engine)).dense / 1000);
    }
  }
  await Promise.all(sides.map((engine) => engine.dispose()));
  const row = (metric: string, [ours, one]: number[]): BenchRow => ({
    ...{ case: `shards ${which.name}`, metric, ours, peer: one, ratio: one / ours, unit: "s" },
    peerName: `one shard, ${threads} threads`,
  });
  return [row("dense product", dense.map(median)), row("one step", steps.map(median))];
}

export async function benchTrain(): Promise<BenchRow[]> {
  const wanted = process.env.TUNEDIFF_BENCH_CASES?.split(",");
  const isWanted = (name: string): boolean => wanted === undefined || wanted.includes(name);
  const rows: BenchRow[] = [];
  for (const which of CASES) if (isWanted(which.name)) rows.push(...(await benchCase(which)));
  if (wanted?.includes(PAPER.name)) rows.push(await againstPeer({ which: PAPER, ...(await alone()) }));
  if (isWanted("shards")) rows.push(...(await benchShards()));
  if (isWanted("feeding")) rows.push(...(await benchFeeding()));
  if (isWanted("memory")) rows.push(...benchTrainMemory());
  if (isWanted("cost")) rows.push(...(await benchCost()));
  return rows;
}
