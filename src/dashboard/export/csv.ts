// A selection of latents as CSV, for spreadsheets: RFC 4180, UTF-8, a header line, an empty cell for no value, inf and -inf.
//
// Token strings and labels come from anywhere, and spreadsheets run a cell that begins with = + - @ as a formula: such text gets an
// apostrophe in front (OWASP, CSV injection). Exact text: selection-parquet.ts.

import { type Selection, stretches, textOf } from "./selection.ts";

const FORMULA_START = /^[=+\-@\t\r\n＝＋－＠]/u;

/** The file's text, a stretch of rows at a time. */
export async function* selectionCsv(selection: Selection): AsyncGenerator<string> {
  const { columns } = selection;
  yield `${["latent", ...columns.map(({ name }) => textCell(name))].join(",")}\r\n`;
  for await (const latents of stretches(selection)) {
    let text = "";
    for (const latent of latents) {
      text += latent;
      for (const { data } of columns)
        text += `,${data.kind === "number" ? numberCell(data.values[latent]) : textCell(textOf(data, latent))}`;
      text += "\r\n";
    }
    yield text;
  }
}

function numberCell(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "" : value > 0 ? "inf" : "-inf";
}

export function textCell(text: string): string {
  const inert = FORMULA_START.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
