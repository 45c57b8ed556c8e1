import { expect, test } from "vitest";
import { FormatError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { PartArrays } from "./part-arrays.ts";
import {
  addWindow,
  createWindowTable,
  type HashedWindow,
  readWindow,
  removeWindow,
  takeWindows,
  windowAround,
  windowsOfPart,
} from "./window.ts";

const rng = createRng(7, "test.window");

/** Window number i: 1 to 25 tokens, of which some fired, the peak among them. */
function someWindow(i: number): HashedWindow {
  const length = 1 + Math.floor(25 * rng.uniform(0, i));
  const peak = Math.floor(length * rng.uniform(1, i));
  const activations = Float32Array.from({ length }, (_, at) =>
    rng.uniform(2 + at, i) < 0.3 ? rng.uniform(30 + at, i) : 0,
  );
  activations[peak] = 2;
  const textHash = 2 ** 32 * i + 1;
  const windowStart = 1000 * i;
  return {
    ...{ document: i, peakRow: windowStart + peak, windowStart, windowEnd: windowStart + length },
    ...{ maxActivation: 2, activations, textHash },
  };
}

test("the table gives back what was put in while windows come and go", () => {
  const table = createWindowTable();
  const twin = new Map<number, HashedWindow>();
  for (let i = 0; i < 3000; i += 1) {
    // Grows to some hundred windows, then replaces: values are closed up many times.
    if (twin.size > 300) {
      const slots = [...twin.keys()];
      const slot = slots[Math.floor(slots.length * rng.uniform(99, i))];
      removeWindow(table, slot);
      twin.delete(slot);
    }
    const slot = addWindow(table, someWindow(i));
    expect(twin.has(slot)).toBe(false);
    twin.set(slot, someWindow(i));
  }
  for (const [slot, window] of twin) expect(readWindow(table, slot)).toEqual(window);
  // About 8 values a window: replacing thousands left no more than twice what is held, rounded up to a power of two.
  expect(table.values.length).toBeLessThanOrEqual(4 * table.nLive);
  expect(table.nSlots).toBe(301);
});

test("a part holds the windows in the order asked for, and the table is empty afterwards", () => {
  const table = createWindowTable();
  const slots = Uint32Array.from({ length: 50 }, (_, i) => addWindow(table, someWindow(i))).reverse();
  const latents = slots.map((slot) => Math.floor(slot / 10));
  const part = takeWindows(table, "p", { latents, slots });
  const read = windowsOfPart(part, "p", 5);
  expect(Array.from(latents.keys(), (i) => read.window(i))).toEqual(Array.from(slots, someWindow));
  expect([read.n, read.latent, read.document]).toEqual([50, latents, slots]);
  expect(addWindow(table, someWindow(3))).toBe(0);
  expect(readWindow(table, 0)).toEqual(someWindow(3));
});

test("a part whose masks do not fit its windows, or whose values are short, is a FormatError", () => {
  const table = createWindowTable();
  const slots = Uint32Array.of(addWindow(table, { ...someWindow(1), activations: Float32Array.of(2, 0, 1) }));
  const part = takeWindows(table, "p", { latents: new Uint32Array(1), slots });
  expect(windowsOfPart(part, "p", 1).n).toBe(1);
  const damages: PartArrays[] = [
    { "p.mask": Uint32Array.of(0) },
    { "p.mask": Uint32Array.of(8) },
    { "p.length": Uint8Array.of(26) },
    { "p.values": new Float32Array(1) },
    { "p.maximum": new Float32Array(2) },
  ];
  for (const damage of damages) {
    expect(() => windowsOfPart({ ...part, ...damage }, "p", 1)).toThrow(FormatError);
  }
});

test("windows are the same text when all their tokens are, wherever they stand", () => {
  const hashOf = (tokens: number[]): number =>
    windowAround({
      firings: { rows: Uint32Array.of(70), activations: Float32Array.of(1) },
      peak: 0,
      document: { index: 0, rowStart: 70, rowEnd: 70 + tokens.length, tokens: Uint32Array.from(tokens) },
    }).textHash;
  expect(hashOf([5, 6, 7])).toBe(hashOf([5, 6, 7]));
  const texts = new Set<string>();
  const hashes = new Set<number>();
  for (let a = 0; a < 20; a += 1) {
    for (let b = 0; b < 20; b += 1) {
      for (const text of [
        [a, b],
        [b, a, 0],
        [65536 * a, 65536 * b + 1],
      ]) {
        texts.add(String(text));
        hashes.add(hashOf(text));
      }
    }
  }
  expect(hashes.size).toBe(texts.size);
});

test("token ids that are more or fewer than the document's rows are a ShapeError", () => {
  const firings = { rows: Uint32Array.of(100), activations: Float32Array.of(1) };
  const around = (nTokens: number) => {
    const document = { index: 3, rowStart: 90, rowEnd: 110, tokens: new Uint32Array(nTokens) };
    return windowAround({ firings, peak: 0, document });
  };
  expect([around(20).windowStart, around(20).windowEnd]).toEqual([90, 110]);
  for (const nTokens of [19, 21]) expect(() => around(nTokens)).toThrow(ShapeError);
});
