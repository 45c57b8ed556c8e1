import { expect, test } from "vitest";
import { nextCursor } from "./token-cursor.ts";

test("the first arrow goes to the first place, the next ones step inside the text, Escape leaves it", () => {
  const of = (key: string, at: number | null) => nextCursor(key, { at, first: 3, nTokens: 5 });
  expect([of("ArrowRight", null), of("ArrowLeft", null)]).toEqual([3, 3]);
  expect([of("ArrowRight", 4), of("ArrowLeft", 0), of("ArrowRight", 1)]).toEqual([4, 0, 2]);
  expect([of("Home", null), of("End", 2)]).toEqual([0, 4]);
  expect([of("Escape", 2), of("Escape", null), of("Tab", 2)]).toEqual([null, undefined, undefined]);
});
