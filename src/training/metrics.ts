// metrics.jsonl: one line every few steps, and the figures in it.

import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/atomic.ts";
import { asStorageError, errorCode } from "../formats/disk.ts";

export const METRICS_FILE = "metrics.jsonl";

/** One line. Losses in normalised units; all figures are of the one batch before this many steps were complete. */
export interface MetricsLine {
  /** Completed steps. */
  step: number;
  loss: number;
  auxLoss: number;
  /** Of ReLU + L1 alone: mean over rows of Σ_j f_j W_j, and the μ it was multiplied by. */
  penaltyLoss?: number;
  penalty?: number;
  /** 1 − Σ‖ε‖²/Σ‖x − x̄‖² over the batch, by site name and pooled. */
  fve: Record<string, number>;
  l0: number;
  /** Latents silent for longer than the constant deadAfterRows. */
  dead: number;
  /** Running θ in activation units. */
  threshold: number;
  /** Before clipping. */
  gradientNorm: number;
  learningRate: number;
  /** 0 under ReLU + L1. */
  k: number;
  rowsPerSecond: number;
}

export interface MetricsLog {
  /** The last line kept when the log was opened. */
  last: MetricsLine | undefined;
  append(line: MetricsLine): Promise<void>;
}

/** Opens the log of a run that goes on after `completedSteps` steps: later lines of an interrupted try are dropped. */
export async function openMetricsLog(folder: string, completedSteps: number): Promise<MetricsLog> {
  const path = join(folder, METRICS_FILE);
  const lines = (await readIfPresent(path)).split("\n").filter((line) => stepOf(line) <= completedSteps);
  await writeFileAtomic(path, lines.map((line) => `${line}\n`).join(""));
  const last = lines.at(-1);
  return {
    last: last === undefined ? undefined : (JSON.parse(last) as MetricsLine),
    async append(line) {
      try {
        await appendFile(path, `${JSON.stringify(line)}\n`);
      } catch (error) {
        throw asStorageError(error, { path });
      }
    },
  };
}

/** Infinity for an empty or torn line. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as MetricsLine).step;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

async function readIfPresent(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw asStorageError(error, { path });
  }
}

/** Sums of squares by site, from which a pooled FVE is made. */
export interface VarianceSums {
  /** [nSites] Σ‖ε‖². */
  residual: number[];
  /** [nSites] Σ‖x − x̄‖². */
  total: number[];
}

/** residual, x: [nRows, width]. mean: [width], the rows' own. Sums in f64. */
export function varianceSums({
  x,
  residual,
  mean,
  nRows,
  siteOffsets,
}: {
  x: Float32Array;
  residual: Float32Array;
  mean: Float64Array;
  nRows: number;
  siteOffsets: readonly number[];
}): VarianceSums {
  const nSites = siteOffsets.length - 1;
  const width = siteOffsets[nSites];
  const sums = { residual: new Array<number>(nSites).fill(0), total: new Array<number>(nSites).fill(0) };
  for (let row = 0; row < nRows; row += 1) {
    for (let site = 0; site < nSites; site += 1) {
      for (let i = siteOffsets[site]; i < siteOffsets[site + 1]; i += 1) {
        sums.residual[site] += residual[row * width + i] ** 2;
        sums.total[site] += (x[row * width + i] - mean[i]) ** 2;
      }
    }
  }
  return sums;
}

/** Mean over rows, [width] f64. */
export function columnMeans(
  x: Float32Array,
  { nRows, width }: { nRows: number; width: number },
): Float64Array {
  const mean = new Float64Array(width);
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) mean[i] += x[row * width + i];
  }
  return mean.map((sum) => sum / nRows);
}

/** 1 − Σ‖ε‖²/Σ‖x − x̄‖² by site name and, as "total", pooled over sites. */
export function fveOf(
  { residual, total }: VarianceSums,
  siteNames: readonly string[],
): Record<string, number> {
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    ...Object.fromEntries(siteNames.map((name, site) => [name, 1 - residual[site] / total[site]])),
    total: 1 - sum(residual) / sum(total),
  };
}
