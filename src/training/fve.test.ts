import { expect, test } from "vitest";
import { addSums, centredSums, columnMeans, emptySums, fveOf, meanOfFigures, varianceSums } from "./fve.ts";

const names = ["base", "finetuned"];
/** Two sites of width 1. Base: 0, 2, 4 with errors 1, 1, 1; fine-tune: 0, 0, 3 with errors 0, 0, 3. */
const rows = {
  x: Float32Array.of(0, 0, 2, 0, 4, 3),
  residual: Float32Array.of(1, 0, 1, 0, 1, 3),
  nRows: 3,
  siteOffsets: [0, 1, 2],
};

test("pooled FVE by pencil: a constant offset of the reconstruction costs", () => {
  const mean = columnMeans(rows.x, { nRows: 3, width: 2 });
  expect([...mean]).toEqual([2, 1]);
  const sums = varianceSums({ ...rows, mean });
  expect(sums).toEqual({ residual: [3, 9], total: [8, 6] });
  expect(fveOf(sums, names)).toEqual({ base: 1 - 3 / 8, finetuned: 1 - 9 / 6, total: 1 - 12 / 14 });
});

test("the reference's batch-centred figure by pencil: a constant offset costs nothing", () => {
  // Var of the errors 1, 1, 1 is 0; of 0, 0, 3 about their mean 1 it is 6 (times rows).
  expect(centredSums(rows)).toEqual({ residual: [0, 6], total: [8, 6] });
  expect(fveOf(centredSums(rows), names)).toEqual({ base: 1, finetuned: 0, total: 1 - 6 / 14 });
});

test("sums over parts give the pooled figure, which a mean of the parts' ratios is not", () => {
  const mean = columnMeans(rows.x, { nRows: 3, width: 2 });
  const part = (from: number, to: number) => ({
    x: rows.x.subarray(2 * from, 2 * to),
    residual: rows.residual.subarray(2 * from, 2 * to),
    nRows: to - from,
    siteOffsets: rows.siteOffsets,
    mean,
  });
  const sums = emptySums(2);
  const ratios = [part(0, 1), part(1, 3)].map((some) => {
    addSums(sums, varianceSums(some));
    return fveOf(varianceSums(some), names);
  });
  expect(sums).toEqual(varianceSums({ ...rows, mean }));
  expect(meanOfFigures(ratios)?.total).not.toBeCloseTo(fveOf(sums, names).total, 2);
});

test("a mean of figures with a NaN among them is NaN, and of none there is none", () => {
  expect(meanOfFigures([{ total: 1 }, { total: Number.NaN }])).toEqual({ total: Number.NaN });
  expect(meanOfFigures([])).toBeUndefined();
});
