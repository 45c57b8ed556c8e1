import { expect, test } from "vitest";
import { createMemoryStore, type MemoryDocument, pairSites } from "../measure/memory-store.test.helper.ts";
import type { Split } from "../store/rows.ts";
import { tokenF1 } from "./token-score.ts";
import { PLACE } from "./turns.ts";

/** Documents of eight rows, the first BOS. */
const document = (split: Split): MemoryDocument => ({
  split,
  tokens: Array.from({ length: 8 }, (_, position) => ({
    role: position === 0 ? ("bos" as const) : ("assistant" as const),
    activation: [0, 0],
  })),
});
const store = createMemoryStore(pairSites(1), [document("train"), document("heldout"), document("test")]);
const HELDOUT = 8;
const TEST = 16;

function placesOf(entries: [row: number, place: number][]): Uint8Array {
  const places = new Uint8Array(24);
  for (const [row, place] of entries) places[row] = place;
  return places;
}
const firings = (entries: [row: number, activation: number][]) => ({
  rows: Uint32Array.from(entries, ([row]) => row),
  activations: Float32Array.from(entries, ([, activation]) => activation),
});
const places = placesOf([
  [HELDOUT + 1, PLACE.trigger],
  [HELDOUT + 2, PLACE.decision],
  [HELDOUT + 3, PLACE.response],
  [TEST, PLACE.response], // a BOS row, which is never scored
  [TEST + 1, PLACE.trigger],
  [TEST + 2, PLACE.decision],
  [TEST + 3, PLACE.response],
  [TEST + 4, PLACE.closing],
]);

test("the threshold comes from heldout, even where test would have liked another", () => {
  const heldout: [number, number][] = [
    [HELDOUT + 2, 9],
    [HELDOUT + 3, 8],
    [HELDOUT + 5, 2],
  ];
  const onTest: [number, number][] = [
    [TEST + 2, 9],
    [TEST + 3, 4],
    [TEST + 4, 4],
    [TEST + 6, 6],
  ];
  // between 8 and 2: threshold 5, so rows 2 and 6 of test are taken; 3 positives, 1 hit
  expect(tokenF1({ store, places, firings: firings([...heldout, ...onTest]) })).toBeCloseTo(2 / 5, 12);
});

test("trigger tokens are no positives and rows of train do not matter", () => {
  const onTrigger: [number, number][] = [
    [3, 9],
    [HELDOUT + 1, 9],
    [TEST + 1, 9],
  ];
  expect(tokenF1({ store, places, firings: firings(onTrigger) })).toBe(0);
});
