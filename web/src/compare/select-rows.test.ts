import { expect, test } from "vitest";
import type { MatchingRows } from "../../../src/dashboard/api-contract.ts";
import { rowsCsv, selectRows } from "./select-rows.ts";

const F = "finetuned-specific";
const B = "base-specific";
const NONE = [null, null, null, null, null];
const ROWS: MatchingRows = {
  a: [0, 3, -1, 9, 4],
  b: [7, -1, 2, 5, 7],
  change: ["kept", "not compared", "new", "", "lost"],
  claimA: [F, B, "", "none", F],
  claimB: [F, "", B, "none", "none"],
  found: [1, 0, 0, 1, 0],
  score: [0.9, null, 0.2, 0.9, 0.4],
  ...{ cosineBase: NONE, cosineFinetuned: NONE, cosineJoint: NONE, shared: NONE },
};
const select = (state: Partial<Parameters<typeof selectRows>[1]>) =>
  selectRows(ROWS, { change: "", side: "", sort: null, ...state });

test("rows are shown by what became of the claim, and by the side of a claim in either", () => {
  expect(select({})).toEqual([0, 1, 2, 3, 4]);
  expect(select({ change: "kept" })).toEqual([0]);
  expect(select({ change: "unclaimed" })).toEqual([3]);
  expect(select({ side: "base" })).toEqual([1, 2]);
  expect(select({ side: "finetuned", change: "lost" })).toEqual([4]);
});

test("rows without a number or a latent stand last in either direction; equal ones keep their order", () => {
  expect(select({ sort: { column: "score", descending: true } })).toEqual([0, 3, 4, 2, 1]);
  expect(select({ sort: { column: "score", descending: false } })).toEqual([2, 4, 0, 3, 1]);
  expect(select({ sort: { column: "a", descending: true } })).toEqual([3, 4, 1, 0, 2]);
  expect(select({ sort: { column: "change", descending: false } })).toEqual([0, 4, 2, 1, 3]);
});

test("CSV holds text as text: quotes doubled, formulas inert, nothing for no number", () => {
  const csv = rowsCsv(
    [1, 0],
    [
      { name: "latent", of: (row) => ROWS.a[row] },
      { name: "score", of: (row) => ROWS.score[row] },
      { name: "tokens", of: (row) => ["=1+1", 'a "b",\nc'][row] },
    ],
  );
  expect(csv).toBe(`latent,score,tokens\r\n3,,"a ""b"",\nc"\r\n0,0.9,'=1+1\r\n`);
});
