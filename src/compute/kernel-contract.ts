// What the kernels do, as functions of typed arrays: the contract of the WASM kernels and of their readable twins.
//
// Equations stand in kernels/; here are shapes and meanings. All arrays of one call live in one memory.

/** Codes as compressed rows in arena arrays, with room for `capacity` entries; see SparseCodes for the meaning. */
export interface CodeBuffers {
  capacity: number;
  rowStart: Uint32Array;
  latent: Uint32Array;
  code: Float32Array;
}

/** pre [nRows, nLatents] pre-activations and weight [nLatents] W = Σ decoder norms; activation v = max(pre, 0) · W. */
export interface ScoredRows {
  pre: Float32Array;
  weight: Float32Array;
  nRows: number;
  nLatents: number;
}

export interface AdamArrays {
  /** All of one length; all but gradient are updated in place. */
  parameter: Float32Array;
  gradient: Float32Array;
  firstMoment: Float32Array;
  secondMoment: Float32Array;
}

export interface AdamOptions {
  learningRate: number;
  /** Multiplies the gradient before anything else: the clipping factor. */
  gradientScale: number;
  /** 1 for the first update; corrects the moments' bias. */
  updateNumber: number;
}

/** Adam's constants, the same in kernels/adam.ts. */
export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** rank: 1 = largest. ties: how many entries equal to `value` are among the rank largest. value 0: fewer than rank are > 0. */
export interface KthLargest {
  value: number;
  ties: number;
}

/** What both the WASM kernels and their readable twins offer. */
export interface Kernels {
  /** Over rows of rowLength values; where touched [rows] is 0 the gradient counts as 0 and is not looked at. */
  adamRows(arrays: AdamArrays, options: AdamOptions & { touched: Uint8Array; rowLength: number }): void;
  /** Exact selection among the activations themselves. */
  kthLargestActivation(rows: ScoredRows, rank: number): KthLargest;
  /** Entries with pre > 0 and v > threshold, and the first `ties` with v = threshold; returns their number. */
  keepAbove(rows: ScoredRows, threshold: { value: number; ties: number }, out: CodeBuffers): number;
  /** target [nRows, width] = bias + Σ code · decoder row; no bias when undefined. */
  decodeSparse(
    codes: CodeBuffers,
    options: {
      nRows: number;
      decoder: Float32Array;
      width: number;
      bias?: Float32Array;
      target: Float32Array;
    },
  ): void;
  /**
   * Gradients of the latents in `groups` (by latent), written over their rows; others are left alone. Returns Σ of squares of what
   * was written.
   */
  latentGradients(groups: EntryGroups, options: LatentGradientArrays): number;
  sumOfSquares(source: Float32Array): number;
  /** out [nRows] = L2 norms over columns [columnStart, columnStart + nColumns) of matrix [nRows, width]. */
  rowNorms(
    matrix: Float32Array,
    options: { nRows: number; width: number; columnStart: number; nColumns: number; out: Float32Array },
  ): void;
  /** Adds to histogram one a positive activation whose bits under prefixMask are prefix; one round of kthLargest. */
  countDigits(
    source: ScoredRows | { values: Float32Array; count: number },
    digits: DigitRound,
    histogram: Uint32Array,
  ): void;
  /**
   * Appends a tile's entries with pre > 0 and v ≥ bound, row-major; latents are counted from firstLatent. Returns the new count;
   * more than the capacity means that entries are missing.
   */
  collectEntries(
    tile: ScoredRows,
    options: { firstLatent: number; bound: number; entries: Entries; count: number },
  ): number;
  /** Keeps the first `count` entries' with activation ≥ bound, in order; returns their number. */
  filterEntries(entries: Entries, count: number, bound: number): number;
  /** Orders entries by row or by latent, stable; out.start [nKeys + 1]. */
  groupEntries(
    entries: Entries,
    options: { by: "row" | "latent"; count: number; nKeys: number; out: EntryGroups },
  ): void;
  /** Appends the `most` largest activations of one row among the listed latents; ties to the first listed. Returns the count. */
  topOfRow(tiles: TiledRows, options: TopOfRow): number;
  /** out [nRows] f32: how many of a row's entries are ≥ its bound [nRows] f32; entries in row order, start [nRows + 1]. */
  countAtLeast(
    start: Uint32Array,
    options: { activation: Float32Array; nRows: number; bound: Float32Array; out: Float32Array },
  ): void;
  /**
   * residual (holding the reconstruction) becomes x − residual, direction the loss's derivative by the reconstruction, over
   * columns [from, to). Returns Σ over rows of the norms or, squared, of their squares.
   */
  residualTerm(options: ResidualArrays): number;
  /** out [width] f64 = sums over rows. */
  columnSums(source: Float32Array, options: { nRows: number; width: number; out: Float64Array }): void;
  /** Σ (source − mean)²; mean [width] f64. */
  centredSquares(source: Float32Array, options: { nRows: number; width: number; mean: Float64Array }): number;
  /** out (holding the auxiliary reconstruction) becomes factor · (residual − out). Returns Σ (residual − out)². */
  auxiliaryTerm(residual: Float32Array, out: Float32Array, factor: number): number;
  /** pre = max(pre, 0); returns how many are > 0. */
  reluInPlace(pre: Float32Array): number;
  /** codeGradient = code > 0 ? codeGradient + penalty · weight : 0. */
  gateCodeGradients(
    rows: { code: Float32Array; codeGradient: Float32Array; weight: Float32Array },
    options: { nRows: number; nLatents: number; penalty: number },
  ): void;
  /** target += factor · source. */
  addScaled(target: Float32Array, source: Float32Array, factor: number): void;
}

/** Kept codes of a batch as parallel arrays of one capacity. */
export interface Entries {
  capacity: number;
  row: Uint32Array;
  latent: Uint32Array;
  /** f > 0. */
  code: Float32Array;
  /** v = f · W. */
  activation: Float32Array;
}

/** Entries in groups: entries [start[g], start[g + 1]) belong to group g. `other`: latents when grouped by row, else rows. */
export interface EntryGroups {
  start: Uint32Array;
  other: Uint32Array;
  code: Float32Array;
}

/** Three rounds of 11, 11 and 10 bits find a value of f32 exactly: its bits so far, their mask, and which bits come next. */
export interface DigitRound {
  prefix: number;
  prefixMask: number;
  shift: number;
  bins: number;
}

/** Pre-activations tile by tile: each tile [nRows, its latents], tileLatents wide but the last. */
export interface TiledRows extends ScoredRows {
  tileLatents: number;
}

export interface TopOfRow {
  row: number;
  /** Ascending latents, nList of them. */
  list: Uint32Array;
  nList: number;
  most: number;
  /** Scratch, [nList] each. */
  score: Float32Array;
  place: Uint32Array;
  entries: Entries;
  count: number;
}

export interface LatentGradientArrays {
  nLatents: number;
  width: number;
  /** [nRows, width]; direction is the loss's derivative by the reconstruction. */
  x: Float32Array;
  direction: Float32Array;
  /** [nLatents, width]. */
  decoder: Float32Array;
  /** [nLatents], added to the derivative by each code; undefined: nothing. */
  penalty?: Float32Array;
  /** [nLatents, width], [nLatents], [nLatents, width]. */
  dEncoder: Float32Array;
  dEncoderBias: Float32Array;
  dDecoder: Float32Array;
}

export interface ResidualArrays {
  /** [nRows, width] each. */
  x: Float32Array;
  residual: Float32Array;
  direction: Float32Array;
  nRows: number;
  width: number;
  from: number;
  to: number;
  /** What a row's norm counts in the loss. */
  share: number;
  squared: boolean;
}

/** Classes of a row in MeasureRowsArrays.flags, bits 0 and 1; bit 2 is set on template tokens. */
export const ROW_CLASS = { ordinary: 0, normOutlier: 1, bos: 2, templateBit: 4 } as const;
export const N_ROW_CLASSES = 3;
/** Σ‖h − ĥ‖², Σ‖h‖², Σ‖ĥ‖² of base, then of finetuned. */
export const N_FIT_SUMS = 6;

/** Rows added to the sums of the measuring pass; what the sums mean is said in src/measure/latent-scaling.ts. */
export interface MeasureRowsArrays {
  nRows: number;
  nLatents: number;
  /** Columns of base, and of both. */
  widthBase: number;
  width: number;
  /** [nRows, width] f32. */
  x: Float32Array;
  /** [nRows]; see ROW_CLASS. */
  flags: Uint8Array;
  /** rowStart [nRows + 1], latent and code as SparseCodes. */
  rowStart: Uint32Array;
  latent: Uint32Array;
  code: Float32Array;
  /** [nLatents, width], [width] f32. */
  decoder: Float32Array;
  bias: Float32Array;
  /** [nLatents, stride] f64; only ordinary rows are added. */
  sums: Float64Array;
  stride: number;
  /** [N_ROW_CLASSES, width] f64: Σh by class. */
  columnSums: Float64Array;
  /** [N_ROW_CLASSES, N_FIT_SUMS] f64. */
  squares: Float64Array;
  /** [2 · width] f64, overwritten. */
  scratch: Float64Array;
}
