// What the comparison shows, as data, and its form in the address. What cannot be read is the default.

import type { MatchingBy, MatchingChange } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { joinParts, splitParts } from "../location.ts";

export const CHANGES = ["kept", "lost", "new", "not compared"] as const satisfies readonly MatchingChange[];
export const SORT_COLUMNS = [
  "a",
  "b",
  "change",
  "score",
  "cosineBase",
  "cosineFinetuned",
  "cosineJoint",
  "shared",
] as const;
export type SortColumn = (typeof SORT_COLUMNS)[number];

export interface CompareState {
  /** The dictionary on the right; null: none chosen. */
  other: DictionaryPlace | null;
  /** null: by direction where that is possible. */
  by: MatchingBy | null;
  latents: "claims" | "all";
  /** "": of every kind; "unclaimed": neither dictionary claims it. */
  change: (typeof CHANGES)[number] | "unclaimed" | "";
  /** Claims of this side alone; "": of either. */
  side: "finetuned" | "base" | "";
  sort: { column: SortColumn; descending: boolean } | null;
  /** Rows of the side-by-side table that are equal are shown, too. */
  same: boolean;
  /** Decoder direction of the scatter plot. */
  direction: "finetuned" | "base";
  /** Whose points it shows. */
  points: "both" | "a" | "b";
}

export function parseCompareState(query: URLSearchParams): CompareState {
  const [study, dictionary = ""] = splitParts(query.get("with") ?? "");
  const sort = query.get("order") ?? "";
  const column = oneOf(SORT_COLUMNS, sort.replace(/^-/, ""));
  return {
    other: /^\d{1,9}$/.test(study) && dictionary !== "" ? { study: Number(study), dictionary } : null,
    by: oneOf(["direction", "place"] as const, query.get("by")) ?? null,
    latents: oneOf(["claims", "all"], query.get("of")) ?? "claims",
    change: oneOf([...CHANGES, "unclaimed"], query.get("change")) ?? "",
    side: oneOf(["finetuned", "base"], query.get("side")) ?? "",
    sort: column === undefined ? null : { column, descending: sort.startsWith("-") },
    same: query.get("same") === "1",
    direction: oneOf(["finetuned", "base"], query.get("direction")) ?? "finetuned",
    points: oneOf(["both", "a", "b"], query.get("points")) ?? "both",
  };
}

/** A copy of `query` with the changes; what is the default is not said. */
export function withCompareState(query: URLSearchParams, change: Partial<CompareState>): URLSearchParams {
  const state = { ...parseCompareState(query), ...change };
  const next = new URLSearchParams(query);
  const values: Record<string, string> = {
    with: state.other === null ? "" : joinParts([state.other.study, state.other.dictionary]),
    by: state.by ?? "",
    of: state.latents === "claims" ? "" : state.latents,
    change: state.change,
    side: state.side,
    order: state.sort === null ? "" : `${state.sort.descending ? "-" : ""}${state.sort.column}`,
    same: state.same ? "1" : "",
    direction: state.direction === "finetuned" ? "" : state.direction,
    points: state.points === "both" ? "" : state.points,
  };
  for (const [name, value] of Object.entries(values)) {
    if (value === "") next.delete(name);
    else next.set(name, value);
  }
  return next;
}

function oneOf<T extends string>(words: readonly T[], text: string | null): T | undefined {
  return words.find((word) => word === text);
}
