// The WASM kernels as functions of typed arrays, over one arena of WebAssembly memory.
//
// Every array given to a kernel must have been made by the same instance's f32(), f64(), u32() or u8(): the arena only grows and
// is freed as a whole when nothing points at it any more. onnxruntime takes these arrays as tensors without a copy. Sources
// in kernels/, readable twins in kernels-reference.ts. One instance is one thread's; each latent shard owns one.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ShapeError, StorageError } from "../errors.ts";
import { packageRoot } from "../package-root.ts";
import {
  ADAM,
  type CodeBuffers,
  type Entries,
  type Kernels,
  type MeasureRowsArrays,
  N_FIT_SUMS,
  N_ROW_CLASSES,
  type ScoredRows,
} from "./kernel-contract.ts";

export type * from "./kernel-contract.ts";
export { ADAM, N_FIT_SUMS, N_ROW_CLASSES, ROW_CLASS } from "./kernel-contract.ts";

const PAGE_BYTES = 65_536;
/** First usable byte: address 0 means "no array" to the kernels. */
const FIRST_BYTE = PAGE_BYTES;
const MAXIMUM_BYTES = 65_536 * PAGE_BYTES;
/** One cache line; also what keeps v128 loads aligned. */
const ALIGNMENT_BYTES = 64;
const HISTOGRAM_BINS = 2048;

export interface KernelArena extends Kernels {
  /** New zeroed arrays of the arena. Throw StorageError when it is full. */
  f32(length: number): Float32Array;
  f64(length: number): Float64Array;
  u32(length: number): Uint32Array;
  u8(length: number): Uint8Array;
  usedBytes(): number;
  /**
   * Adds rows to the sums of a measuring pass, in f64. Returns the first row that holds a number that is not finite, where it
   * stops; −1 when there is none. Its readable twin is src/measure/measure-rows-reference.ts.
   */
  measureRows(rows: MeasureRowsArrays): number;
  /**
   * e [n] f64 = exp(x − max) of a row of logits x [n ≥ 1] f32; NaN where the row holds one. Readable twin of this and the next:
   * src/causal/divergence-reference.ts.
   */
  exponentials(x: Float32Array, e: Float64Array): { max: number; sum: number };
  /**
   * A row x [n ≥ 1] f32 against two others of its length, given with their exponentials. out [4] f64: Σ exp(x − max),
   * Σ e_first (first − x), Σ exp(x − max) (x − first), Σ e_second (second − x). Returns max.
   */
  divergenceSums(
    x: Float32Array,
    first: { logits: Float32Array; exponentials: Float64Array },
    second: { logits: Float32Array; exponentials: Float64Array },
    out: Float64Array,
  ): number;
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
  | "adamRows"
  | "addScaledRow"
  | "auxiliaryTerm"
  | "centredSquares"
  | "collectEntries"
  | "columnSums"
  | "countAtLeast"
  | "countDigits"
  | "decodeSparse"
  | "divergenceSums"
  | "exponentials"
  | "filterEntries"
  | "gateCodeGradients"
  | "greatest"
  | "groupEntries"
  | "keepAbove"
  | "kthLargest"
  | "latentGradients"
  | "measureRows"
  | "reluInPlace"
  | "residualTerm"
  | "rowNorms"
  | "sumOfSquares"
  | "topOfRow",
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

  const allocate = (wanted: number): number => {
    const start = Math.ceil(next / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    if (start + wanted > buffer.byteLength) {
      throw new StorageError(`WASM arena of ${buffer.byteLength} bytes: no room for ${wanted} more`, {
        hint: "create the kernels with more bytes",
      });
    }
    next = start + wanted;
    return start;
  };
  const f32 = (length: number): Float32Array => new Float32Array(buffer, allocate(length * 4), length);
  const f64 = (length: number): Float64Array => new Float64Array(buffer, allocate(length * 8), length);
  const u32 = (length: number): Uint32Array => new Uint32Array(buffer, allocate(length * 4), length);
  const u8 = (length: number): Uint8Array => new Uint8Array(buffer, allocate(length), length);
  const histogram = u32(HISTOGRAM_BINS);

  /** Address of an arena array that must hold at least `length` elements. */
  const at = (
    array: Float32Array | Float64Array | Uint32Array | Uint8Array,
    length: number,
    name: string,
  ): number => {
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
  const listed = ({ row, latent, code, activation, capacity }: Entries): [number, number, number, number] => [
    at(row, capacity, "row"),
    at(latent, capacity, "latent"),
    at(code, capacity, "code"),
    at(activation, capacity, "activation"),
  ];

  return {
    f32,
    f64,
    u32,
    u8,
    usedBytes: () => next,
    adamRows({ parameter, gradient, firstMoment, secondMoment }, options) {
      const n = parameter.length;
      raw.adamRows(
        at(parameter, n, "parameter"),
        at(gradient, n, "gradient"),
        at(firstMoment, n, "firstMoment"),
        at(secondMoment, n, "secondMoment"),
        at(options.touched, n / options.rowLength, "touched"),
        n / options.rowLength,
        options.rowLength,
        options.gradientScale,
        options.learningRate / (1 - ADAM.beta1 ** options.updateNumber),
        1 / Math.sqrt(1 - ADAM.beta2 ** options.updateNumber),
      );
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
    latentGradients({ start, other, code }, options) {
      const { nLatents, width, x, direction, decoder, penalty, dEncoder, dEncoderBias, dDecoder } = options;
      return raw.latentGradients(
        at(start, nLatents + 1, "start"),
        at(other, 0, "other"),
        at(code, 0, "code"),
        nLatents,
        at(x, 0, "x"),
        at(direction, x.length, "direction"),
        at(decoder, nLatents * width, "decoder"),
        width,
        penalty === undefined ? 0 : at(penalty, nLatents, "penalty"),
        at(dEncoder, nLatents * width, "dEncoder"),
        at(dEncoderBias, nLatents, "dEncoderBias"),
        at(dDecoder, nLatents * width, "dDecoder"),
      );
    },
    countDigits(source, { prefix, prefixMask, shift, bins }, out) {
      const arrays: [number, number, number, number] =
        "values" in source ? [at(source.values, source.count, "values"), 0, 1, source.count] : scored(source);
      raw.countDigits(...arrays, prefix, prefixMask, shift, bins, at(out, HISTOGRAM_BINS, "histogram"));
    },
    collectEntries(tile, { firstLatent, bound, entries, count }) {
      const to = listed(entries);
      return raw.collectEntries(...scored(tile), firstLatent, bound, ...to, count, entries.capacity) >>> 0;
    },
    filterEntries: (entries, count, bound) => raw.filterEntries(...listed(entries), count, bound) >>> 0,
    groupEntries({ row, latent, code }, { by, count, nKeys, out }) {
      const [key, other] = by === "row" ? [row, latent] : [latent, row];
      raw.groupEntries(
        at(key, count, "key"),
        at(other, count, "other"),
        at(code, count, "code"),
        count,
        nKeys,
        at(out.start, nKeys + 1, "start"),
        at(out.other, count, "other"),
        at(out.code, count, "code"),
      );
    },
    topOfRow(tiles, { row, list, nList, most, score, place, entries, count }) {
      const to = listed(entries);
      return (
        raw.topOfRow(
          ...scored(tiles),
          tiles.tileLatents,
          row,
          at(list, nList, "list"),
          nList,
          most,
          at(score, nList, "score"),
          at(place, nList, "place"),
          histogram.byteOffset,
          ...to,
          count,
          entries.capacity,
        ) >>> 0
      );
    },
    countAtLeast(start, { activation, nRows, bound, out }) {
      raw.countAtLeast(
        at(start, nRows + 1, "start"),
        at(activation, 0, "activation"),
        nRows,
        at(bound, nRows, "bound"),
        at(out, nRows, "out"),
      );
    },
    residualTerm({ x, residual, direction, nRows, width, from, to, share, squared }) {
      return raw.residualTerm(
        at(x, nRows * width, "x"),
        at(residual, nRows * width, "residual"),
        at(direction, nRows * width, "direction"),
        nRows,
        width,
        from,
        to,
        share,
        squared ? 1 : 0,
      );
    },
    columnSums(source, { nRows, width, out }) {
      raw.columnSums(at(source, nRows * width, "source"), nRows, width, at(out, width, "out"));
    },
    centredSquares: (source, { nRows, width, mean }) =>
      raw.centredSquares(at(source, nRows * width, "source"), nRows, width, at(mean, width, "mean")),
    auxiliaryTerm: (residual, out, factor) =>
      raw.auxiliaryTerm(at(residual, out.length, "residual"), at(out, 0, "out"), out.length, factor),
    reluInPlace: (pre) => raw.reluInPlace(at(pre, 0, "pre"), pre.length) >>> 0,
    gateCodeGradients({ code, codeGradient, weight }, { nRows, nLatents, penalty }) {
      const n = nRows * nLatents;
      raw.gateCodeGradients(
        at(code, n, "code"),
        at(codeGradient, n, "codeGradient"),
        at(weight, nLatents, "weight"),
        nRows,
        nLatents,
        penalty,
      );
    },
    addScaled(target, source, factor) {
      raw.addScaledRow(at(target, 0, "target"), at(source, target.length, "source"), factor, target.length);
    },
    measureRows({ nRows, nLatents, widthBase, width, stride, ...arrays }) {
      const nEntries = arrays.rowStart[nRows];
      return (
        raw.measureRows(
          nRows,
          at(arrays.x, nRows * width, "x"),
          at(arrays.flags, nRows, "flags"),
          at(arrays.rowStart, nRows + 1, "rowStart"),
          at(arrays.latent, nEntries, "latent"),
          at(arrays.code, nEntries, "code"),
          at(arrays.decoder, nLatents * width, "decoder"),
          at(arrays.bias, width, "bias"),
          widthBase,
          width,
          at(arrays.sums, nLatents * stride, "sums"),
          stride,
          at(arrays.columnSums, N_ROW_CLASSES * width, "columnSums"),
          at(arrays.squares, N_ROW_CLASSES * N_FIT_SUMS, "squares"),
          at(arrays.scratch, 2 * width, "scratch"),
        ) - 1
      );
    },
    exponentials(x, e) {
      const n = x.length;
      const max = raw.greatest(at(x, 1, "x"), n);
      return { max, sum: raw.exponentials(at(x, 1, "x"), n, max, at(e, n, "e")) };
    },
    divergenceSums(x, first, second, out) {
      const n = x.length;
      const max = raw.greatest(at(x, 1, "x"), n);
      raw.divergenceSums(
        at(x, 1, "x"),
        n,
        max,
        at(first.logits, n, "first.logits"),
        at(first.exponentials, n, "first.exponentials"),
        at(second.logits, n, "second.logits"),
        at(second.exponentials, n, "second.exponentials"),
        at(out, 4, "out"),
      );
      return max;
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
