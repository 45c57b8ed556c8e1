// tables/null.parquet and tables/null.json of a dictionary: the scores and q-values of its latents, and the null draws they
// stand on. Written and read here only; null.json last, so that its presence means that both are whole.
//
// null.parquet: latent INT32, and DOUBLE scoreFinetuned, qFinetuned, scoreBase, qBase, q; NaN where there is no candidate or,
// for q, no claim. What the numbers mean: false-discovery.ts.

import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { FormatError, StorageError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { readParquet, writeParquet } from "../formats/parquet.ts";

/** One row of null.parquet. */
export interface NullRow {
  latent: number;
  /** NaN: not a candidate of that side. */
  scoreFinetuned: number;
  qFinetuned: number;
  scoreBase: number;
  qBase: number;
  /** Of its claim; NaN: no claim. */
  q: number;
}

const count = z.int().min(0);
const side = z.object({ candidates: count, claims: count });
const sides = z.object({ finetuned: side, base: side });
const drawFields = {
  /** As in dictionaries/NAME-null-1. */
  name: z.string(),
  dictionarySha256: z.string(),
  /** Mean ‖Δh‖²/‖h_base‖² over the sample. */
  changeRatio: z.number(),
  counts: sides,
};

const nullRecord = z.object({
  schemaVersion: z.literal(1),
  /** Of the dictionary whose claims are judged. */
  dictionarySha256: z.string(),
  thresholds: z.record(z.string(), z.number()),
  settings: z.object({ draws: count, includeControl: z.boolean(), sampleRows: count }),
  /** Of the pair itself; the draws' noise is scaled to it. */
  changeRatio: z.number(),
  /** Rows of the sample. */
  sampledRows: count,
  counts: sides,
  draws: z.array(z.object({ ...drawFields, seed: count, scale: z.number() })),
  /** A real checkpoint in the place of noise; null: none was given. */
  control: z
    .object({ ...drawFields, path: z.string(), modelHash: z.string(), included: z.boolean() })
    .nullable(),
  /** Mean claims of the draws that count. */
  expectedFalseClaims: z.object({ finetuned: z.number(), base: z.number() }),
  /** Claims whose q-value is at most `q`. */
  claimsUpTo: z.array(z.object({ q: z.number(), finetuned: count, base: count })),
});

/** null.json. */
export type NullRecord = z.infer<typeof nullRecord>;
export type NullDraw = NullRecord["draws"][number];

export const NULL_COLUMNS = ["latent", "scoreFinetuned", "qFinetuned", "scoreBase", "qBase", "q"] as const;

const HINT = "run `tunediff null` to write it anew";

export function nullPaths(dictionaryFolder: string): { table: string; record: string } {
  const tables = join(dictionaryFolder, "tables");
  return { table: join(tables, "null.parquet"), record: join(tables, "null.json") };
}

/** Replaces both files. Throws StorageError from the disk. */
export async function writeNull(
  dictionaryFolder: string,
  { rows, record }: { rows: readonly NullRow[]; record: NullRecord },
): Promise<void> {
  const paths = nullPaths(dictionaryFolder);
  await ensureFolder(dirname(paths.table));
  await rm(paths.record, { force: true }); // an old record must not vouch for a new table
  await writeParquet(
    paths.table,
    NULL_COLUMNS.map((name) =>
      name === "latent"
        ? { name, type: "INT32", data: Int32Array.from(rows, (row) => row.latent) }
        : { name, type: "DOUBLE", data: Float64Array.from(rows, (row) => row[name]) },
    ),
  );
  await writeFileAtomic(paths.record, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** null.json. Throws StorageError when it cannot be read, FormatError naming the first field that is wrong. */
export async function readNullRecord(dictionaryFolder: string): Promise<NullRecord> {
  const { record: path } = nullPaths(dictionaryFolder);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new StorageError(`${path}: expected the record of null draws, could not read it`, {
      hint: HINT,
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint: HINT, cause });
  }
  const parsed = nullRecord.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError(`${path}: ${issue.path.join(".") || "(top level)"}: ${issue.message}`, {
    hint: HINT,
  });
}

/** null.parquet, in latent order. Throws FormatError for a missing or damaged table, or one without a column. */
export async function readNullRows(dictionaryFolder: string): Promise<NullRow[]> {
  const { table: path } = nullPaths(dictionaryFolder);
  const table = await readParquet(path);
  const missing = NULL_COLUMNS.find((name) => table[name] === undefined);
  if (missing !== undefined) {
    throw new FormatError(`${path}: expected a column "${missing}", got ${Object.keys(table).join(", ")}`, {
      hint: HINT,
    });
  }
  return table.latent.map((_, row) => {
    const values = NULL_COLUMNS.map((name) => [name, Number(table[name][row])] as const);
    return Object.fromEntries(values) as unknown as NullRow;
  });
}
