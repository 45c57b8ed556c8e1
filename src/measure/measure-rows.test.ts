import { describe, expect, test } from "vitest";
import {
  createKernels,
  type MeasureRowsArrays,
  N_FIT_SUMS,
  N_ROW_CLASSES,
  ROW_CLASS,
} from "../compute/kernels.ts";
import { createRng } from "../numerics/rng.ts";
import { N_SUMS } from "./latent-scaling.ts";
import { measureRowsReference } from "./measure-rows-reference.ts";

type Case = { nRows: number; nLatents: number; widthBase: number; width: number; perRow: number };

/** Random arrays: made by the kernels' arena, or plain ones. */
function arraysOf({ nRows, nLatents, widthBase, width, perRow }: Case, inArena: boolean): MeasureRowsArrays {
  const arena = createKernels({ bytes: 2 ** 22 });
  const f32 = (n: number) => (inArena ? arena.f32(n) : new Float32Array(n));
  const f64 = (n: number) => (inArena ? arena.f64(n) : new Float64Array(n));
  const u32 = (n: number) => (inArena ? arena.u32(n) : new Uint32Array(n));
  const rng = createRng(3, "measure rows");
  const normal = (target: Float32Array, step: number): Float32Array => {
    for (let i = 0; i < target.length; i += 1) target[i] = rng.normal(step, i);
    return target;
  };
  const rowStart = u32(nRows + 1);
  const latent = u32(nRows * perRow);
  const code = normal(f32(nRows * perRow), 1).map((value) => Math.abs(value));
  let entries = 0;
  for (let i = 0; i < nRows; i += 1) {
    for (let j = 0; j < nLatents && entries - rowStart[i] < perRow; j += 1) {
      if (rng.uniform(2, i * nLatents + j) < (2 * perRow) / nLatents / 1.5) latent[entries++] = j;
    }
    rowStart[i + 1] = entries;
  }
  const ownCode = f32(code.length);
  ownCode.set(code);
  const flags = inArena ? arena.u8(nRows) : new Uint8Array(nRows);
  const kinds = [
    ROW_CLASS.ordinary,
    ROW_CLASS.ordinary | ROW_CLASS.templateBit,
    ROW_CLASS.bos,
    ROW_CLASS.normOutlier,
  ];
  for (let i = 0; i < nRows; i += 1) flags[i] = kinds[i % 4];
  const arrays: MeasureRowsArrays = {
    ...{ nRows, nLatents, widthBase, width, flags, rowStart, latent },
    x: normal(f32(nRows * width), 3),
    code: ownCode,
    decoder: normal(f32(nLatents * width), 4),
    bias: normal(f32(width), 5),
    sums: f64(nLatents * N_SUMS),
    stride: N_SUMS,
    columnSums: f64(N_ROW_CLASSES * width),
    squares: f64(N_ROW_CLASSES * N_FIT_SUMS),
    scratch: f64(2 * width),
  };
  return inArena ? Object.assign(arrays, { arena }) : arrays;
}

const run = (arrays: MeasureRowsArrays): number =>
  "arena" in arrays
    ? (arrays.arena as ReturnType<typeof createKernels>).measureRows(arrays)
    : measureRowsReference(arrays);

const CASES: [string, Case][] = [
  ["models of one width", { nRows: 23, nLatents: 40, widthBase: 16, width: 32, perRow: 6 }],
  ["an odd width", { nRows: 9, nLatents: 12, widthBase: 7, width: 14, perRow: 5 }],
  ["width 1", { nRows: 5, nLatents: 4, widthBase: 1, width: 2, perRow: 3 }],
  ["models of two widths", { nRows: 17, nLatents: 20, widthBase: 6, width: 15, perRow: 4 }],
  ["rows without codes", { nRows: 4, nLatents: 6, widthBase: 3, width: 6, perRow: 0 }],
  ["no rows", { nRows: 0, nLatents: 6, widthBase: 3, width: 6, perRow: 0 }],
];

describe("measureRows", () => {
  test.each(CASES)("agrees with its twin: %s", (_, size) => {
    const fast = arraysOf(size, true);
    const slow = arraysOf(size, false);
    expect(run(fast)).toBe(-1);
    expect(run(slow)).toBe(-1);
    for (const name of ["sums", "columnSums", "squares"] as const) {
      const largest = slow[name].reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      for (let i = 0; i < slow[name].length; i += 1) {
        // f64 sums of a few thousand terms in another order.
        expect(Math.abs(fast[name][i] - slow[name][i]), `${name}[${i}]`).toBeLessThan(1e-12 * largest);
      }
    }
  });

  test("rows of one call or of several give the same bits", () => {
    const size = CASES[0][1];
    const whole = arraysOf(size, true);
    run(whole);
    const parts = arraysOf(size, true) as MeasureRowsArrays & { arena: ReturnType<typeof createKernels> };
    for (const [from, to] of [
      [0, 5],
      [5, size.nRows],
    ]) {
      const { rowStart, width } = parts;
      const starts = parts.arena.u32(to - from + 1);
      starts.set(rowStart.subarray(from, to + 1));
      run({
        ...parts,
        nRows: to - from,
        x: parts.x.subarray(from * width),
        flags: parts.flags.subarray(from),
        rowStart: starts,
      });
    }
    expect(parts.sums).toEqual(whole.sums);
    expect(parts.squares).toEqual(whole.squares);
  });

  test.each(["x", "code"] as const)("stops at the first row whose %s is not finite", (name) => {
    for (const inArena of [true, false]) {
      const arrays = arraysOf(CASES[0][1], inArena);
      if (name === "x") arrays.x[6 * arrays.width + 3] = Number.NaN;
      else arrays.code[arrays.rowStart[6]] = Number.POSITIVE_INFINITY;
      expect(run(arrays)).toBe(6);
    }
  });
});
