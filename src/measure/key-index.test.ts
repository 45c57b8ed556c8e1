import fc from "fast-check";
import { expect, test } from "vitest";
import { createKeyIndex } from "./key-index.ts";

/** Keys that crowd: neighbours, multiples of 2^16, both ends of u32. */
const keys = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 40 }).map((i) => i * 65536),
    fc.integer({ min: 0, max: 20 }).map((i) => 0xffffffff - i),
  ),
  { maxLength: 200 },
);

test("numbers keys as a Map does, before and after it is cleared", () => {
  const index = createKeyIndex();
  const property = fc.property(keys, (list) => {
    const twin = new Map<number, number>();
    for (const key of list) {
      if (!twin.has(key)) twin.set(key, twin.size);
      expect(index.find(key)).toBe((twin.get(key) as number) < index.size() ? twin.get(key) : -1);
      expect(index.place(key)).toBe(twin.get(key));
    }
    expect(index.size()).toBe(twin.size);
    expect(Array.from(index.sortedKeys())).toEqual([...twin.keys()].sort((a, b) => a - b));
    index.clear();
    expect(list.map((key) => index.find(key))).toEqual(list.map(() => -1));
  });
  fc.assert(property, { seed: 1, numRuns: 100 });
});

test("keeps every key while it grows far beyond its first capacity", () => {
  const index = createKeyIndex();
  const key = (i: number): number => Math.imul(i, 256) >>> 0;
  for (let i = 0; i < 20_000; i += 1) index.place(key(i));
  for (let i = 0; i < 20_000; i += 1) if (index.find(key(i)) !== i) expect.fail(`key ${i}`);
  expect(index.find(key(20_000))).toBe(-1);
});
