// Which rows of a matching the table shows, and in which order; and the same rows as CSV.

import type { MatchingRows } from "../../../src/dashboard/api-contract.ts";
import { sideOf } from "../parts/token.tsx";
import type { CompareState } from "./compare-state.ts";

/** Indices of the rows that pass, in order. Without a number a row stands last in either direction; equal ones keep their order. */
export function selectRows(
  rows: MatchingRows,
  { change, side, sort }: Pick<CompareState, "change" | "side" | "sort">,
): number[] {
  const shown: number[] = [];
  for (let i = 0; i < rows.a.length; i += 1) {
    const kind = rows.change[i] === "" ? "unclaimed" : rows.change[i];
    if (change !== "" && kind !== change) continue;
    if (side !== "" && sideOf(rows.claimA[i]) !== side && sideOf(rows.claimB[i]) !== side) continue;
    shown.push(i);
  }
  if (sort === null) return shown;
  const { column, descending } = sort;
  const values = rows[column];
  const sign = descending ? -1 : 1;
  return shown.sort((i, k) => {
    const [x, y] = [values[i], values[k]];
    const [noX, noY] = [isNothing(x), isNothing(y)];
    if (noX || noY) return Number(noX) - Number(noY) || i - k;
    if (x === y) return i - k;
    return sign * ((x as number) < (y as number) ? -1 : 1);
  });
}

/** −1: no latent. */
function isNothing(value: number | string | null): boolean {
  return value === null || value === "" || value === -1;
}

export interface CsvColumn {
  name: string;
  of: (row: number) => string | number | null;
}

const FORMULA_START = /^[=+\-@\t\r\n＝＋－＠]/u;

/** RFC 4180 with a header line; text that a spreadsheet would run gets an apostrophe in front, as in the server's files (export/csv.ts). */
export function rowsCsv(order: readonly number[], columns: readonly CsvColumn[]): string {
  const lines = [columns.map(({ name }) => textCell(name))];
  for (const row of order) {
    lines.push(
      columns.map(({ of }) => {
        const value = of(row);
        return value === null ? "" : typeof value === "number" ? String(value) : textCell(value);
      }),
    );
  }
  return lines.map((cells) => `${cells.join(",")}\r\n`).join("");
}

function textCell(text: string): string {
  const inert = FORMULA_START.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
