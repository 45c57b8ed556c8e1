// The table's state survives its way through an address.

import fc from "fast-check";
import { expect, test } from "vitest";
import { joinParts, splitParts } from "../location.ts";
import {
  EMPTY_TABLE,
  neededColumns,
  parseTableState,
  type TableState,
  withTableState,
} from "./table-state.ts";

const name = fc
  .string({ minLength: 1 })
  .filter((text) => !/\p{Surrogate}/u.test(text) && !text.startsWith("-"));
const number = fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value));
const limit = fc.option(number);
const states: fc.Arbitrary<TableState> = fc.record({
  sort: fc.option(fc.record({ column: name, descending: fc.boolean() })),
  ranges: fc.array(fc.record({ column: name, low: limit, high: limit }), { maxLength: 3 }),
  categories: fc.array(
    fc.record({ column: name, words: fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }) }),
    {
      maxLength: 2,
    },
  ),
  search: fc.option(
    fc.record({
      text: name,
      mode: fc.constantFrom("text" as const, "regex" as const),
      where: fc.constantFrom("examples" as const, "labels" as const),
    }),
  ),
  lasso: fc.option(
    fc.record({
      x: name,
      y: name,
      points: fc
        .array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -10, max: 10 }), {
          minLength: 6,
          maxLength: 12,
        })
        .filter((points) => points.length % 2 === 0)
        .map((points) => points.map((value) => value + 0 || 0)),
    }),
  ),
  columns: fc.option(fc.array(name, { minLength: 1, maxLength: 4 })),
  starred: fc.boolean(),
  tag: fc.string({ unit: "grapheme" }),
});

test("parsing what was written gives the same state, whatever characters the names hold", () => {
  fc.assert(
    fc.property(states, (state) => {
      const query = withTableState(new URLSearchParams({ study: "0", sort: "old", range: "old~1~2" }), state);
      expect(parseTableState(new URLSearchParams(query.toString()))).toEqual(state);
      expect(query.get("study")).toBe("0");
    }),
    { numRuns: 200 },
  );
});

test("parts come back whatever they hold", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }), (parts) => {
      expect(splitParts(joinParts(parts))).toEqual(parts);
    }),
  );
});

test("what cannot be read is left out and nothing fails", () => {
  const query = new URLSearchParams(
    "range=deltaNorm~a~1&range=x~1&is=claim&lasso=x~y~1~2~3&mode=no&search=&columns=%25zz",
  );
  expect(parseTableState(query)).toEqual({
    ...EMPTY_TABLE,
    ranges: [{ column: "deltaNorm", low: null, high: 1 }],
    columns: ["%zz"],
  });
});

test("a column that filters and sorts is needed once", () => {
  const state = parseTableState(new URLSearchParams("sort=-a&range=a~0~1&is=b~x&lasso=c~a~0~0~1~0~1~1"));
  expect(neededColumns(state)).toEqual(["a", "b", "c"]);
});
