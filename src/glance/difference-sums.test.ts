// Streaming sums of the difference against all rows at hand, and what they keep of the texts.

import { expect, test } from "vitest";
import { NumericsError, ShapeError } from "../errors.ts";
import { measure } from "./difference-lens.ts";
import { makeRows, sliceRows } from "./difference-rows.test.data.ts";
import {
  createDifferenceSums,
  type DifferenceRows,
  type DifferenceSumsOptions,
  type SummedDifference,
} from "./difference-sums.ts";
import { differenceReference } from "./difference-sums-reference.ts";

/** Batches of the given numbers of rows. */
async function sum(
  rows: DifferenceRows,
  options: DifferenceSumsOptions,
  batchRows = rows.document.length,
): Promise<SummedDifference> {
  const sums = createDifferenceSums({ threads: 1, ...options });
  try {
    for (let from = 0; from < rows.document.length; from += batchRows) {
      const to = Math.min(rows.document.length, from + batchRows);
      await sums.add(sliceRows(rows, [from, to], options.dModel));
    }
    return await sums.finish();
  } finally {
    await sums.dispose();
  }
}

const dModel = 7;
// 2,400 rows: two whole blocks of the covariance and a rest. A large common shift, as fine-tunes have.
const rows = makeRows({
  documents: 120,
  tokens: 20,
  dModel,
  shift: [40, 0, 0, 0, -3, 0, 0],
  spread: (i) => 1 / (1 + i),
  bosScale: 50,
});

test("sums by position, over positions and over all text agree with the formulas on all rows", async () => {
  const summed = await sum(rows, { dModel, positions: 6 }, 77);
  const { position, isUnrelated, isBos } = rows;
  for (let p = 0; p < 6; p += 1) {
    const expected = differenceReference(
      rows,
      dModel,
      (row) => position[row] === p && isUnrelated[row] === 1,
    );
    const got = measure(summed.positions[p]);
    expect(got.texts).toBe(60);
    // f32 rows, f64 sums
    expect(got.relativeNorm).toBeCloseTo(expected.relativeNorm, 5);
    expect(got.consistency).toBeCloseTo(expected.consistency, 5);
  }
  const first = differenceReference(
    rows,
    dModel,
    (row) => position[row] > 0 && position[row] < 6 && isUnrelated[row] === 1,
  );
  expect(measure(summed.overall).texts).toBe(first.rows);
  expect(measure(summed.overall).relativeNorm).toBeCloseTo(first.relativeNorm, 5);

  const all = differenceReference(rows, dModel, (row) => isBos[row] === 0);
  expect(summed.moment.rows).toBe(all.rows);
  expect(summed.change.sum / summed.change.rows).toBeCloseTo(all.changeRatio, 4); // a mean of terms up to 1e4
  for (let a = 0; a < dModel; a += 1) {
    expect(summed.moment.mean[a]).toBeCloseTo(all.mean[a], 5);
    for (let b = 0; b < dModel; b += 1) {
      const scale = Math.sqrt(all.scatter[a][a] * all.scatter[b][b]);
      // f32 products of 1,024 rows at a time: 1e-5 of the coordinates' own scatter, whatever the shift
      expect(Math.abs(summed.moment.scatter[a * dModel + b] - all.scatter[a][b]) / scale).toBeLessThan(1e-5);
    }
  }
  const trace = all.scatter.reduce((total, row, a) => total + row[a], 0);
  expect(summed.moment.deviation / trace).toBeCloseTo(1, 5);
});

test("BOS rows count at their position and nowhere else", async () => {
  const { positions, overall, moment, sample } = await sum(rows, { dModel });
  expect(positions[0].bosRows).toBe(60);
  expect(positions[1].bosRows).toBe(0);
  expect(overall.rows).toBe(60 * 19);
  expect(moment.rows).toBe(120 * 19);
  expect(sample.every((one) => one.positions[0] === 1)).toBe(true);
});

test("how the rows are cut into batches changes nothing but f32 rounding, and the sample not at all", async () => {
  const whole = await sum(rows, { dModel, sampleBytes: 4 * dModel * 500 });
  const cut = await sum(rows, { dModel, sampleBytes: 4 * dModel * 500 }, 13);
  expect(cut.positions).toEqual(whole.positions);
  expect(cut.sample).toEqual(whole.sample);
});

test("the sample holds whole texts within its bytes, the same in any order of texts", async () => {
  const options = { dModel, sampleBytes: 4 * dModel * 500, seed: 3 };
  const { sample } = await sum(rows, options);
  expect(sample.length).toBe(Math.floor(500 / 19));
  const n = rows.document.length;
  const halves: [number, number][] = [
    [n / 2, n],
    [0, n / 2],
  ];
  const swapped = createDifferenceSums({ threads: 1, ...options });
  for (const range of halves) await swapped.add(sliceRows(rows, range, dModel));
  expect((await swapped.finish()).sample).toEqual(sample);
  await swapped.dispose();
  for (const { document, positions, rows: kept } of sample) {
    expect([...positions]).toEqual(Array.from({ length: 19 }, (_, i) => i + 1));
    const at = (document * 20 + 1) * dModel;
    expect(kept[0]).toBe(Math.fround(rows.hFinetuned[at] - rows.hBase[at]));
  }
  const other = await sum(rows, { ...options, seed: 4 });
  expect(other.sample.map(({ document }) => document)).not.toEqual(sample.map(({ document }) => document));
});

test("identical models give zeros and no NaN", async () => {
  const same = { ...rows, hFinetuned: rows.hBase };
  const { positions, moment, change } = await sum(same, { dModel });
  expect(measure(positions[1])).toEqual({ texts: 60, relativeNorm: 0, consistency: 0 });
  expect(measure(positions[100])).toEqual({ texts: 0, relativeNorm: null, consistency: 0 });
  expect([moment.deviation, moment.squares, change.sum]).toEqual([0, 0, 0]);
  expect(moment.scatter.every((value) => value === 0)).toBe(true);
});

test("no rows at all give empty sums", async () => {
  const { moment, sample } = await sum(sliceRows(rows, [0, 0], dModel), { dModel });
  expect(moment.rows).toBe(0);
  expect(moment.scatter.length).toBe(0);
  expect(sample).toEqual([]);
});

test("a residual that is not finite is named by model, text and position", async () => {
  const broken = sliceRows(rows, [0, 40], dModel);
  broken.hFinetuned[25 * dModel + 2] = Number.NaN;
  const work = sum(broken, { dModel });
  await expect(work).rejects.toThrow(NumericsError);
  await expect(work).rejects.toThrow(/finetuned model: text 1, position 5/);
});

test("arrays that do not fit are refused", async () => {
  const short = { ...sliceRows(rows, [0, 40], dModel), isBos: new Uint8Array(39) };
  const sums = createDifferenceSums({ dModel, threads: 1 });
  await expect(sums.add(short)).rejects.toThrow(ShapeError);
});
