// Peak memory of a training step of step-512, in a child of its own, against 16 bytes a parameter + 10 % + 400 MB.
//
// A parameter, its gradient and Adam's two moments are 16 bytes; the rest is pre-activations, the batch and the runtime itself. The
// child is plain Node on the built package, as a user has it; the package is built first.

import { execFileSync, spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../src/package-root.ts";
import type { BenchRow } from "./run.ts";
import type { TrainCase } from "./train-cases.ts";

const CASE: TrainCase = { name: "step-512", dModel: 512, nLatents: 16_384, k: 64, batch: 2048 };

const nParameters = ({ dModel, nLatents }: TrainCase): number =>
  2 * nLatents * 2 * dModel + nLatents + 2 * dModel;

export function benchTrainMemory(): BenchRow[] {
  execFileSync("npm", ["run", "build:ts"], { cwd: packageRoot(), stdio: "ignore" });
  const engine = pathToFileURL(join(packageRoot(), "dist/src/training/engine.js")).href;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", PROGRAM], {
    encoding: "utf8",
    env: { ...process.env, ENGINE: engine, CASE: JSON.stringify({ ...CASE, threads: cpus().length }) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.status !== 0) throw new Error(`train memory ended with ${child.status}`);
  const peak = Number(child.stdout);
  const allowed = 16 * 1.1 * nParameters(CASE) + 400e6;
  return [
    {
      ...{ case: CASE.name, metric: "peak memory, of which allowed", ours: peak / 1e6, peer: allowed / 1e6 },
      ...{ peerName: "16 bytes a parameter + 10 % + 400 MB", ratio: allowed / peak, unit: "MB" },
    },
  ];
}

/** Four steps of one batch; prints the peak resident set in bytes. */
const PROGRAM = `
import { readFileSync } from "node:fs";
const { createEngine } = await import(process.env.ENGINE);
const { dModel, nLatents, k, batch, threads } = JSON.parse(process.env.CASE);
const width = 2 * dModel;
const engine = await createEngine({
  nLatents, width, siteOffsets: [0, dModel, width], batchRows: batch, largestK: k,
  auxLatents: dModel / 2, auxAlpha: 1 / 32, deadAfterRows: 3 * batch, threads, shards: threads,
});
const wave = (length, scale) => Float32Array.from({ length }, (_, i) => scale * Math.sin(i * i));
for (let from = 0; from < nLatents; from += 1024) {
  const rows = wave(Math.min(1024, nLatents - from) * width, 0.02);
  await engine.write("parameter", "decoderWeight", rows, from);
  await engine.write("parameter", "encoderWeight", rows, from);
}
const x = wave(batch * width, 0.05);
for (let step = 0; step < 4; step += 1) {
  const { gradientNorm } = await engine.backward(x, k);
  await engine.update({ learningRate: 1e-4, maxGradientNorm: 1, gradientNorm });
}
const status = process.platform === "linux" ? readFileSync("/proc/self/status", "utf8") : "";
const peak = /VmHWM:\\s+(\\d+) kB/.exec(status);
process.stdout.write(String(1024 * Number(peak?.[1] ?? process.resourceUsage().maxRSS)));
process.exit(0);
`;
