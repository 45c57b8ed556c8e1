// Where the measurement of a dictionary lies, and whether what lies there answers the question that is asked.
//
// tables/measure.parquet (measure-table.ts), examples.sqlite (examples-file.ts) and tables/measure.json: the summary
// and the inputs it was made from. measure.json is written last, so its presence means that the other two are whole.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, StorageError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import type { Split } from "../store/rows.ts";
import type { StoreManifest } from "../store/store-contract.ts";
import { CLAIM_THRESHOLDS, type MeasureSummary } from "./measure-contract.ts";

export function measurePaths(folder: string): { table: string; summary: string; examples: string } {
  return {
    table: join(folder, "tables", "measure.parquet"),
    summary: join(folder, "tables", "measure.json"),
    examples: join(folder, "examples.sqlite"),
  };
}

/** Where a pass keeps what it has finished; gone when the tables are written. */
export function partsFolder(folder: string): string {
  return join(folder, "measure-parts");
}

/** What a measurement depends on; equal inputs mean that the files can be used again. */
export interface MeasureInputs {
  /** Of model.safetensors, hex. */
  dictionarySha256: string;
  /** Of the store's manifest, hex. */
  storeSha256: string;
  split: Split;
  examplesPerLatent: number;
  examplesPerBin: number;
  /** Of the sample of examples and of the resampling of groups. */
  seed: number;
  /** MEASURE_FORMAT. */
  format: number;
}

/** Raised whenever the same inputs would give other files. */
export const MEASURE_FORMAT = 4;

export async function measureInputs({
  folder,
  manifest,
  ...rest
}: { folder: string; manifest: StoreManifest } & Pick<
  MeasureInputs,
  "split" | "examplesPerLatent" | "examplesPerBin" | "seed"
>): Promise<MeasureInputs> {
  return {
    dictionarySha256: await dictionarySha256(folder),
    storeSha256: createHash("sha256").update(JSON.stringify(manifest)).digest("hex"),
    ...rest,
    format: MEASURE_FORMAT,
  };
}

/** SHA-256 of a dictionary's model.safetensors, hex: the name under which people's notes know it. */
export async function dictionarySha256(folder: string): Promise<string> {
  const path = join(folder, "model.safetensors");
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (cause) {
    throw new StorageError(`${path}: expected the dictionary's weights, could not read them`, {
      hint: "run `tunediff train` to make the dictionary",
      cause,
    });
  }
  return hash.digest("hex");
}

export async function writeSummary(
  folder: string,
  summary: MeasureSummary,
  inputs: MeasureInputs,
): Promise<void> {
  await writeFileAtomic(
    measurePaths(folder).summary,
    `${JSON.stringify({ ...summary, inputs }, undefined, 2)}\n`,
  );
}

/** tables/measure.json. Throws StorageError when it cannot be read, FormatError when it is not one. */
export async function readSummaryFile(
  folder: string,
): Promise<{ summary: MeasureSummary; inputs: MeasureInputs }> {
  const path = measurePaths(folder).summary;
  const hint = "run `tunediff measure` to write it anew";
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new StorageError(`${path}: expected the summary of a measurement, could not read it`, {
      hint,
      cause,
    });
  }
  let parsed: Partial<MeasureSummary> & { inputs?: MeasureInputs };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint, cause });
  }
  const { inputs, ...summary } = parsed;
  if (summary.schemaVersion !== 1 || inputs === undefined || summary.fve === undefined) {
    throw new FormatError(
      `${path}: expected schemaVersion 1 with fve and inputs, got ${summary.schemaVersion}`,
      { hint },
    );
  }
  // Files from before models of different width could be compared do not say it: they had one row for both.
  return { summary: { scalingDirections: "shared", ...summary } as MeasureSummary, inputs };
}

/** True when all three files are there and were made from the same inputs with the thresholds of today. */
export async function isMeasured(folder: string, inputs: MeasureInputs): Promise<boolean> {
  const paths = measurePaths(folder);
  try {
    for (const path of Object.values(paths)) await access(path);
    const { inputs: found, summary } = await readSummaryFile(folder);
    if (JSON.stringify(summary.thresholds) !== JSON.stringify(CLAIM_THRESHOLDS)) return false;
    return (Object.keys(inputs) as (keyof MeasureInputs)[]).every((key) => found[key] === inputs[key]);
  } catch {
    return false; // absent or unreadable: measuring again makes it whole
  }
}
