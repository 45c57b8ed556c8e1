import { expect, test } from "vitest";
import { categoryNames, createCategoryCounts, positionDecile } from "./category-counts.ts";

const names = categoryNames({ datasets: ["chats", "prose"], slots: ["none", "turn"] });
const rows = [
  { categories: { role: 3, dataset: 0, slot: 1, positionDecile: 0 }, latents: [0, 2] },
  { categories: { role: 3, dataset: 0, slot: 0, positionDecile: 9 }, latents: [2] },
  { categories: { role: 0, dataset: 1, slot: 0, positionDecile: 9 }, latents: [] },
  { categories: { role: 0, dataset: 1, slot: 0, positionDecile: 4 }, latents: [1, 2] },
];

function counted(which: typeof rows) {
  const counts = createCategoryCounts(3, names);
  for (const { categories, latents } of which) {
    const padded = Uint32Array.from([9, ...latents, 9]); // entries of other rows stand around a row's own
    counts.add(categories, padded, 1, 1 + latents.length);
  }
  return counts;
}

test("a frequency is the share of a category's rows in which the latent fired, NaN where it has none", () => {
  const counts = counted(rows);
  expect(counts.frequencies(2, "dataset")).toEqual([1, 0.5]);
  expect(counts.frequencies(0, "slot")).toEqual([0, 1]);
  expect(counts.frequencies(1, "role")).toEqual([0.5, Number.NaN, Number.NaN, 0, Number.NaN, Number.NaN]);
  expect(counts.frequencies(2, "positionDecile")[9]).toBe(0.5);
  expect(counts.rows("dataset")).toEqual([2, 2]);
  expect(counts.rows("positionDecile").reduce((sum, n) => sum + n, 0)).toBe(4);
});

test("parts merged in any order give what one pass gives, and taking leaves nothing behind", () => {
  const whole = counted(rows);
  const parts = [counted(rows.slice(2)), counted(rows.slice(0, 2))].map((counts) => {
    const part = counts.takeArrays();
    expect(counts.rows("dataset")).toEqual([0, 0]);
    return part;
  });
  const merged = createCategoryCounts(3, names);
  for (const part of parts) merged.merge(part);
  expect(merged.takeArrays()).toEqual(whole.takeArrays());
});

test("deciles cut a document into tenths, first row 0 and last row 9", () => {
  const document = { rowStart: 100, rowEnd: 120 };
  expect([100, 101, 102, 118, 119].map((row) => positionDecile(row, document))).toEqual([0, 0, 1, 9, 9]);
  expect(positionDecile(5, { rowStart: 5, rowEnd: 6 })).toBe(0);
});
