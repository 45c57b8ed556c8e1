// tables/causal.parquet of a dictionary: a row a latent that was added and removed, candidates and controls. Written and read here only.
//
// latent INT32, role STRING; counts INT32; DOUBLE figures, each estimate as NAME, NAMELow and NAMEHigh; the lists controls, movedTexts
// and movedTokens as JSON text. NaN stays NaN. What the numbers mean: LatentEffect in causal-contract.ts.

import { dirname, join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { ensureFolder } from "../formats/disk.ts";
import { type ParquetColumn, readParquetRows, writeParquet } from "../formats/parquet.ts";
import { EFFECT_EDITS, type Estimate, type LatentEffect } from "./causal-contract.ts";

const COUNTS = ["latent", "conversationsFired", "positionsReached"] as const;
const FIGURES = [
  "firingRate",
  "energy",
  "controlGapClosed",
  "controlDamage",
  "gapClosedP",
  "damageP",
] as const;
const ESTIMATES = ["gapClosed", "damage"] as const;
const LISTS = ["controls", "movedTexts", "movedTokens"] as const;

const count = z.int().min(0);
const figure = z.union([z.number(), z.nan(), z.literal(Infinity), z.literal(-Infinity)]);
const edit = z.enum(EFFECT_EDITS);
const rowSchema = z.object({
  role: z.enum(["candidate", "control"]),
  ...fieldsOf(COUNTS, count),
  ...fieldsOf(FIGURES, figure),
  ...fieldsOf(
    ESTIMATES.flatMap((name) => columnsOf(name)),
    figure,
  ),
});
const listSchemas = {
  controls: z.array(count),
  movedTexts: z.array(z.object({ edit, conversation: z.string(), change: z.number() })),
  movedTokens: z.array(z.object({ edit, token: z.string(), tokenId: count, count, change: z.number() })),
};

const HINT = "run `tunediff causal` to write it anew";

export function effectsPath(dictionaryFolder: string): string {
  return join(dictionaryFolder, "tables", "causal.parquet");
}

/** Replaces the table in one step. metadata: key-value metadata of the file. Throws StorageError from the disk. */
export async function writeEffects(
  dictionaryFolder: string,
  rows: readonly LatentEffect[],
  metadata: Record<string, string> = {},
): Promise<void> {
  const path = effectsPath(dictionaryFolder);
  const numbers = (name: string, of: (row: LatentEffect) => number): ParquetColumn => ({
    name,
    type: "DOUBLE",
    data: Float64Array.from(rows, of),
  });
  const estimate = (name: (typeof ESTIMATES)[number]): ParquetColumn[] => {
    const [mean, low, high] = columnsOf(name);
    return [
      numbers(mean, (row) => row[name].mean),
      numbers(low, (row) => row[name].interval.low),
      numbers(high, (row) => row[name].interval.high),
    ];
  };
  await ensureFolder(dirname(path));
  await writeParquet(
    path,
    [
      ...COUNTS.map((name): ParquetColumn => {
        return { name, type: "INT32", data: Int32Array.from(rows, (row) => row[name]) };
      }),
      { name: "role", type: "STRING", data: rows.map(({ role }) => role) },
      ...ESTIMATES.flatMap(estimate),
      ...FIGURES.map((name) => numbers(name, (row) => row[name])),
      ...LISTS.map((name): ParquetColumn => {
        return { name, type: "STRING", data: rows.map((row) => JSON.stringify(row[name])) };
      }),
    ],
    metadata,
  );
}

/** Rows in the order in which they were written. Throws FormatError for a missing, damaged or foreign table, naming row and column. */
export async function readEffects(dictionaryFolder: string): Promise<LatentEffect[]> {
  const path = effectsPath(dictionaryFolder);
  const rows = await readParquetRows(path);
  return rows.map((row, at) => {
    const parsed = rowSchema.safeParse(row);
    if (!parsed.success) {
      const [{ path: place, message }] = parsed.error.issues;
      throw new FormatError(`${path}: row ${at}: ${place.join(".")}: ${message}`, { hint: HINT });
    }
    const fields = parsed.data as Record<string, unknown> & Pick<LatentEffect, "role">;
    const estimate = (name: (typeof ESTIMATES)[number]): Estimate => {
      const [mean, low, high] = columnsOf(name).map((column) => fields[column] as number);
      return { mean, interval: { low, high } };
    };
    const of = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, fields[name]]));
    return {
      ...(of([...COUNTS, ...FIGURES]) as unknown as LatentEffect),
      role: fields.role,
      gapClosed: estimate("gapClosed"),
      damage: estimate("damage"),
      controls: listOf("controls", row, { path, at }),
      movedTexts: listOf("movedTexts", row, { path, at }),
      movedTokens: listOf("movedTokens", row, { path, at }),
    };
  });
}

function listOf<Name extends keyof typeof listSchemas>(
  name: Name,
  row: Record<string, unknown>,
  { path, at }: { path: string; at: number },
): z.infer<(typeof listSchemas)[Name]> {
  try {
    return listSchemas[name].parse(JSON.parse(String(row[name]))) as z.infer<(typeof listSchemas)[Name]>;
  } catch (cause) {
    throw new FormatError(`${path}: row ${at}: expected a JSON list in ${name}, got something else`, {
      hint: HINT,
      cause,
    });
  }
}

function columnsOf(name: string): [mean: string, low: string, high: string] {
  return [name, `${name}Low`, `${name}High`];
}

function fieldsOf<T>(names: readonly string[], schema: T): Record<string, T> {
  return Object.fromEntries(names.map((name) => [name, schema]));
}
