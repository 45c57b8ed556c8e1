import { expect, test } from "vitest";
import type { TokenizedDocument } from "../text/document.ts";
import { buildRows } from "./build-rows.ts";

function documentOf(id: string, dataset: string, slots: string[]): TokenizedDocument {
  const n = slots.length;
  const ramp = (first: number) => Uint32Array.from({ length: n }, (_, i) => first + i);
  return {
    id,
    dataset,
    split: "heldout",
    hash: "",
    group: 7,
    text: "text",
    turns: [],
    tokenBase: ramp(10),
    tokenFinetuned: ramp(20),
    charStart: ramp(0),
    charEnd: ramp(1),
    role: new Uint8Array(n).fill(3),
    turn: new Int16Array(n).fill(-1),
    slot: slots,
  };
}

test("rows are the documents' tokens one after another, with names turned into indices", () => {
  const built = buildRows([
    documentOf("a", "x", ["none", "user-open-0"]),
    documentOf("b", "y", ["user-open-0", "none", "user-close-0"]),
  ]);
  const { rows } = built;
  expect([built.datasets, built.slots]).toEqual([
    ["x", "y"],
    ["none", "user-open-0", "user-close-0"],
  ]);
  expect(built.documents.map(({ index, rowStart, rowEnd }) => [index, rowStart, rowEnd])).toEqual([
    [0, 0, 2],
    [1, 2, 5],
  ]);
  const columns = Object.fromEntries(
    Object.entries(rows).map(([name, column]) => [
      name,
      typeof column === "number" ? column : Array.from(column),
    ]),
  );
  expect(columns).toEqual({
    nRows: 5,
    document: [0, 0, 1, 1, 1],
    turn: [-1, -1, -1, -1, -1],
    position: [0, 1, 0, 1, 2],
    split: [1, 1, 1, 1, 1],
    role: [3, 3, 3, 3, 3],
    slot: [0, 1, 1, 0, 2],
    dataset: [0, 0, 1, 1, 1],
    charStart: [0, 1, 0, 1, 2],
    charEnd: [1, 2, 1, 2, 3],
    tokenBase: [10, 11, 10, 11, 12],
    tokenFinetuned: [20, 21, 20, 21, 22],
  });
});

test("skipped tokens give no rows, keep the others' positions, and are kept apart for both models", () => {
  const built = buildRows([
    { ...documentOf("a", "x", ["none", "user-open-0", "none"]), nSkipped: 2 },
    { ...documentOf("nothing left", "x", ["none", "none"]), nSkipped: 2 },
    { ...documentOf("b", "x", ["user-open-0", "none"]), nSkipped: 0 },
  ]);
  expect(built.documents.map(({ id, index, rowStart, rowEnd }) => [id, index, rowStart, rowEnd])).toEqual([
    ["a", 0, 0, 1],
    ["b", 1, 1, 3],
  ]);
  expect([...built.rows.position]).toEqual([2, 0, 1]);
  expect([...built.rows.tokenBase]).toEqual([12, 10, 11]);
  expect([...built.rows.charStart]).toEqual([2, 0, 1]);
  expect(built.rows.slot[0]).toBe(built.slots.indexOf("none"));
  expect(built.skipped.map(({ base, finetuned }) => [[...base], [...finetuned]])).toEqual([
    [
      [10, 11],
      [20, 21],
    ],
    [[], []],
  ]);
});

test("more datasets than a byte can name are refused", () => {
  const many = Array.from({ length: 257 }, (_, i) => documentOf(String(i), `set-${i}`, ["none"]));
  expect(() => buildRows(many)).toThrow(/dataset "set-256": expected at most 256/);
  expect(buildRows(many.slice(0, 256)).datasets).toHaveLength(256);
});
