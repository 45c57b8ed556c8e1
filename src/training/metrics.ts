// metrics.jsonl: a line every few steps, of three kinds, told apart by `kind`; a training line has none.
//
// Lines are in the order of their steps, and the same for a run that was killed and resumed: what a lost try had written
// beyond its checkpoint is dropped when the log is opened. A number that is not finite is written by its name, "NaN".

import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/atomic.ts";
import { asStorageError, disk, errorCode } from "../formats/disk.ts";
import type { Split } from "../store/rows.ts";

export const METRICS_FILE = "metrics.jsonl";

/** A training line. Losses in normalised units; all figures are of the one batch before this many steps were complete. */
export interface MetricsLine {
  kind?: undefined;
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

/** What a dictionary does at inference on held-out rows; see validation.ts. */
export interface HeldoutFigures {
  /** "heldout", or "train" when the store has no held-out rows. */
  split: Split;
  /** θ it was measured with. */
  threshold: number;
  /** Rows that are neither BOS nor norm outliers: all figures but fveAllRows are of these. */
  nRows: number;
  /** Pooled over them, by site name and "total". */
  fve: Record<string, number>;
  /** The reference's figure, centred on each batch; undefined of fewer than two rows. Not comparable with fve. */
  fveBatchCentred?: Record<string, number>;
  /** BOS rows and norm outliers beside them, in the sample's own proportion. */
  nLeftOut: number;
  /** Pooled with those; undefined where the sample has none. */
  fveAllRows?: Record<string, number>;
  l0: number;
  /** Share of latents that never fired on the nRows rows. */
  deadFraction: number;
}

/** In place of figures where θ is not known yet: every positive code would fire, and the figures would be of nothing. */
export interface NoHeldoutFigures {
  threshold: number;
  unavailable: string;
}

/** Completed steps, and which θ stood: the running mean of training or, at the end, the calibrated one. */
export type ValidationLine = {
  kind: "validation";
  step: number;
  calibrated: boolean;
} & (HeldoutFigures | NoHeldoutFigures);

/** A number, or its name where it is not finite. */
export type ShownNumber = number | "NaN" | "Infinity" | "-Infinity";

/** A step whose batch was gone past without an update. */
export interface PassedStep {
  /** Counted from 0: the batch's. */
  batchStep: number;
  /** As far as they were computed. */
  loss?: ShownNumber;
  auxLoss?: ShownNumber;
  penaltyLoss?: ShownNumber;
  gradientNorm?: ShownNumber;
  /** First tensor at fault, in the order of the arithmetic, and the first bad index in it. */
  tensor?: string;
  index?: number;
  value?: ShownNumber;
}

export type PassedLine = {
  kind: "nonFinite";
  step: number;
  policy: "stop" | "skip" | "rollBack";
} & PassedStep;

export type MetricsEntry = MetricsLine | ValidationLine | PassedLine;

export interface MetricsLog {
  /** The last training line kept when the log was opened. */
  last: MetricsLine | undefined;
  append(line: MetricsEntry): Promise<void>;
  /** Resolves when all lines are on the disk. */
  sync(): Promise<void>;
}

/** Opens the log of a run that goes on after `completedSteps` steps: later lines of an interrupted try are dropped. */
export async function openMetricsLog(folder: string, completedSteps: number): Promise<MetricsLog> {
  const path = join(folder, METRICS_FILE);
  const lines = (await readIfPresent(path)).split("\n").filter((line) => belongs(line, completedSteps));
  await writeFileAtomic(path, lines.map((line) => `${line}\n`).join(""));
  const last = lines.map((line) => JSON.parse(line) as MetricsEntry).findLast(isTrainingLine);
  return {
    last,
    async append(line) {
      try {
        await appendFile(path, `${jsonWithNames(line)}\n`);
      } catch (error) {
        throw asStorageError(error, { path });
      }
    },
    async sync() {
      try {
        const handle = await disk.open(path, "r+");
        try {
          await disk.sync(handle);
        } finally {
          await disk.close(handle);
        }
      } catch (error) {
        throw asStorageError(error, { path });
      }
    },
  };
}

export function isTrainingLine(line: MetricsEntry): line is MetricsLine {
  return line.kind === undefined;
}

/** False for an empty or torn line. The line after calibration is written anew by whoever calibrates. */
function belongs(line: string, completedSteps: number): boolean {
  try {
    const { step, ...rest } = JSON.parse(line) as MetricsEntry;
    return step <= completedSteps && !("calibrated" in rest && rest.calibrated);
  } catch {
    return false;
  }
}

/** JSON in which a number that is not finite is its name, where JSON by itself would say null. */
export function jsonWithNames(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, inner: unknown) => (typeof inner === "number" ? shownNumber(inner) : inner),
    indent,
  );
}

export function shownNumber(value: number): ShownNumber {
  return Number.isFinite(value) ? value : (String(value) as ShownNumber);
}

async function readIfPresent(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw asStorageError(error, { path });
  }
}
