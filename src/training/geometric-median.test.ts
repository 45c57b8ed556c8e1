import { expect, test } from "vitest";
import { geometricMedian } from "./geometric-median.ts";

const of = (rows: number[][], siteOffsets: number[]): number[] => [
  ...geometricMedian(Float32Array.from(rows.flat()), {
    nRows: rows.length,
    width: rows[0].length,
    siteOffsets,
  }),
];

test("in one dimension it is the median, which an outlier cannot move", () => {
  expect(of([[1], [2], [3], [4], [1000]], [0, 1])[0]).toBeCloseTo(3, 2); // 100 rounds of a slow method: to ~1e-3
});

test("the corners of a triangle with an angle of 120° or more: the median is that corner, and hitting it is no division by zero", () => {
  const [x, y] = of(
    [
      [0, 0],
      [1, 0],
      [-1, 0],
      [0, 0.1],
    ],
    [0, 2],
  );
  expect(Math.hypot(x, y)).toBeLessThan(0.01);
  expect(
    of(
      [
        [2, 2],
        [2, 2],
        [2, 2],
      ],
      [0, 2],
    ),
  ).toEqual([2, 2]);
});

test("every site has its own median", () => {
  const rows = [
    [1, 50],
    [2, 40],
    [3, -1000],
  ];
  const [a, b] = of(rows, [0, 1, 2]);
  expect(a).toBeCloseTo(2, 2);
  expect(b).toBeCloseTo(40, 1);
});

test("it minimises the sum of distances better than the mean does", () => {
  const rows = [
    [0, 1, 2],
    [4, -1, 0.5],
    [9, 9, 9],
    [-1, 0, 1],
    [0.3, 0.2, 0.1],
  ];
  const cost = (centre: number[]): number =>
    rows.reduce((sum, row) => sum + Math.hypot(...row.map((value, i) => value - centre[i])), 0);
  const median = of(rows, [0, 3]);
  const mean = [0, 1, 2].map((i) => rows.reduce((sum, row) => sum + row[i] / rows.length, 0));
  expect(cost(median)).toBeLessThan(cost(mean));
  for (const [i, h] of [
    [0, 0.01],
    [1, 0.01],
    [2, 0.01],
    [0, -0.01],
    [1, -0.01],
    [2, -0.01],
  ]) {
    expect(cost(median)).toBeLessThanOrEqual(cost(median.map((value, j) => (i === j ? value + h : value))));
  }
});
