// Where points land in the picture, and what a lasso becomes.

import { expect, test } from "vitest";
import { binValues as reportBins } from "../../../src/report/charts/histogram.ts";
import { binValues } from "./bin-values.ts";
import { GESTURES, toPolygon } from "./scatter-gestures.ts";
import { drawPoints, nearestPoint, niceTicks, type Points, panBy, zoomAt } from "./scatter-raster.ts";

const UNIT = { x0: 0, x1: 1, y0: 0, y1: 1 };
const points = (places: [number, number, number?][]): Points => ({
  x: Float64Array.from(places, ([x]) => x),
  y: Float64Array.from(places, ([, y]) => y),
  group: Uint8Array.from(places, ([, , group = 0]) => group),
});
const COLOURS = [
  [10, 20, 30],
  [200, 100, 50],
] as const;
const draw = (places: [number, number, number?][]): Uint8ClampedArray =>
  drawPoints(points(places), { view: UNIT, width: 10, height: 10, scale: 1, colours: COLOURS });
const alphaAt = (image: Uint8ClampedArray, x: number, y: number): number => image[(y * 10 + x) * 4 + 3];

test("a point is drawn around its place, with the vertical axis upwards", () => {
  const image = draw([[0.25, 0.85]]);
  expect(alphaAt(image, 2, 1)).toBeGreaterThan(200);
  expect(alphaAt(image, 3, 2)).toBeGreaterThan(200);
  expect(alphaAt(image, 5, 1)).toBe(0);
  expect(alphaAt(image, 2, 8)).toBe(0);
  expect([...image.slice((10 + 2) * 4, (10 + 2) * 4 + 3)]).toEqual([10, 20, 30]);
});

test("points without a place, or out of view, draw nothing and never wrap around an edge", () => {
  const image = draw([
    [Number.NaN, 0.5],
    [0.5, Infinity],
    [-0.5, 0.5],
    [0.5, 1.5],
  ]);
  expect(image.every((value) => value === 0)).toBe(true);
  const edge = draw([[0.999, 0.5]]);
  for (let y = 0; y < 10; y += 1) expect(alphaAt(edge, 0, y)).toBe(0);
});

test("a higher group is drawn over a lower one whatever their order", () => {
  const [first, second] = [
    draw([
      [0.5, 0.5, 1],
      [0.5, 0.5, 0],
    ]),
    draw([
      [0.5, 0.5, 0],
      [0.5, 0.5, 1],
    ]),
  ];
  expect(first).toEqual(second);
  expect(first[(5 * 10 + 5) * 4]).toBeGreaterThan(150);
});

test("the nearest point within reach is found, none beyond it", () => {
  const some = points([
    [0.1, 0.1],
    [0.5, 0.5],
    [Number.NaN, 0.5],
  ]);
  const at = (x: number, y: number): number =>
    nearestPoint(some, { view: UNIT, width: 100, height: 100, x, y });
  expect(at(52, 49)).toBe(1);
  expect(at(12, 92)).toBe(0);
  expect(at(80, 20)).toBe(-1);
});

test("zooming keeps the place under the pointer, panning keeps the size", () => {
  const view = zoomAt(UNIT, { x: 0.25, y: 0.75, factor: 2 });
  expect(view).toEqual({ x0: 0.125, x1: 0.625, y0: 0.375, y1: 0.875 });
  expect(panBy(UNIT, { right: 0.5, up: -1 })).toEqual({ x0: 0.5, x1: 1.5, y0: -1, y1: 0 });
});

test("ticks are round and inside", () => {
  expect(niceTicks(-0.1, 1.5, 5)).toEqual([0, 0.5, 1, 1.5]);
  expect(niceTicks(0, 1, 5)).toEqual([0, 0.5, 1]);
});

test("a long lasso keeps its form in a bounded number of corners, in data units", () => {
  const places = Array.from({ length: 1000 }, (_, i) => [
    50 + 40 * Math.cos((2 * Math.PI * i) / 1000),
    50 + 40 * Math.sin((2 * Math.PI * i) / 1000),
  ]).flat();
  const polygon = toPolygon(places, { view: UNIT, width: 100, height: 100 });
  expect(polygon.length / 2).toBeLessThanOrEqual(GESTURES.corners);
  for (let i = 0; i < polygon.length; i += 2)
    // Four significant digits.
    expect(Math.hypot(polygon[i] - 0.5, polygon[i + 1] - 0.5)).toBeCloseTo(0.4, 3);
});

test("bins are those of the report's histogram", () => {
  const values = Float64Array.from({ length: 500 }, (_, i) => (i % 7 === 0 ? Number.NaN : (i % 61) / 60));
  const range = { from: 0, to: 1, nBins: 40 };
  expect(binValues(values, range)).toEqual(reportBins(values, range).bins);
});
