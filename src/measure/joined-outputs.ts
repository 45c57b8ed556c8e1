// What both models predict at each token of each example, inside examples.sqlite: a copy of the store's outputs for the rows shown.
//
// outputs(row, kl, nll_base, nll_finetuned, top): row is the store's, so a window's tokens are row_start + i; nats; nll NULL at a
// document's last token. top: int32 [2, TOP_TOKENS] ids, base first, most probable first, then f32 [2, TOP_TOKENS] probabilities,
// little-endian. Ids are named in the table tokens. The numbers are store/outputs.ts's; nothing is computed here.

import { createHash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import type { SqliteDatabase } from "../formats/sqlite.ts";
import { exampleOutputs, type TokenOutputs, type TokenProbability } from "../store/example-outputs.ts";
import { type Outputs, type OutputsManifest, TOP_TOKENS } from "../store/outputs.ts";

/** Key of meta under which a file says which outputs it holds. */
export const OUTPUTS_KEY = "outputsSha256";

const SCHEMA = `
DROP TABLE IF EXISTS outputs;
CREATE TABLE outputs (
  row INTEGER PRIMARY KEY, kl REAL NOT NULL, nll_base REAL, nll_finetuned REAL, top BLOB NOT NULL
);`;
/** Ids and probabilities, of two models. */
const TOP_BYTES = 2 * 2 * TOP_TOKENS * 4;
/** Rows asked for at a time. */
const MOST_ROWS = 4096;

export interface NamedProbability {
  token: string;
  tokenId: number;
  probability: number;
}

/** About the token after this one; see TokenOutputs. */
export interface ExampleTokenOutputs extends Pick<TokenOutputs, "kl" | "nllBase" | "nllFinetuned"> {
  topBase: NamedProbability[];
  topFinetuned: NamedProbability[];
}

/** The same for the same outputs of the same store. */
export function outputsIdentity(manifest: OutputsManifest): string {
  return createHash("sha256").update(canonicalJson(manifest)).digest("hex");
}

/**
 * Makes the table from all windows in the table examples, adds the names of new ids to tokens and the outputs' identity to meta; an
 * older table is replaced. The caller holds the transaction. Rows are read once, ascending; memory is a bit a row of the store and
 * the shards that `outputs` holds. Throws what reading outputs throws.
 */
export async function fillOutputs(
  database: SqliteDatabase,
  {
    outputs,
    nRows,
    tokenString,
  }: {
    outputs: Outputs;
    /** Of the store. */
    nRows: number;
    tokenString: (id: number) => string;
  },
): Promise<void> {
  database.exec(SCHEMA);
  const insert = database.prepare("INSERT INTO outputs VALUES (?, ?, ?, ?, ?)");
  const ids = new Set<number>();
  for (const [rowStart, rowEnd] of runsOfRows(shownRows(database, nRows), nRows)) {
    const tokens = await exampleOutputs(outputs, { rowStart, rowEnd });
    for (const [i, entry] of tokens.entries()) {
      if (entry === null) continue;
      for (const { token } of [...entry.topBase, ...entry.topFinetuned]) ids.add(token);
      insert.run(rowStart + i, entry.kl, entry.nllBase, entry.nllFinetuned, packTop(entry));
    }
  }
  const name = database.prepare("INSERT OR IGNORE INTO tokens VALUES (?, ?)");
  for (const id of [...ids].sort((a, b) => a - b)) name.run(id, tokenString(id));
  database
    .prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)")
    .run(OUTPUTS_KEY, outputsIdentity(outputs.manifest));
}

/** [nRows] bits: rows that lie in some window. */
function shownRows(database: SqliteDatabase, nRows: number): Uint8Array {
  const shown = new Uint8Array(Math.ceil(nRows / 8));
  const windows = database.prepare("SELECT row_start, length(token_ids) / 4 AS n FROM examples").iterate();
  for (const value of windows) {
    const { row_start: start, n } = value as { row_start: number; n: number };
    for (let row = start; row < start + n; row += 1) shown[row >>> 3] |= 1 << (row & 7);
  }
  return shown;
}

/** [start, end) of neighbouring rows whose bit is set, ascending, none longer than MOST_ROWS. */
function* runsOfRows(bits: Uint8Array, nRows: number): Generator<[number, number]> {
  let start = -1;
  for (let row = 0; row <= nRows; row += 1) {
    const isSet = row < nRows && (bits[row >>> 3] & (1 << (row & 7))) !== 0;
    if (start >= 0 && (!isSet || row - start === MOST_ROWS)) {
      yield [start, row];
      start = -1;
    }
    if (isSet && start < 0) start = row;
  }
}

function packTop({ topBase, topFinetuned }: TokenOutputs): Uint8Array {
  const bytes = new Uint8Array(TOP_BYTES);
  const both: TokenProbability[] = [...topBase, ...topFinetuned];
  new Int32Array(bytes.buffer, 0, both.length).set(both.map(({ token }) => token));
  new Float32Array(bytes.buffer, TOP_BYTES / 2).set(both.map(({ probability }) => probability));
  return bytes;
}

interface OutputsRow {
  row: number;
  kl: number;
  nll_base: number | null;
  nll_finetuned: number | null;
  top: Uint8Array;
}

/** Reads the rows of [rowStart, rowEnd), null where there is none. Throws FormatError for a blob of another size. */
export function outputsReader(
  database: SqliteDatabase,
  stringOf: (id: number) => string,
): (rowStart: number, rowEnd: number) => (ExampleTokenOutputs | null)[] {
  const select = database.prepare("SELECT * FROM outputs WHERE row >= ? AND row < ?");
  return (rowStart, rowEnd) => {
    const tokens: (ExampleTokenOutputs | null)[] = Array.from({ length: rowEnd - rowStart }, () => null);
    for (const value of select.all(rowStart, rowEnd)) {
      const row = value as unknown as OutputsRow;
      const top = unpackTop(row, stringOf);
      tokens[row.row - rowStart] = {
        kl: row.kl,
        nllBase: row.nll_base,
        nllFinetuned: row.nll_finetuned,
        topBase: top.slice(0, TOP_TOKENS),
        topFinetuned: top.slice(TOP_TOKENS),
      };
    }
    return tokens;
  };
}

function unpackTop({ row, top }: OutputsRow, stringOf: (id: number) => string): NamedProbability[] {
  if (top.byteLength !== TOP_BYTES) {
    throw new FormatError(
      `examples.sqlite: outputs of row ${row}: expected ${TOP_BYTES} bytes, got ${top.byteLength}`,
      { hint: "remove the file and run `tunediff measure` again to write it anew" },
    );
  }
  const { buffer } = Uint8Array.from(top);
  const ids = new Int32Array(buffer, 0, 2 * TOP_TOKENS);
  const probabilities = new Float32Array(buffer, TOP_BYTES / 2);
  return Array.from(ids, (tokenId, i) => ({
    token: stringOf(tokenId),
    tokenId,
    probability: probabilities[i],
  }));
}
