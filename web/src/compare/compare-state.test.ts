import { expect, test } from "vitest";
import { type CompareState, parseCompareState, withCompareState } from "./compare-state.ts";

const DEFAULTS: CompareState = {
  ...{ other: null, by: null, latents: "claims", change: "", side: "", sort: null },
  ...{ same: false, direction: "finetuned", points: "both" },
};
const CHOSEN: CompareState = {
  other: { study: 2, dictionary: "seed~0 %/a" },
  ...{ by: "place", latents: "all", change: "not compared", side: "base" },
  sort: { column: "cosineJoint", descending: true },
  ...{ same: true, direction: "base", points: "b" },
};

test("the address says every choice and nothing of the defaults; other parameters stay", () => {
  const query = new URLSearchParams("study=1&dictionary=main&screen=compare");
  expect(parseCompareState(query)).toEqual(DEFAULTS);
  const chosen = withCompareState(query, CHOSEN);
  expect(parseCompareState(new URLSearchParams(String(chosen)))).toEqual(CHOSEN);
  expect(chosen.get("screen")).toBe("compare");
  expect(String(withCompareState(chosen, DEFAULTS))).toBe(String(query));
  expect(parseCompareState(withCompareState(chosen, { side: "" }))).toEqual({ ...CHOSEN, side: "" });
});

test("what cannot be read is the default", () => {
  for (const broken of [
    "with=",
    "with=1",
    "with=x~main",
    "with=-1~main",
    "with=1~",
    "by=name",
    "of=some",
    "change=gone",
    "side=left",
    "order=-colour",
    "points=c",
    "same=yes",
  ])
    expect(parseCompareState(new URLSearchParams(broken)), broken).toEqual(DEFAULTS);
});
