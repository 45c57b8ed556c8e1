import { expect, test } from "vitest";
import { type CausalState, parseCausalState, withCausalState } from "./causal-state.ts";

test("the address holds the whole state, and what is as at first is left out of it", () => {
  const place = new URLSearchParams("study=0&dictionary=main&screen=causal");
  const first = parseCausalState(place);
  expect(withCausalState(place, first).toString()).toBe(place.toString());
  const change: CausalState = {
    ...({ metric: "gapClosed", form: "both", limits: "published", edits: "all", role: "all" } as const),
    ...{ sort: { column: "damage", descending: false }, latent: 12, behaviour: "a~b&c" },
    lasso: [0.1, -0.2, 1e-5, 3, 4, 5],
  };
  const next = withCausalState(place, change);
  expect(parseCausalState(new URLSearchParams(next.toString()))).toEqual(change);
  expect(withCausalState(next, first).toString()).toBe(place.toString());
});

test("what means nothing in an address is passed over", () => {
  const first = parseCausalState(new URLSearchParams());
  const junk = "metric=toString&form=&limits=x&edits=1&role=both&effect=1e3&lasso=1~2~a~4~5~6";
  expect(parseCausalState(new URLSearchParams(junk))).toEqual(first);
  for (const lasso of ["1~2~3~4", "1~2~3~4~5~6~7", "1~~3~4~5~6", Array(300).fill("1").join("~")])
    expect(parseCausalState(new URLSearchParams({ lasso })).lasso, lasso).toEqual([]);
});
