import { expect, test } from "vitest";
import { viewOf } from "../causal/effects-scatter.tsx";
import { nextCursor, shadeOf } from "./shaded-text.tsx";

test("the first arrow shows the peak, the next ones step inside the text, Escape leaves it", () => {
  const of = (key: string, at: number | null) => nextCursor(key, { at, peak: 3, nTokens: 5 });
  expect([of("ArrowRight", null), of("ArrowLeft", null)]).toEqual([3, 3]);
  expect([of("ArrowRight", 4), of("ArrowLeft", 0), of("ArrowRight", 1)]).toEqual([4, 0, 2]);
  expect([of("Home", null), of("End", 2)]).toEqual([0, 4]);
  expect([of("Escape", 2), of("Escape", null), of("Tab", 2)]).toEqual([null, undefined, undefined]);
});

test("the darkest shade is the greatest value, of either sign; the other sign and no value are not shaded", () => {
  expect([shadeOf(10, 10), shadeOf(1, 10), shadeOf(-5, 10), shadeOf(null, 10)]).toEqual([9, 1, 0, 0]);
  expect([shadeOf(-10, -10), shadeOf(-1, -10), shadeOf(5, -10), shadeOf(5, 0)]).toEqual([9, 1, 0, 0]);
});

test("the plot of single latents begins with all points and the origin inside, and has an extent for none", () => {
  const points = { x: Float64Array.of(2, 5), y: Float64Array.of(-1, 4), group: new Uint8Array(2) };
  const { x0, x1, y0, y1 } = viewOf(points);
  expect([x0 < 0, x1 > 5, y0 < -1, y1 > 4]).toEqual([true, true, true, true]);
  const empty = viewOf({ x: new Float64Array(), y: new Float64Array(), group: new Uint8Array() });
  expect([empty.x1 > empty.x0, empty.y1 > empty.y0]).toEqual([true, true]);
});
