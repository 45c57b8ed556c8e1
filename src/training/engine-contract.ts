// What a training step needs of whatever computes it, and the state that a checkpoint holds.
//
// Two makers: engine.ts (fast) and reference-engine.ts (dense and obvious). Sharded, multi-process and GPU engines stand
// behind the same interface: `backward` leaves gradients where the parameters are, `update` uses them there.

import type { CodeNormalisation } from "../dictionary/dictionary.ts";
import type { Floats, Parameters, Reconstruction } from "./loss.ts";
import type { Sparsity } from "./sparsity.ts";

export interface EngineOptions {
  nLatents: number;
  width: number;
  /** First column of every site and, last, width. */
  siteOffsets: number[];
  batchRows: number;
  /** Largest k that backward will be called with. */
  largestK: number;
  /** Most dead latents a row may use in the auxiliary loss. */
  auxLatents: number;
  auxAlpha: number;
  /** A latent is dead when it has not fired for at least so many rows. */
  deadAfterRows: number;
  /** Undefined: BatchTopK. Its penalty is not looked at here: backward is given the step's. */
  sparsity?: Sparsity;
  /** Undefined: "crosscoder". */
  codeNormalisation?: CodeNormalisation;
  /** Undefined: "norm", un-squared. */
  reconstruction?: Reconstruction;
  threads?: number;
  /** Latent shards of an engine that has several; undefined: its own choice. */
  shards?: number;
}

export type ParameterName = keyof Parameters;
export const PARAMETER_NAMES = ["encoderWeight", "encoderBias", "decoderBias", "decoderWeight"] as const;
/** What an engine keeps of every parameter between steps: its value and Adam's two moments. */
export const STATE_KINDS = ["parameter", "firstMoment", "secondMoment"] as const;
export type StateKind = (typeof STATE_KINDS)[number];

/** Rows [from, to) of a parameter: latents; the decoder bias is one row. */
export interface RowRange {
  from: number;
  to: number;
}

export interface StepResult {
  /** Mean over rows and sites of the error norm, un-squared unless the options say so, normalised units. */
  loss: number;
  /** The auxiliary loss before its weight; 0 when no latent is dead. */
  auxLoss: number;
  /** Of ReLU + L1 only: mean over rows of Σ_j f_j W_j, before μ. */
  penaltyLoss?: number;
  /** L2 norm over all gradients of loss + auxAlpha · auxLoss + μ · penaltyLoss, before clipping. */
  gradientNorm: number;
  l0: number;
  nDead: number;
  /** Smallest activation that was kept; 0 when none was, and under ReLU + L1, which has no threshold. */
  smallestActivation: number;
}

/**
 * Where the parameters are is the engine's business (one memory, worker threads, a GPU): they are read and written by rows,
 * as copies. Its whole state is: every parameter in every StateKind, rowsSinceFired and updates.
 */
export interface Engine<A extends Floats = Float32Array> {
  /** Latent shards. A number of shards always gives the same bytes; another number rounds sums in another order. */
  nShards: number;
  /** Updates made so far = completed steps. Set it when a state is loaded. */
  updates: number;
  /**
   * batch [nRows ≤ batchRows, width] in normalised units. level: the step's k, for ReLU + L1 its μ. Advances the dead
   * counters, so it is for training steps alone (the reference's loss counts logged and validated rows, too); parameters stay.
   */
  backward(batch: A, level: number): Promise<StepResult>;
  /** One Adam update from the gradients of the last backward, clipped to maxGradientNorm. */
  update(options: { learningRate: number; maxGradientNorm: number; gradientNorm: number }): Promise<void>;
  /** A copy; "gradient": of the last backward, unclipped. All rows when no range is given. */
  read(kind: StateKind | "gradient", name: ParameterName, rows?: RowRange): Promise<A>;
  /** Overwrites rows from fromRow (0) on. */
  write(kind: StateKind, name: ParameterName, data: A, fromRow?: number): Promise<void>;
  /** [nLatents] training rows since each latent was last selected; a copy. */
  readRowsSinceFired(): Promise<Float64Array>;
  writeRowsSinceFired(rows: Float64Array): Promise<void>;
  /** Rows and residuals of the last backward, [nRows, width] each; overwritten by the next. */
  lastBatch(): Promise<{ nRows: number; x: A; residual: A }>;
  dispose(): Promise<void>;
}

/** Number of rows of a parameter and their length. */
export function shapeOf(
  name: ParameterName,
  { nLatents, width }: { nLatents: number; width: number },
): { nRows: number; rowLength: number } {
  if (name === "decoderBias") return { nRows: 1, rowLength: width };
  return { nRows: nLatents, rowLength: name === "encoderBias" ? 1 : width };
}

/** Everything a step changes, but θ, in one memory. */
export interface EngineState<A extends Floats = Float32Array> {
  /** Flat: encoder weight, encoder bias, decoder bias, decoder weight, as the field orders its parameters. */
  parameters: A;
  firstMoment: A;
  secondMoment: A;
  /** [nLatents] training rows since the latent was last selected. */
  rowsSinceFired: Float64Array;
}

/** The reading and writing half of an Engine over one memory. */
export function accessTo<A extends Floats>(
  { state, gradient }: { state: EngineState<A>; gradient: A },
  shape: { nLatents: number; width: number },
): Pick<Engine<A>, "read" | "write" | "readRowsSinceFired" | "writeRowsSinceFired"> {
  const views: Record<StateKind | "gradient", Parameters<A>> = {
    parameter: parameterViews(state.parameters, shape),
    firstMoment: parameterViews(state.firstMoment, shape),
    secondMoment: parameterViews(state.secondMoment, shape),
    gradient: parameterViews(gradient, shape),
  };
  return {
    async read(kind, name, range) {
      const { nRows, rowLength } = shapeOf(name, shape);
      const { from, to } = range ?? { from: 0, to: nRows };
      return views[kind][name].slice(from * rowLength, to * rowLength) as A;
    },
    async write(kind, name, data, fromRow = 0) {
      views[kind][name].set(data, fromRow * shapeOf(name, shape).rowLength);
    },
    readRowsSinceFired: async () => state.rowsSinceFired.slice(),
    writeRowsSinceFired: async (rows) => state.rowsSinceFired.set(rows),
  };
}

/** Where each parameter lies in the flat array. */
export function parameterViews<A extends Floats>(
  flat: A,
  { nLatents, width }: { nLatents: number; width: number },
): Parameters<A> {
  const view = (from: number, to: number): A => flat.subarray(from, to) as A;
  const matrix = nLatents * width;
  return {
    encoderWeight: view(0, matrix),
    encoderBias: view(matrix, matrix + nLatents),
    decoderBias: view(matrix + nLatents, matrix + nLatents + width),
    decoderWeight: view(matrix + nLatents + width, 2 * matrix + nLatents + width),
  };
}

/** A zeroed state from the given allocator. */
export function emptyState<A extends Floats>({
  nParameters,
  nLatents,
  allocate,
}: {
  nParameters: number;
  nLatents: number;
  allocate: (length: number) => A;
}): EngineState<A> {
  return {
    parameters: allocate(nParameters),
    firstMoment: allocate(nParameters),
    secondMoment: allocate(nParameters),
    rowsSinceFired: new Float64Array(nLatents),
  };
}
