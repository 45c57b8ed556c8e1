// What is exported of a dictionary's table: which latents, in which order, which columns. Files are csv.ts and selection-parquet.ts.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { SelectionRequest } from "../api-contract.ts";
import type { Column, ColumnData } from "../columns.ts";
import { ApiFailure } from "../errors-out.ts";

export const SELECTION_LIMITS = {
  /** Rows made at a time: between two of them other requests have their turn. */
  rows: 1024,
  columns: 400,
} as const;

export interface Selection {
  /** Rows of the file, in its order. */
  latents: Uint32Array;
  columns: { name: string; data: ColumnData }[];
}

/** Throws ApiFailure 400 for latents, columns or an order that the dictionary does not have. */
export async function readSelection(
  columns: ReadonlyMap<string, Column>,
  nLatents: number,
  { columns: names, latents: text, sort }: Omit<SelectionRequest, "format">,
): Promise<Selection> {
  const column = (name: string): Column => {
    const found = columns.get(name);
    if (found !== undefined) return found;
    throw new ApiFailure(400, "there is no such column", "GET …/columns lists them");
  };
  const wanted = names.filter((name) => name !== "latent").map(column);
  const order = sort && column(sort.column);
  const latents = parseLatents(text, nLatents);
  if (order !== undefined) sortLatents(latents, await order.read(), sort?.descending === true);
  const read: Selection["columns"] = [];
  for (const each of wanted) {
    read.push({ name: each.name, data: await each.read() });
    await nextTurn();
  }
  return { latents, columns: read };
}

const BITS = "bits:";

/** "all", numbers and ranges, "0-99,105", or "bits:…" (SelectionRequest): each latent once and ascending. Throws ApiFailure 400. */
export function parseLatents(text: string, nLatents: number): Uint32Array {
  if (text === "all") return Uint32Array.from({ length: nLatents }, (_, latent) => latent);
  const refuse = (): never => {
    throw new ApiFailure(400, "latents are not a list of numbers and ranges", '"all", or such as "0-99,105"');
  };
  if (text.startsWith(BITS)) {
    const bytes = Buffer.from(text.slice(BITS.length), "base64");
    const isWhole = bytes.toString("base64") === text.slice(BITS.length);
    if (!isWhole || bytes.length !== Math.ceil(nLatents / 8)) refuse();
    const has = (latent: number): boolean => ((bytes[latent >> 3] >> (latent & 7)) & 1) === 1;
    const all = Array.from({ length: 8 * bytes.length }, (_, latent) => latent).filter(has);
    if (all.some((latent) => latent >= nLatents)) refuse();
    return Uint32Array.from(all);
  }
  const isIn = new Uint8Array(nLatents);
  for (const part of text.split(",")) {
    const [, from, to = from] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part) ?? refuse();
    const [low, high] = [Number(from), Number(to)];
    if (low > high || high >= nLatents) refuse();
    isIn.fill(1, low, high + 1);
  }
  const latents: number[] = [];
  for (let latent = 0; latent < nLatents; latent += 1) if (isIn[latent] === 1) latents.push(latent);
  return Uint32Array.from(latents);
}

/** In place; equal ones stay in order of latent, rows without a value last in either direction. */
function sortLatents(latents: Uint32Array, data: ColumnData, descending: boolean): void {
  const sign = descending ? -1 : 1;
  if (data.kind === "number") {
    const { values } = data;
    latents.sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      const [noX, noY] = [Number.isNaN(x), Number.isNaN(y)];
      if (noX || noY) return Number(noX) - Number(noY) || a - b;
      return (x < y ? -sign : x > y ? sign : 0) || a - b;
    });
    return;
  }
  const textOf = (latent: number): string =>
    data.kind === "text" ? data.texts[latent] : data.words[data.codes[latent]];
  latents.sort((a, b) => {
    const [x, y] = [textOf(a), textOf(b)];
    if (x === "" || y === "") return Number(x === "") - Number(y === "") || a - b;
    return (x < y ? -sign : x > y ? sign : 0) || a - b;
  });
}

/** Rows [from, to) of a selection, a stretch at a time. */
export async function* stretches({ latents }: Selection): AsyncGenerator<Uint32Array> {
  for (let from = 0; from < latents.length; from += SELECTION_LIMITS.rows) {
    yield latents.subarray(from, from + SELECTION_LIMITS.rows);
    await nextTurn();
  }
}

export function textOf(data: Exclude<ColumnData, { kind: "number" }>, latent: number): string {
  return data.kind === "text" ? data.texts[latent] : (data.words[data.codes[latent]] ?? "");
}
