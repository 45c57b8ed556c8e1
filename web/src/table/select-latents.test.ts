// The fast selection against its readable twin, and the facts that a reader of the table relies on.

import fc from "fast-check";
import { expect, test } from "vitest";
import { writeLatentRanges } from "./latent-ranges.ts";
import { type ColumnValues, isInside, type SelectionInput, selectLatents } from "./select-latents.ts";
import { selectLatentsReference } from "./select-latents-reference.ts";
import { EMPTY_TABLE, type TableState } from "./table-state.ts";

const N = 40;
const WORDS = ["", "shared", "base-only", "finetuned-only"];
const values = fc
  .array(fc.oneof(fc.constantFrom(Number.NaN, 0, 1, Infinity, -Infinity), fc.double({ min: -2, max: 2 })), {
    minLength: N,
    maxLength: N,
  })
  .map((list): ColumnValues => ({ kind: "number", values: Float64Array.from(list) }));
const codes = fc
  .array(fc.nat(WORDS.length - 1), { minLength: N, maxLength: N })
  .map((list): ColumnValues => ({ kind: "category", codes: Uint16Array.from(list), words: WORDS }));
const texts = fc
  .array(fc.constantFrom("", "a", "b", "ä"), { minLength: N, maxLength: N })
  .map((list): ColumnValues => ({ kind: "text", texts: list }));
const latents = fc.uniqueArray(fc.nat(N - 1)).map((list) => new Set(list));

const inputs: fc.Arbitrary<SelectionInput> = fc.record({
  nLatents: fc.constant(N),
  columns: fc.tuple(values, values, codes, texts).map(
    ([x, y, claim, label]) =>
      new Map([
        ["x", x],
        ["y", y],
        ["claim", claim],
        ["label", label],
      ] as const),
  ),
  state: fc.record({
    ...Object.fromEntries(Object.entries(EMPTY_TABLE).map(([key, value]) => [key, fc.constant(value)])),
    sort: fc.option(
      fc.record({
        column: fc.constantFrom("x", "claim", "label", "latent", "absent"),
        descending: fc.boolean(),
      }),
    ),
    ranges: fc.array(
      fc.record({
        column: fc.constantFrom("x", "y", "claim", "absent"),
        low: fc.option(fc.double({ min: -2, max: 1 })),
        high: fc.option(fc.double({ min: 0, max: 2 })),
      }),
      { maxLength: 2 },
    ),
    categories: fc.array(fc.record({ column: fc.constant("claim"), words: fc.subarray(WORDS) }), {
      maxLength: 1,
    }),
    lasso: fc.option(fc.constant({ x: "x", y: "y", points: [-1, -1, 1, -1, 1.5, 1, -0.5, 1.5] })),
    starred: fc.boolean(),
    tag: fc.constantFrom("", "seen"),
  }) as fc.Arbitrary<TableState>,
  found: fc.option(latents),
  starred: latents,
  tagged: latents,
});

test("the pass over typed arrays selects and orders what the readable one does", () => {
  fc.assert(
    fc.property(inputs, (input) => {
      expect([...selectLatents(input)]).toEqual(selectLatentsReference(input));
    }),
    { numRuns: 300 },
  );
});

test("latents without a value stand last in both directions, equal ones in order of number", () => {
  const columns = new Map<string, ColumnValues>([
    ["x", { kind: "number", values: Float64Array.of(Number.NaN, 2, 1, 2, Number.NaN) }],
  ]);
  const none = new Set<number>();
  const order = (descending: boolean): number[] => [
    ...selectLatents({
      nLatents: 5,
      columns,
      found: null,
      starred: none,
      tagged: none,
      state: { ...EMPTY_TABLE, sort: { column: "x", descending } },
    }),
  ];
  expect(order(false)).toEqual([2, 1, 3, 0, 4]);
  expect(order(true)).toEqual([1, 3, 2, 0, 4]);
});

test("a polygon holds what lies inside it, also where it is dented, and never what has no place", () => {
  const dented = [0, 0, 4, 0, 4, 4, 2, 1, 0, 4];
  expect(isInside(dented, 1, 1)).toBe(true);
  expect(isInside(dented, 2, 2)).toBe(false);
  expect(isInside(dented, 5, 1)).toBe(false);
  expect(isInside(dented, Number.NaN, 1)).toBe(false);
  expect(isInside(dented, 1, Number.NaN)).toBe(false);
});

test("ranges of latents name each once", () => {
  expect(writeLatentRanges([7, 2, 1, 0, 9, 8])).toBe("0-2,7-9");
  expect(writeLatentRanges([5])).toBe("5");
  expect(writeLatentRanges([])).toBe("");
});
