// What the latents table shows, as data, and its form in the address: order, ranges, categories, search, lasso, columns.
//
// Parsing never fails: what cannot be read is left out, and the table shows its filters. Applying it: select-latents.ts.

import { joinParts, splitParts } from "../location.ts";

export interface Range {
  column: string;
  /** Inclusive; null: open. */
  low: number | null;
  high: number | null;
}

export interface TextSearch {
  text: string;
  mode: "text" | "regex";
  where: "examples" | "labels";
}

/** Latents inside a polygon drawn on a scatter plot. */
export interface Lasso {
  x: string;
  y: string;
  /** x0, y0, x1, y1, … in data units. */
  points: number[];
}

export interface TableState {
  sort: { column: string; descending: boolean } | null;
  ranges: Range[];
  /** A latent's category is one of the words. */
  categories: { column: string; words: string[] }[];
  search: TextSearch | null;
  lasso: Lasso | null;
  /** Null: the usual ones. */
  columns: string[] | null;
  starred: boolean;
  /** Carries this tag; "" for any. */
  tag: string;
}

export const EMPTY_TABLE: TableState = {
  sort: null,
  ranges: [],
  categories: [],
  search: null,
  lasso: null,
  columns: null,
  starred: false,
  tag: "",
};

const NAMES = ["sort", "range", "is", "search", "mode", "in", "lasso", "columns", "starred", "tag"] as const;

export function parseTableState(query: URLSearchParams): TableState {
  const sort = query.get("sort");
  const text = query.get("search") ?? "";
  const columns = query.get("columns");
  return {
    sort: sort ? { column: sort.replace(/^-/, ""), descending: sort.startsWith("-") } : null,
    ranges: query
      .getAll("range")
      .map((value) => splitParts(value))
      .filter((parts) => parts.length === 3)
      .map(([column, low, high]) => ({ column, low: limit(low), high: limit(high) })),
    categories: query
      .getAll("is")
      .map((value) => splitParts(value))
      .filter((parts) => parts.length >= 2)
      .map(([column, ...words]) => ({ column, words })),
    search:
      text === ""
        ? null
        : {
            text,
            mode: query.get("mode") === "regex" ? "regex" : "text",
            where: query.get("in") === "labels" ? "labels" : "examples",
          },
    lasso: parseLasso(query.get("lasso")),
    columns: columns === null ? null : splitParts(columns).filter((name) => name !== ""),
    starred: query.get("starred") === "1",
    tag: query.get("tag") ?? "",
  };
}

/** A copy of `query` with the table's parameters replaced by those of `state`. */
export function withTableState(query: URLSearchParams, state: TableState): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const name of NAMES) next.delete(name);
  if (state.sort !== null) next.set("sort", `${state.sort.descending ? "-" : ""}${state.sort.column}`);
  for (const { column, low, high } of state.ranges)
    next.append("range", joinParts([column, low ?? "", high ?? ""]));
  for (const { column, words } of state.categories) next.append("is", joinParts([column, ...words]));
  if (state.search !== null) {
    next.set("search", state.search.text);
    next.set("mode", state.search.mode);
    next.set("in", state.search.where);
  }
  if (state.lasso !== null)
    next.set("lasso", joinParts([state.lasso.x, state.lasso.y, ...state.lasso.points]));
  if (state.columns !== null) next.set("columns", joinParts(state.columns));
  if (state.starred) next.set("starred", "1");
  if (state.tag !== "") next.set("tag", state.tag);
  return next;
}

/** Columns whose values the selection and its order need. */
export function neededColumns(state: TableState): string[] {
  const names = [
    ...(state.sort === null ? [] : [state.sort.column]),
    ...state.ranges.map(({ column }) => column),
    ...state.categories.map(({ column }) => column),
    ...(state.lasso === null ? [] : [state.lasso.x, state.lasso.y]),
  ];
  return [...new Set(names)];
}

function limit(text: string): number | null {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? null : value;
}

function parseLasso(text: string | null): Lasso | null {
  if (text === null) return null;
  const [x, y, ...rest] = splitParts(text);
  const points = rest.map(Number);
  const isPolygon = points.length >= 6 && points.length % 2 === 0 && points.every(Number.isFinite);
  return isPolygon ? { x, y, points } : null;
}
