// Which latents the table shows, and in which order: one pass over typed arrays, then one sort of what is left.
//
// Not here: the words of the address (table-state.ts), fetching columns (columns.ts). The readable twin is
// select-latents-reference.ts.

import type { Lasso, TableState } from "./table-state.ts";

export type ColumnValues =
  | { kind: "number"; values: Float64Array }
  | { kind: "category"; codes: Uint16Array; words: readonly string[] }
  | { kind: "text"; texts: readonly string[] };

export interface SelectionInput {
  nLatents: number;
  state: TableState;
  /** Every column of neededColumns(state) that exists; one that is absent filters nothing. */
  columns: ReadonlyMap<string, ColumnValues>;
  /** Latents that a text search found; null: no search. */
  found: ReadonlySet<number> | null;
  starred: ReadonlySet<number>;
  /** Latents that carry the tag of the state. */
  tagged: ReadonlySet<number>;
}

/**
 * Latents that pass every filter, in order; u32 [nShown].
 *
 * NaN passes no range and stands last in either direction of a sort; equal values keep the order of the latents.
 */
export function selectLatents(input: SelectionInput): Uint32Array {
  const { nLatents, state, found, starred, tagged } = input;
  const keep = new Uint8Array(nLatents).fill(1);
  for (const range of state.ranges) keepRange(keep, range, input.columns.get(range.column));
  for (const { column, words } of state.categories) keepWords(keep, words, input.columns.get(column));
  if (state.lasso !== null) keepLasso(keep, state.lasso, input.columns);
  if (found !== null) keepSet(keep, found);
  if (state.starred) keepSet(keep, starred);
  if (state.tag !== "") keepSet(keep, tagged);

  let nShown = 0;
  const order = new Uint32Array(nLatents);
  for (let latent = 0; latent < nLatents; latent += 1) if (keep[latent] === 1) order[nShown++] = latent;
  return sortLatents(order.slice(0, nShown), state.sort, input.columns);
}

/** Even-odd rule; a point on an edge may count either way. polygon: x0, y0, x1, y1, … */
export function isInside(polygon: readonly number[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [polygon[i], polygon[i + 1], polygon[j], polygon[j + 1]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function keepRange(
  keep: Uint8Array,
  { low, high }: { low: number | null; high: number | null },
  column: ColumnValues | undefined,
): void {
  if (column?.kind !== "number") return;
  const [from, to] = [low ?? -Infinity, high ?? Infinity];
  const { values } = column;
  for (let i = 0; i < keep.length; i += 1) if (!(values[i] >= from && values[i] <= to)) keep[i] = 0;
}

function keepWords(keep: Uint8Array, wanted: readonly string[], column: ColumnValues | undefined): void {
  if (column?.kind !== "category") return;
  const isWanted = column.words.map((word) => wanted.includes(word));
  for (let i = 0; i < keep.length; i += 1) if (!isWanted[column.codes[i]]) keep[i] = 0;
}

function keepLasso(keep: Uint8Array, lasso: Lasso, columns: ReadonlyMap<string, ColumnValues>): void {
  const [x, y] = [columns.get(lasso.x), columns.get(lasso.y)];
  if (x?.kind !== "number" || y?.kind !== "number") return;
  for (let i = 0; i < keep.length; i += 1)
    if (keep[i] === 1 && !isInside(lasso.points, x.values[i], y.values[i])) keep[i] = 0;
}

function keepSet(keep: Uint8Array, wanted: ReadonlySet<number>): void {
  for (let i = 0; i < keep.length; i += 1) if (keep[i] === 1 && !wanted.has(i)) keep[i] = 0;
}

function sortLatents(
  order: Uint32Array,
  sort: TableState["sort"],
  columns: ReadonlyMap<string, ColumnValues>,
): Uint32Array {
  if (sort === null) return order;
  const sign = sort.descending ? -1 : 1;
  if (sort.column === "latent") return sort.descending ? order.reverse() : order;
  const column = columns.get(sort.column);
  if (column === undefined) return order;
  const keys = sortKeys(column);
  return order.sort((a, b) => {
    const [left, right] = [keys[a], keys[b]];
    if (left === right) return a - b;
    if (Number.isNaN(left)) return Number.isNaN(right) ? a - b : 1;
    if (Number.isNaN(right)) return -1;
    return left < right ? -sign : sign;
  });
}

/** Words and texts as their rank in order of code units; empty ones as NaN, which stand last. */
function sortKeys(column: ColumnValues): Float64Array {
  if (column.kind === "number") return column.values;
  const words = column.kind === "category" ? column.words : column.texts;
  const ranks = new Map(
    [...new Set(words)].sort().map((word, rank) => [word, word === "" ? Number.NaN : rank]),
  );
  const rankOf = (word: string): number => ranks.get(word) ?? Number.NaN;
  if (column.kind === "text") return Float64Array.from(column.texts, rankOf);
  const ofCode = column.words.map(rankOf);
  return Float64Array.from(column.codes, (code) => ofCode[code]);
}
