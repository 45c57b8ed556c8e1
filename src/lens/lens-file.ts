// tables/lens.parquet of a dictionary: one row a latent, the four token lists as JSON text.

import { dirname, join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { ensureFolder } from "../formats/disk.ts";
import { readParquetRows, writeParquet } from "../formats/parquet.ts";
import type { LatentLens } from "./lens-contract.ts";

const LISTS = ["promotedBase", "suppressedBase", "promotedFinetuned", "suppressedFinetuned"] as const;

const tokenScores = z.array(z.object({ token: z.string(), tokenId: z.int(), score: z.number() }));

function lensPath(dictionaryFolder: string): string {
  return join(dictionaryFolder, "tables", "lens.parquet");
}

/** Replaces the table in one step. Throws StorageError from the disk. */
export async function writeLens(dictionaryFolder: string, rows: LatentLens[]): Promise<void> {
  const path = lensPath(dictionaryFolder);
  await ensureFolder(dirname(path));
  await writeParquet(path, [
    { name: "latent", type: "INT32", data: Int32Array.from(rows, ({ latent }) => latent) },
    ...LISTS.map((name) => ({
      name,
      type: "STRING" as const,
      data: rows.map((row) => JSON.stringify(row[name])),
    })),
  ]);
}

/** Rows in the order in which they were written. Throws FormatError for a missing, damaged or foreign table. */
export async function readLens(dictionaryFolder: string): Promise<LatentLens[]> {
  const path = lensPath(dictionaryFolder);
  const rows = await readParquetRows(path);
  return rows.map((row, at) => {
    const list = (name: (typeof LISTS)[number]) => {
      try {
        return tokenScores.parse(JSON.parse(String(row[name])));
      } catch (cause) {
        throw new FormatError(
          `${path}: row ${at}: expected a list of tokens in ${name}, got something else`,
          {
            hint: "run the lens stage again",
            cause,
          },
        );
      }
    };
    return {
      latent: Number(row.latent),
      promotedBase: list("promotedBase"),
      suppressedBase: list("suppressedBase"),
      promotedFinetuned: list("promotedFinetuned"),
      suppressedFinetuned: list("suppressedFinetuned"),
    };
  });
}
