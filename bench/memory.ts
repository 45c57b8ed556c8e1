// Peak memory of loading a model, over the fp32 bytes of what is loaded: a SmolLM-135M-shaped Llama with random weights.
//
// Each case runs in a child of its own, whose peak resident set (VmHWM, Linux; elsewhere maxRSS) less that of a child
// that only started onnxruntime is divided by the bytes of the weights between the cuts. What two forwards of 4 × 128 rows
// add depends on the batch (and on the logits, 100 MB here a time), so it has a line of its own. No peer.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { blockTensors } from "../src/lm/architecture.ts";
import { describeArchitecture } from "../src/lm/config.ts";
import { SMOLLM_SHAPE, writeSmolLmShaped } from "./random-checkpoint.ts";
import type { BenchRow } from "./run.ts";

const PREFIX_LAYER = 15;
const DTYPES = ["F32", "BF16"] as const;
const CASES = ["prefix", "full"] as const;

interface Measured {
  peakBytes: number;
  /** After two forwards too. */
  peakRunningBytes: number;
  seconds: number;
  rowsPerSecond: number;
}

/** fp32 bytes of the weights between the cuts of a case. */
function loadedBytes(name: string): number {
  const architecture = describeArchitecture(SMOLLM_SHAPE, "config.json");
  const nLayers = name === "full" ? SMOLLM_SHAPE.num_hidden_layers : PREFIX_LAYER + 1;
  const blocks = Array.from({ length: nLayers }, (_, layer) => blockTensors(architecture, layer)).flat();
  const tensors = [
    architecture.embedding,
    ...(name === "full" ? [architecture.finalNorm.weight] : []),
    ...blocks,
  ];
  return tensors.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
}

function measureInChild(name: string, folder: string): Measured {
  const child = spawnSync(
    process.execPath,
    [...process.execArgv, fileURLToPath(import.meta.url), name, folder],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  if (child.status !== 0) throw new Error(`memory ${name} ended with ${child.status}`);
  return JSON.parse(child.stdout);
}

function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}

/** The child: loads what its case says, prints its peak, then times one forward of 4 × 128 rows. */
async function child(name: string, folder: string): Promise<void> {
  const { openCheckpoint } = await import("../src/lm/checkpoint.ts");
  const { createFullModel, createPrefix } = await import("../src/lm/runner.ts");
  const started = performance.now();
  const print = (measured: Measured): void => {
    process.stdout.write(JSON.stringify(measured));
  };
  if (name === "idle") {
    print({ peakBytes: peakBytes(), peakRunningBytes: peakBytes(), seconds: 0, rowsPerSecond: 0 });
    return;
  }
  const checkpoint = await openCheckpoint(folder);
  const model =
    name === "full"
      ? await createFullModel(checkpoint)
      : await createPrefix(checkpoint, { layers: [PREFIX_LAYER] });
  const seconds = (performance.now() - started) / 1000;
  const peak = peakBytes();
  const [batch, length] = [4, 128];
  const tokenIds = Int32Array.from(
    { length: batch * length },
    (_, i) => (i * 7919) % SMOLLM_SHAPE.vocab_size,
  );
  const forward = { tokenIds, batch, length, lengths: new Int32Array(batch).fill(length) };
  await model.run(forward);
  const timed = performance.now();
  await model.run(forward);
  const rowsPerSecond = (batch * length * 1000) / (performance.now() - timed);
  print({ peakBytes: peak, peakRunningBytes: peakBytes(), seconds, rowsPerSecond });
  await model.dispose();
  await checkpoint.close();
}

export async function benchMemory(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const dtype of DTYPES) {
    const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
    try {
      await writeSmolLmShaped(folder, dtype);
      const idle = measureInChild("idle", folder).peakBytes;
      for (const name of CASES) {
        const measured = measureInChild(name, folder);
        const { seconds, rowsPerSecond } = measured;
        const share = (peak: number): number => (peak - idle) / loadedBytes(name);
        const figures: [string, number, string][] = [
          ["loaded", loadedBytes(name) / 2 ** 20, "MiB of fp32"],
          ["peak while loading", share(measured.peakBytes), "of these bytes"],
          ["peak after forwards", share(measured.peakRunningBytes), "of these bytes"],
          ["loading, hashes included", seconds, "s"],
          ["forward", rowsPerSecond, "tokens/s"],
        ];
        for (const [metric, ours, unit] of figures) {
          rows.push({
            case: `${name} from ${dtype}`,
            metric,
            ours,
            peer: null,
            peerName: null,
            ratio: null,
            unit,
          });
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await child(process.argv[2], process.argv[3]);
