// What is kept of the activation difference δ = h_finetuned − h_base while texts run through both models.
//
// Sums by position of unrelated text, for the difference lens; the second moment of δ over all text, for its principal components;
// some whole documents, to show where a component is strong. Memory does not grow with the texts: some numbers a position, one
// [dModel, dModel] f64 matrix (a model of that width holds many of them), sampleBytes of rows. BOS rows count by position only:
// they are the same in every text and often a hundred times longer than others. difference-sums-reference.ts is the readable twin.

import { NumericsError, ShapeError } from "../errors.ts";
import { createDifferenceSample, type SampledDocument } from "./difference-sample.ts";
import { createSecondMoment, type SecondMoment } from "./second-moment.ts";

export const DIFFERENCE_SUMS = {
  /** First positions of unrelated text that are kept apart (Minder et al. 2025, arXiv:2510.13900). */
  positions: 128,
  /** Rows of δ that are kept for the picture. */
  sampleBytes: 64 * 2 ** 20,
} as const;

/** Rows of both models for the same tokens, padding left out. */
export interface DifferenceRows {
  /** [rows, dModel] f32, raw activation units. */
  hBase: Float32Array;
  hFinetuned: Float32Array;
  /** [rows] index of the text that the row is of. */
  document: Uint32Array;
  /** [rows] position of the token in its text. */
  position: Uint16Array;
  /** [rows] 1: of text that has nothing to do with the fine-tuning. */
  isUnrelated: Uint8Array;
  /** [rows] 1: the text's BOS. */
  isBos: Uint8Array;
}

/** Sums over the texts that have an unrelated row at one position, or at any of several. */
export interface PositionSums {
  rows: number;
  /** Of them, BOS. */
  bosRows: number;
  /** [dModel] f64, Σδ. */
  difference: Float64Array;
  /** Σ‖δ‖. */
  norm: number;
  /** Σ‖h_base‖ and Σ‖h_finetuned‖. */
  baseNorm: number;
  finetunedNorm: number;
}

export interface SummedDifference {
  dModel: number;
  /** Entry p: position p of unrelated text; as many as asked for. */
  positions: PositionSums[];
  /** All those positions together, without BOS rows. */
  overall: PositionSums;
  /** Of δ over all text without BOS rows. */
  moment: SecondMoment;
  /** Σ‖δ‖² / ‖h_base‖² over the rows whose base residual is not zero, and their number. */
  change: { sum: number; rows: number };
  sample: SampledDocument[];
}

export interface DifferenceSums {
  /** Throws ShapeError for arrays that do not fit, NumericsError (text, position, model) for a residual that is not finite. */
  add(rows: DifferenceRows): Promise<void>;
  /** Once, after the last rows. */
  finish(): Promise<SummedDifference>;
  dispose(): Promise<void>;
}

export interface DifferenceSumsOptions {
  dModel: number;
  /** Default: DIFFERENCE_SUMS.positions. */
  positions?: number;
  /** Chooses the documents that are kept. Default 0. */
  seed?: number;
  /** Default: DIFFERENCE_SUMS.sampleBytes. */
  sampleBytes?: number;
  threads?: number | undefined;
}

export function createDifferenceSums(options: DifferenceSumsOptions): DifferenceSums {
  const { dModel, seed = 0, threads } = options;
  const { positions: nPositions, sampleBytes } = { ...DIFFERENCE_SUMS, ...options };
  const positions = Array.from({ length: nPositions }, () => emptySums(dModel));
  const overall = emptySums(dModel);
  const moment = createSecondMoment({ dModel, threads });
  const sample = createDifferenceSample({ dModel, seed, most: Math.floor(sampleBytes / (4 * dModel)) });
  const change = { sum: 0, rows: 0 };
  const delta = new Float32Array(dModel);
  return {
    async add(rows) {
      checkRows(rows, dModel);
      const { hBase, hFinetuned, document, position, isUnrelated, isBos } = rows;
      for (let row = 0; row < document.length; row += 1) {
        const norms = subtract(delta, hBase, hFinetuned, row);
        if (!Number.isFinite(norms.base + norms.finetuned + norms.delta)) throw notFinite(rows, row, norms);
        if (isUnrelated[row] === 1 && position[row] < nPositions) {
          addSums(positions[position[row]], { delta, norms, isBos: isBos[row] });
          if (isBos[row] === 0) addSums(overall, { delta, norms, isBos: 0 });
        }
        if (isBos[row] === 1) continue;
        if (norms.base > 0) {
          change.sum += (norms.delta / norms.base) ** 2;
          change.rows += 1;
        }
        sample.add(delta, document[row], position[row]);
        await moment.add(delta);
      }
    },
    async finish() {
      return { dModel, positions, overall, moment: await moment.finish(), change, sample: sample.finish() };
    },
    dispose: moment.dispose,
  };
}

interface RowNorms {
  base: number;
  finetuned: number;
  delta: number;
}

/** delta = h_finetuned − h_base of one row. */
function subtract(delta: Float32Array, hBase: Float32Array, hFinetuned: Float32Array, row: number): RowNorms {
  let [base, finetuned, difference] = [0, 0, 0];
  const at = row * delta.length;
  for (let i = 0; i < delta.length; i += 1) {
    const [b, f] = [hBase[at + i], hFinetuned[at + i]];
    delta[i] = f - b;
    base += b * b;
    finetuned += f * f;
    difference += delta[i] * delta[i];
  }
  return { base: Math.sqrt(base), finetuned: Math.sqrt(finetuned), delta: Math.sqrt(difference) };
}

function emptySums(dModel: number): PositionSums {
  return {
    rows: 0,
    bosRows: 0,
    difference: new Float64Array(dModel),
    norm: 0,
    baseNorm: 0,
    finetunedNorm: 0,
  };
}

function addSums(
  sums: PositionSums,
  { delta, norms, isBos }: { delta: Float32Array; norms: RowNorms; isBos: number },
): void {
  sums.rows += 1;
  sums.bosRows += isBos;
  sums.norm += norms.delta;
  sums.baseNorm += norms.base;
  sums.finetunedNorm += norms.finetuned;
  for (let i = 0; i < delta.length; i += 1) sums.difference[i] += delta[i];
}

function checkRows(rows: DifferenceRows, dModel: number): void {
  const n = rows.document.length;
  const expected = {
    hBase: n * dModel,
    hFinetuned: n * dModel,
    position: n,
    isUnrelated: n,
    isBos: n,
  };
  for (const [name, want] of Object.entries(expected)) {
    const got = rows[name as keyof typeof expected].length;
    if (got !== want) {
      throw new ShapeError(`${name}: expected ${want} numbers for ${n} rows of width ${dModel}, got ${got}`);
    }
  }
}

function notFinite(rows: DifferenceRows, row: number, norms: RowNorms): NumericsError {
  const side = Number.isFinite(norms.base) ? "finetuned" : "base";
  return new NumericsError(
    `residual of the ${side} model: text ${rows.document[row]}, position ${rows.position[row]}: expected finite numbers, got a norm of ${norms[side]}`,
    {
      hint: "the model overflows on this text: check its weights and dtype, or leave that document out",
    },
  );
}
