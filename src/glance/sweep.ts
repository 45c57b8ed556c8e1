// Both models over the same texts, batch by batch: residuals after the compared layers, and what either predicts next.
//
// A batch runs once through each model up to its last block; the head then turns a slice of rows at a time into logits, so that
// memory is a batch of residuals and a slice of logits, whatever the vocabulary. What is done with them is the caller's business.

import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfInterrupted } from "../errors.ts";
import { type CommonIds, compareNextTokens } from "../harvest/next-token.ts";
import { type Pair, SIDES } from "../harvest/open-pair.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createPrefix, createSuffix, type Prefix, type Suffix } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import { makeOutputColumns, TOP_TOKENS } from "../store/outputs.ts";
import { ROLES } from "../store/rows.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { DifferenceRows } from "./difference-sums.ts";
import { type GlanceText, markRepeated } from "./glance-texts.ts";
import type { PredictedText } from "./kl-peaks.ts";
import type { PredictedRows } from "./logit-mining.ts";

export const SWEEP_OPTIONS = {
  /** Padded tokens of a batch. */
  batchTokens: 2048,
  /** Logits of both models that are held at a time, together. */
  logitBytes: 64e6,
} as const;

export interface SweepOptions {
  pair: Pick<Pair, "checkpoints" | "sites">;
  texts: readonly GlanceText[];
  common: CommonIds;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  /** Counted rows of a batch, residuals after the layers of the sites. Not called where the models' widths differ. */
  onResiduals(rows: DifferenceRows): Promise<void>;
  /** Rows of one slice. */
  onLogits(rows: PredictedRows): void;
  /** Predictions at the counted tokens of one text. */
  onText(text: PredictedText): void;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

interface Runner {
  prefix: Prefix;
  head: Suffix;
}

interface Work extends SweepOptions {
  runners: Record<ModelSide, Runner>;
  /** A text. */
  repeated: Uint8Array[];
}

/** A counted row: text, and position in it. */
interface Row {
  text: number;
  position: number;
}

/**
 * Throws NumericsError naming text and position for logits that are not finite, what onResiduals throws, InterruptedError, and what the
 * runners throw.
 */
export async function sweep(options: SweepOptions): Promise<void> {
  const { pair, texts, reportProgress, signal } = options;
  const opened: Partial<Record<ModelSide, Runner>> = {};
  try {
    for (const side of SIDES) opened[side] = await openRunner(options, side);
    const runners = opened as Record<ModelSide, Runner>;
    const work = { ...options, runners, repeated: markRepeated(texts) };
    const { base, finetuned } = pair.checkpoints;
    const classOf = (length: number): number =>
      2 * batchClass(base.architecture, length) + batchClass(finetuned.architecture, length);
    // Rows of a plan are numbered over all texts.
    let nRows = 0;
    const planned = texts.map(({ role }, index) => {
      const rowStart = nRows;
      nRows += role.length;
      return { index, rowStart, rowEnd: nRows };
    });
    let done = 0;
    reportProgress?.({ stage: "both models", done, total: nRows, unit: "tokens" });
    for (const batch of planBatches(planned, { batchTokens: SWEEP_OPTIONS.batchTokens, classOf })) {
      throwIfInterrupted(signal);
      await runBatch(
        work,
        batch.map(({ index }) => index),
      );
      done += batch.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0);
      reportProgress?.({ stage: "both models", done, total: nRows, unit: "tokens" });
      await nextTurn();
    }
  } finally {
    for (const runner of Object.values(opened)) {
      await runner.prefix.dispose();
      await runner.head.dispose();
    }
  }
}

async function openRunner({ pair, threads, device }: SweepOptions, side: ModelSide): Promise<Runner> {
  const checkpoint = pair.checkpoints[side];
  const common = {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  };
  const prefix = await createPrefix(checkpoint, { layers: tapsOf({ pair }, side), ...common });
  try {
    return { prefix, head: await createSuffix(checkpoint, { layer: lastLayer(checkpoint), ...common }) };
  } catch (error) {
    await prefix.dispose();
    throw error;
  }
}

function lastLayer({ config }: Checkpoint): number {
  return config.nLayers - 1;
}

/** The compared layer first, the last one last; one entry where they are the same. */
function tapsOf({ pair }: Pick<SweepOptions, "pair">, side: ModelSide): number[] {
  const { layer } = pair.sites[SIDES.indexOf(side)];
  return [...new Set([layer, lastLayer(pair.checkpoints[side])])];
}

async function runBatch(work: Work, indices: number[]): Promise<void> {
  const { pair, texts, runners } = work;
  const rows = indices.flatMap((text) =>
    Array.from(
      { length: texts[text].role.length - texts[text].nSkipped },
      (_, i): Row => ({
        text,
        position: texts[text].nSkipped + i,
      }),
    ),
  );
  const taken = {} as Record<ModelSide, { compared: Float32Array; last: Float32Array }>;
  for (const side of SIDES) {
    const padded = rightPad(indices.map((text) => texts[text].tokens[side]));
    const residuals = await runners[side].prefix.run(padded);
    const width = runners[side].prefix.dModel;
    const sequenceOf = new Map(indices.map((text, sequence) => [text, sequence]));
    const pick = (residual: Float32Array): Float32Array => {
      const picked = new Float32Array(rows.length * width);
      for (const [i, { text, position }] of rows.entries()) {
        const from = (sequenceOf.get(text)! * padded.length + position) * width;
        picked.set(residual.subarray(from, from + width), i * width);
      }
      return picked;
    };
    const compared = pick(residuals[0]);
    taken[side] = { compared, last: residuals.length === 1 ? compared : pick(residuals[1]) };
  }
  if (pair.sites[0].width === pair.sites[1].width) {
    await work.onResiduals({
      hBase: taken.base.compared,
      hFinetuned: taken.finetuned.compared,
      document: Uint32Array.from(rows, ({ text }) => text),
      position: Uint16Array.from(rows, ({ position }) => position),
      isUnrelated: Uint8Array.from(rows, ({ text }) => (texts[text].isUnrelated ? 1 : 0)),
      isBos: Uint8Array.from(rows, ({ text, position }) =>
        ROLES[texts[text].role[position]] === "bos" ? 1 : 0,
      ),
    });
  }
  const last = { base: taken.base.last, finetuned: taken.finetuned.last };
  await predictRows(work, { indices, rows, last });
}

async function predictRows(
  work: Work,
  batch: { indices: number[]; rows: Row[]; last: Record<ModelSide, Float32Array> },
): Promise<void> {
  const { texts, common, runners, repeated, onLogits, onText, signal } = work;
  const { indices, rows, last } = batch;
  const columns = makeOutputColumns(rows.length);
  const { vocabulary } = common;
  const sliceRows = Math.max(
    1,
    Math.floor(SWEEP_OPTIONS.logitBytes / (4 * (vocabulary.base + vocabulary.finetuned))),
  );
  const tokenAt = (side: ModelSide, { text, position }: Row): number => texts[text].tokens[side][position];
  const nextOf = (side: ModelSide, row: Row): number =>
    row.position + 1 < texts[row.text].role.length
      ? tokenAt(side, { ...row, position: row.position + 1 })
      : -1;
  for (let from = 0; from < rows.length; from += sliceRows) {
    throwIfInterrupted(signal);
    const slice = rows.slice(from, from + sliceRows);
    const logitsOf = (side: ModelSide): Promise<Float32Array> => {
      const width = runners[side].prefix.dModel;
      // Rows are independent from here on: each is a sequence of its own.
      return runners[side].head.run({
        residual: last[side].slice(from * width, (from + slice.length) * width),
        batch: slice.length,
        length: 1,
        lengths: new Int32Array(slice.length).fill(1),
      });
    };
    const logits = { base: await logitsOf("base"), finetuned: await logitsOf("finetuned") };
    compareNextTokens({
      ...common,
      logits,
      next: {
        base: Int32Array.from(slice, (row) => nextOf("base", row)),
        finetuned: Int32Array.from(slice, (row) => nextOf("finetuned", row)),
      },
      into: columns,
      at: from,
      place: (entry) => `text "${texts[rows[entry].text].id}", position ${rows[entry].position}`,
    });
    onLogits({
      logits,
      tokens: Uint32Array.from(slice, (row) => tokenAt("finetuned", row)),
      isRepeated: Uint8Array.from(slice, ({ text, position }) => repeated[text][position]),
    });
    await nextTurn();
  }
  let at = 0;
  for (const index of indices) {
    const end = at + texts[index].role.length - texts[index].nSkipped;
    const top = <T extends Uint32Array | Float32Array>(column: T): T =>
      column.subarray(at * TOP_TOKENS, end * TOP_TOKENS) as T;
    onText({
      text: texts[index],
      columns: {
        klFinetunedBase: columns.klFinetunedBase.subarray(at, end),
        topTokenBase: top(columns.topTokenBase),
        topProbabilityBase: top(columns.topProbabilityBase),
        topTokenFinetuned: top(columns.topTokenFinetuned),
        topProbabilityFinetuned: top(columns.topProbabilityFinetuned),
      },
      isRepeated: repeated[index],
    });
    at = end;
  }
}
