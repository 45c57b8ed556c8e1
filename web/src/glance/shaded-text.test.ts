import { expect, test } from "vitest";
import { viewOf } from "../causal/effects-scatter.tsx";
import { shadeOf } from "./shaded-text.tsx";

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
