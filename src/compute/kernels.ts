// The WASM kernels as functions of typed arrays, over one arena of WebAssembly memory.
//
// Every array given to a kernel must have been made by the same instance's f32() or u32(): the arena only grows and is
// freed as a whole when nothing points at it any more. onnxruntime takes these arrays as tensors without a copy. Sources
// in kernels/, readable twins in kernels-reference.ts. One instance is one thread's; a latent shard will own one each.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ShapeError, StorageError } from "../errors.ts";
import { packageRoot } from "../package-root.ts";

const PAGE_BYTES = 65_536;
/** First usable byte: address 0 means "no array" to the kernels. */
const FIRST_BYTE = PAGE_BYTES;
const MAXIMUM_BYTES = 65_536 * PAGE_BYTES;
/** One cache line; also what keeps v128 loads aligned. */
const ALIGNMENT_BYTES = 64;
const HISTOGRAM_BINS = 2048;

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
  adamStep(arrays: AdamArrays, options: AdamOptions): void;
  /** Activations above bound (≥ 0), row-major, into out; returns their number, which may exceed out.length (then out is incomplete). */
  collectAbove(rows: ScoredRows, bound: number, out: Float32Array): number;
  /** Exact selection among `values` [count], all > 0. */
  kthLargest(values: Float32Array, count: number, rank: number): KthLargest;
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
  /** Adds the gradients of the latents that fired; g [nRows, width] is the loss's derivative by the reconstruction. */
  addSparseGradients(codes: CodeBuffers, options: SparseGradientArrays): void;
  sumOfSquares(source: Float32Array): number;
  /** out [nRows] = L2 norms over columns [columnStart, columnStart + nColumns) of matrix [nRows, width]. */
  rowNorms(
    matrix: Float32Array,
    options: { nRows: number; width: number; columnStart: number; nColumns: number; out: Float32Array },
  ): void;
}

export interface SparseGradientArrays {
  nRows: number;
  width: number;
  /** [nRows, width]. */
  x: Float32Array;
  g: Float32Array;
  /** [nLatents, width]. */
  decoder: Float32Array;
  /** [nLatents, width], [nLatents], [nLatents, width]: added to. */
  dEncoder: Float32Array;
  dEncoderBias: Float32Array;
  dDecoder: Float32Array;
}

export interface KernelArena extends Kernels {
  /** New zeroed arrays of the arena. Throw StorageError when 4 GiB are used up. */
  f32(length: number): Float32Array;
  u32(length: number): Uint32Array;
  usedBytes(): number;
}

/** What of the WebAssembly global is used; Node's types name its classes without their constructors. */
interface WebAssemblyGlobal {
  Module: new (bytes: Uint8Array) => object;
  Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
  Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: unknown };
}
const wasm = (globalThis as unknown as { WebAssembly: WebAssemblyGlobal }).WebAssembly;

let compiled: object | undefined;

function kernelModule(): object {
  const path = join(packageRoot(), "kernels", "build", "kernels.wasm");
  try {
    compiled ??= new wasm.Module(readFileSync(path));
    return compiled;
  } catch (cause) {
    throw new StorageError(`${path}: expected the built WASM kernels, could not load them`, {
      hint: "run `npm run build:kernels` in the package's folder",
      cause,
    });
  }
}

type Raw = Record<
  | "adamStep"
  | "collectAbove"
  | "keepAbove"
  | "kthLargest"
  | "decodeSparse"
  | "addSparseGradients"
  | "sumOfSquares"
  | "rowNorms",
  (...values: number[]) => number
>;

/**
 * A kernel instance with room for `bytes` of arrays (a bound known beforehand: the memory is reserved, touched only when used).
 *
 * Growing would detach every array, so it never grows. Throws StorageError above 4 GiB.
 */
export function createKernels({ bytes }: { bytes: number }): KernelArena {
  const pages = Math.ceil((FIRST_BYTE + bytes + HISTOGRAM_BINS * 4) / PAGE_BYTES) + 1;
  if (pages * PAGE_BYTES > MAXIMUM_BYTES) {
    throw new StorageError(`WASM arena: expected at most 4 GiB, got ${(bytes / 2 ** 30).toFixed(1)} GiB`, {
      hint: "use fewer latents or a smaller batch",
    });
  }
  const memory = new wasm.Memory({ initial: pages, maximum: pages });
  const { buffer } = memory;
  const raw = new wasm.Instance(kernelModule(), { env: { memory, abort: () => undefined } }).exports as Raw;
  let next = FIRST_BYTE;

  const allocate = (length: number): number => {
    const start = Math.ceil(next / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    if (start + length * 4 > buffer.byteLength) {
      throw new StorageError(`WASM arena of ${buffer.byteLength} bytes: no room for ${length * 4} more`, {
        hint: "create the kernels with more bytes",
      });
    }
    next = start + length * 4;
    return start;
  };
  const f32 = (length: number): Float32Array => new Float32Array(buffer, allocate(length), length);
  const u32 = (length: number): Uint32Array => new Uint32Array(buffer, allocate(length), length);
  const histogram = u32(HISTOGRAM_BINS);

  /** Address of an arena array that must hold at least `length` elements. */
  const at = (array: Float32Array | Uint32Array, length: number, name: string): number => {
    if (array.buffer !== buffer)
      throw new ShapeError(`${name}: expected an array of this arena, got a foreign one`);
    if (array.length < length) {
      throw new ShapeError(`${name}: expected at least ${length} elements, got ${array.length}`);
    }
    return array.byteOffset;
  };
  const scored = ({ pre, weight, nRows, nLatents }: ScoredRows): [number, number, number, number] => [
    at(pre, nRows * nLatents, "pre"),
    at(weight, nLatents, "weight"),
    nRows,
    nLatents,
  ];
  const lists = (codes: CodeBuffers, nRows: number): [number, number, number] => [
    at(codes.rowStart, nRows + 1, "rowStart"),
    at(codes.latent, codes.capacity, "latent"),
    at(codes.code, codes.capacity, "code"),
  ];

  return {
    f32,
    u32,
    usedBytes: () => next,
    adamStep({ parameter, gradient, firstMoment, secondMoment }, options) {
      const n = parameter.length;
      raw.adamStep(
        at(parameter, n, "parameter"),
        at(gradient, n, "gradient"),
        at(firstMoment, n, "firstMoment"),
        at(secondMoment, n, "secondMoment"),
        n,
        options.gradientScale,
        options.learningRate / (1 - ADAM.beta1 ** options.updateNumber),
        1 / Math.sqrt(1 - ADAM.beta2 ** options.updateNumber),
      );
    },
    collectAbove: (rows, bound, out) =>
      raw.collectAbove(...scored(rows), bound, at(out, 0, "out"), out.length) >>> 0,
    kthLargest(values, count, rank) {
      const value = raw.kthLargest(at(values, count, "values"), 0, 1, count, rank, histogram.byteOffset);
      return { value, ties: histogram[0] };
    },
    kthLargestActivation(rows, rank) {
      const value = raw.kthLargest(...scored(rows), rank, histogram.byteOffset);
      return { value, ties: histogram[0] };
    },
    keepAbove(rows, { value, ties }, out) {
      return raw.keepAbove(...scored(rows), value, ties, ...lists(out, rows.nRows), out.capacity) >>> 0;
    },
    decodeSparse(codes, { nRows, decoder, width, bias, target }) {
      raw.decodeSparse(
        ...lists(codes, nRows),
        nRows,
        at(decoder, width, "decoder"),
        width,
        bias === undefined ? 0 : at(bias, width, "bias"),
        at(target, nRows * width, "target"),
      );
    },
    addSparseGradients(codes, { nRows, width, x, g, decoder, dEncoder, dEncoderBias, dDecoder }) {
      raw.addSparseGradients(
        ...lists(codes, nRows),
        nRows,
        at(x, nRows * width, "x"),
        at(g, nRows * width, "g"),
        at(decoder, width, "decoder"),
        width,
        at(dEncoder, decoder.length, "dEncoder"),
        at(dEncoderBias, decoder.length / width, "dEncoderBias"),
        at(dDecoder, decoder.length, "dDecoder"),
      );
    },
    sumOfSquares: (source) => raw.sumOfSquares(at(source, 0, "source"), source.length),
    rowNorms(matrix, { nRows, width, columnStart, nColumns, out }) {
      raw.rowNorms(
        at(matrix, nRows * width, "matrix"),
        nRows,
        width,
        columnStart,
        nColumns,
        at(out, nRows, "out"),
      );
    },
  };
}
