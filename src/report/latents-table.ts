// dictionaries/NAME/latents.parquet: everything that is known of a latent in one row, for pandas, DuckDB and the like.
//
// The join of tables/measure.parquet with the lens, the null draws and the stability over seeds, as far as these exist.
// Derived: nothing here reads it back, and it is as old as the tables it was made from. Column names and types stand in
// docs/formats.md.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { type ParquetColumn, writeParquet } from "../formats/parquet.ts";
import { readLens } from "../lens/lens-file.ts";
import { readMeasure } from "../measure/measure.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import { measureTableColumns } from "../measure/measure-table.ts";
import { type Nulls, readLateTables, type StabilityTable } from "./late-tables.ts";

export const LATENTS_SCHEMA_VERSION = 1;

const LENS_LISTS = ["promotedBase", "suppressedBase", "promotedFinetuned", "suppressedFinetuned"] as const;
const NULL_NUMBERS = ["scoreFinetuned", "qFinetuned", "scoreBase", "qBase", "q"] as const;
const STABILITY_COUNTS = ["nCompared", "directionFound", "claimReplicated"] as const;
const STABILITY_NUMBERS = ["bestCosine", "bestCorrelation"] as const;

const columnsOf = (prefix: string, names: readonly string[], type: ParquetColumn["type"]) =>
  names.map((name) => ({ name: `${prefix}_${name}`, type }));

/** Columns that are there only with the table they come from, in file order, after those of tables/measure.parquet. */
export const JOINED_COLUMNS = {
  lens: columnsOf("lens", LENS_LISTS, "STRING"),
  null: columnsOf("null", NULL_NUMBERS, "DOUBLE"),
  stability: [
    ...columnsOf("stability", STABILITY_COUNTS, "INT32"),
    ...columnsOf("stability", STABILITY_NUMBERS, "DOUBLE"),
  ],
};
export type JoinedTable = keyof typeof JOINED_COLUMNS;

export interface LatentsTable {
  path: string;
  nLatents: number;
  nColumns: number;
  /** Tables that were joined to the measurement. */
  joined: JoinedTable[];
  /** Sentences: tables that were left out because they are about another dictionary or measurement. */
  warnings: string[];
}

interface Joined {
  columns: ParquetColumn[];
  /** Of the file's metadata. */
  thresholds?: Record<string, unknown>;
}

/**
 * Writes latents.parquet into a measured dictionary folder, replacing an older one in one step.
 *
 * Throws StorageError or FormatError when the measurement is missing or damaged, FormatError for a joined table that is
 * damaged, or a lens with other latents.
 */
export async function writeLatentsTable(folder: string): Promise<LatentsTable> {
  const { latents, summary } = await readMeasure(folder);
  const sha256 = await dictionarySha256(folder);
  const late = await readLateTables({ folder, dictionarySha256: sha256, latents });
  const found: Record<JoinedTable, Joined | undefined> = {
    lens: await lensColumns(folder, latents.length),
    null: late.nulls.state === "made" ? nullColumns(late.nulls.value) : undefined,
    stability: late.stability.state === "made" ? stabilityColumns(late.stability.value) : undefined,
  };
  const joined = (Object.keys(found) as JoinedTable[]).filter((name) => found[name] !== undefined);
  const columns = [
    ...measureTableColumns(latents, summary.categories),
    ...joined.flatMap((name) => found[name]?.columns ?? []),
  ];
  const path = join(folder, "latents.parquet");
  await writeParquet(path, columns, {
    schemaVersion: String(LATENTS_SCHEMA_VERSION),
    dictionarySha256: sha256,
    thresholds: JSON.stringify({
      claims: summary.thresholds,
      null: found.null?.thresholds,
      stability: found.stability?.thresholds,
    }),
    categories: JSON.stringify(summary.categories),
    joined: JSON.stringify(joined),
  });
  const outdated = (["nulls", "stability"] as const).filter((name) => late[name].state === "outdated");
  return {
    path,
    nLatents: latents.length,
    nColumns: columns.length,
    joined,
    warnings: outdated.map((name) => `${folder}: ${OUTDATED[name]}`),
  };
}

const OUTDATED = {
  nulls: "tables/null.parquet is about another measurement and was left out: run `tunediff null` again",
  stability:
    "tables/stability.parquet is about another measurement and was left out: run `tunediff stability` again",
};

async function lensColumns(folder: string, nLatents: number): Promise<Joined | undefined> {
  const path = join(folder, "tables", "lens.parquet");
  if (!existsSync(path)) return undefined;
  const rows = await readLens(folder);
  if (rows.length !== nLatents || rows.some(({ latent }, at) => latent !== at)) {
    throw new FormatError(
      `${path}: expected latents 0 to ${nLatents - 1} in order, got ${rows.length} rows`,
      {
        hint: "the table is about another dictionary: run `tunediff lens` again",
      },
    );
  }
  return {
    columns: LENS_LISTS.map((list) => ({
      name: `lens_${list}`,
      type: "STRING",
      data: rows.map((row) => JSON.stringify(row[list])),
    })),
  };
}

function nullColumns({ rows, record }: Nulls): Joined {
  return {
    columns: NULL_NUMBERS.map((name) => numbers("null", name, rows)),
    thresholds: record.thresholds,
  };
}

function stabilityColumns({ latents, record }: StabilityTable): Joined {
  return {
    columns: [
      ...STABILITY_COUNTS.map((name) => ({
        name: `stability_${name}`,
        type: "INT32" as const,
        data: Int32Array.from(latents, (row) => row[name]),
      })),
      ...STABILITY_NUMBERS.map((name) => numbers("stability", name, latents)),
    ],
    thresholds: record.thresholds,
  };
}

function numbers<Name extends string>(
  table: JoinedTable,
  name: Name,
  rows: readonly Record<Name, number>[],
): ParquetColumn {
  return { name: `${table}_${name}`, type: "DOUBLE", data: Float64Array.from(rows, (row) => row[name]) };
}
