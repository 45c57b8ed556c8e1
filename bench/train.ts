// One training step, ours against dense autograd in PyTorch (train-peer.py), on the same batch.
//
// Random data of a few thousand directions with sparse coefficients, so that selection has something to choose. Steps
// alternate, two of each are thrown away, medians of five are reported. No feeding, no validation: the step alone.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createRng } from "../src/numerics/rng.ts";
import { createEngine } from "../src/training/engine.ts";
import { startPython } from "./python-peer.ts";
import type { BenchRow } from "./run.ts";

const STEPS = 5;
const WARM_STEPS = 2;

interface Case {
  name: string;
  /** Per site; two sites. */
  dModel: number;
  nLatents: number;
  k: number;
  batch: number;
}

const CASES: Case[] = [
  { name: "step-128", dModel: 128, nLatents: 2048, k: 16, batch: 2048 },
  { name: "step-512", dModel: 512, nLatents: 16_384, k: 64, batch: 2048 },
  { name: "step-2304", dModel: 2304, nLatents: 18_432, k: 100, batch: 1024 },
];

/** [batch, 2·dModel] f32: each row a sum of 16 of 512 directions, and a little noise; root mean square norm about 1 a site. */
function drawBatch({ name, dModel, batch }: Case): Float32Array {
  const rng = createRng(1, `bench train ${name}`);
  const width = 2 * dModel;
  const [nDirections, nActive] = [512, 16];
  const scale = 1 / Math.sqrt(dModel * nActive);
  const directions = Float32Array.from({ length: nDirections * width }, (_, i) => scale * rng.normal(0, i));
  const x = Float32Array.from({ length: batch * width }, (_, i) => 0.1 * scale * rng.normal(1, i));
  for (let row = 0; row < batch; row += 1) {
    for (let active = 0; active < nActive; active += 1) {
      const direction = Math.floor(rng.uniform(2, row * nActive + active) * nDirections) * width;
      for (let i = 0; i < width; i += 1) x[row * width + i] += directions[direction + i];
    }
  }
  return x;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function openOurs({ dModel, nLatents, k, batch }: Case, x: Float32Array) {
  const width = 2 * dModel;
  const engine = await createEngine({
    ...{ nLatents, width, batchRows: batch, largestK: k, auxLatents: 1, auxAlpha: 0 },
    siteOffsets: [0, dModel, width],
    deadAfterRows: Number.MAX_SAFE_INTEGER,
    threads: cpus().length,
  });
  const rng = createRng(0, "bench train init");
  const rows = Float32Array.from(
    { length: nLatents * width },
    (_, i) => (0.3 * rng.normal(0, i)) / Math.sqrt(dModel),
  );
  await engine.write("parameter", "decoderWeight", rows);
  await engine.write("parameter", "encoderWeight", rows);
  return {
    async step(): Promise<number> {
      const started = performance.now();
      const { gradientNorm } = await engine.backward(x, k);
      await engine.update({ learningRate: 1e-4, maxGradientNorm: 1, gradientNorm });
      return (performance.now() - started) / 1000;
    },
    dispose: () => engine.dispose(),
  };
}

async function benchCase(which: Case): Promise<BenchRow> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const x = drawBatch(which);
  writeFileSync(join(folder, "batch.f32"), x);
  const peer = await startPython("train-peer.py", { ...which, folder, threads: cpus().length });
  const engine = await openOurs(which, x);
  const ours: number[] = [];
  const theirs: number[] = [];
  try {
    for (let step = 0; step < STEPS + WARM_STEPS; step += 1) {
      const [mine, other] = [await engine.step(), Number((await peer?.ask({}))?.seconds)];
      if (step < WARM_STEPS) continue;
      ours.push(mine);
      if (peer) theirs.push(other);
    }
  } finally {
    await peer?.stop();
    await engine.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
  const range = (seconds: number[]): string =>
    `${Math.min(...seconds).toFixed(3)}–${Math.max(...seconds).toFixed(3)} s`;
  console.error(`${which.name}: ours ${range(ours)}${peer ? `, reference-dense ${range(theirs)}` : ""}`);
  const peerSeconds = peer ? median(theirs) : null;
  return {
    ...{ case: which.name, metric: "one step", ours: median(ours), peer: peerSeconds, unit: "s" },
    peerName: peer ? `reference-dense; torch ${peer.greeting.torch}` : "not run: TUNEDIFF_PYTHON is not set",
    ratio: peerSeconds === null ? null : peerSeconds / median(ours),
  };
}

export async function benchTrain(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const which of CASES) rows.push(await benchCase(which));
  return rows;
}
