// tables/stability.parquet and tables/stability.json of a dictionary: which of its latents came out again in which others.
//
// Columns, in file order: latent INT32, side STRING (base | finetuned: whose decoder row was compared), nCompared, directionFound,
// claimReplicated INT32, bestCosine, bestCorrelation DOUBLE (NaN exactly where nCompared is 0), matches STRING: JSON list of
// {dictionary, latent, cosine, correlation, claim}. The meaning of each stands in stability.ts. The JSON file says which
// dictionaries were compared, by SHA-256, and is written last: its presence means that the table is whole.

import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { asStorageError, ensureFolder, errorCode } from "../formats/disk.ts";
import { readParquetRows, writeParquet } from "../formats/parquet.ts";
import { SPLITS } from "../store/rows.ts";
import type { LatentStability, StabilitySummary } from "./stability.ts";

const CLAIMS = ["finetuned-specific", "base-specific", "none"] as const;
const SIDES = ["base", "finetuned"] as const;
const HINT = "run `tunediff stability` again to write it anew";

const count = z.int().min(0);
const share = z.number().min(0).max(1).nullable();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const DictionarySchema = z.strictObject({
  name: z.string().min(1),
  nLatents: count,
  seed: count,
  /** Of model.safetensors. */
  dictionarySha256: sha256,
  /** Of every latent's deltaNorm and claim: what was measured of it, as far as stability asks. */
  claimsSha256: sha256,
});

const CountsSchema = z.strictObject({
  latents: count,
  compared: count,
  directionFoundInAll: count,
  directionFoundInAny: count,
  claimReplicatedInAll: count,
  claimReplicatedInAny: count,
  meanDirectionFound: share,
  meanClaimReplicated: share,
});

const RecordSchema = z.strictObject({
  schemaVersion: z.literal(1),
  reference: DictionarySchema,
  others: z.array(DictionarySchema).min(1),
  /** Of the store's manifest. */
  storeSha256: sha256,
  split: z.enum(SPLITS),
  /** Rows that the correlations are over. */
  nRows: count,
  thresholds: z.strictObject({ cosineAtLeast: z.number(), correlationAtLeast: z.number() }),
  counts: z.strictObject({
    finetunedSpecific: CountsSchema,
    baseSpecific: CountsSchema,
    leaningUnclaimed: CountsSchema,
    shared: CountsSchema,
  }),
});

export type ComparedDictionary = z.infer<typeof DictionarySchema>;
/** tables/stability.json. */
export type StabilityRecord = Omit<z.infer<typeof RecordSchema>, "counts"> & { counts: StabilitySummary };
/** What a table depends on; equal inputs mean that it need not be made again. */
export type StabilityInputs = Pick<
  StabilityRecord,
  "reference" | "others" | "storeSha256" | "split" | "thresholds"
>;

export function stabilityPaths(folder: string): { table: string; record: string } {
  return {
    table: join(folder, "tables", "stability.parquet"),
    record: join(folder, "tables", "stability.json"),
  };
}

/** SHA-256 hex of what stability takes from a measurement. */
export function claimsHash(latents: readonly { deltaNorm: number; claim: string }[]): string {
  const words = latents.map(({ deltaNorm, claim }) => `${deltaNorm} ${claim}`);
  return createHash("sha256").update(words.join("\n")).digest("hex");
}

/** Replaces both files of a dictionary's folder, the record last. Throws StorageError from the disk. */
export async function writeStability(
  folder: string,
  record: StabilityRecord,
  latents: readonly LatentStability[],
): Promise<void> {
  const paths = stabilityPaths(folder);
  await ensureFolder(dirname(paths.table));
  await rm(paths.record, { force: true }); // an old record must not vouch for a new table
  const integers = (name: "latent" | "nCompared" | "directionFound" | "claimReplicated") => ({
    name,
    type: "INT32" as const,
    data: Int32Array.from(latents, (row) => row[name]),
  });
  const doubles = (name: "bestCosine" | "bestCorrelation") => ({
    name,
    type: "DOUBLE" as const,
    data: Float64Array.from(latents, (row) => row[name]),
  });
  await writeParquet(paths.table, [
    integers("latent"),
    { name: "side", type: "STRING", data: latents.map(({ side }) => side) },
    integers("nCompared"),
    integers("directionFound"),
    integers("claimReplicated"),
    doubles("bestCosine"),
    doubles("bestCorrelation"),
    { name: "matches", type: "STRING", data: latents.map(({ matches }) => JSON.stringify(matches)) },
  ]);
  await writeFileAtomic(paths.record, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** tables/stability.json; undefined when there is none. Throws FormatError for one that is no record, StorageError. */
export async function readStabilityRecord(folder: string): Promise<StabilityRecord | undefined> {
  const path = stabilityPaths(folder).record;
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw asStorageError(error, { path });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint: HINT, cause });
  }
  return checked(RecordSchema, value, path);
}

const correlation = z.number().min(-1).max(1);
const MatchesSchema = z.array(
  z.strictObject({
    dictionary: z.string(),
    latent: count,
    cosine: correlation,
    correlation,
    claim: z.enum(CLAIMS),
  }),
);
const RowSchema = z.strictObject({
  latent: count,
  side: z.enum(SIDES),
  nCompared: count,
  directionFound: count,
  claimReplicated: count,
  bestCosine: correlation.or(z.nan()),
  bestCorrelation: correlation.or(z.nan()),
  matches: z.string(),
});

/** The whole table, in latent order. Throws FormatError naming the file and the row for a missing, damaged or foreign one. */
export async function readStabilityTable(folder: string): Promise<LatentStability[]> {
  const path = stabilityPaths(folder).table;
  const rows = await readParquetRows(path);
  return rows.map((value, at) => {
    const place = `${path}: row ${at}`;
    const row = checked(RowSchema, value, place);
    const nothing = row.nCompared === 0;
    if (
      row.latent !== at ||
      [row.bestCosine, row.bestCorrelation].some((best) => Number.isNaN(best) !== nothing)
    ) {
      throw new FormatError(
        `${place}: expected latent ${at}, and NaN exactly where nCompared is 0, got ${JSON.stringify(row)}`,
        {
          hint: HINT,
        },
      );
    }
    return { ...row, matches: checked(MatchesSchema, parsedOrNull(row.matches), `${place}, matches`) };
  });
}

/** True when a table was made from the same dictionaries, measurements, store, split and thresholds and can still be read. */
export async function isStabilityDone(folder: string, inputs: StabilityInputs): Promise<boolean> {
  try {
    const record = await readStabilityRecord(folder);
    if (record === undefined) return false;
    if (canonicalJson(inputsOf(record)) !== canonicalJson(inputsOf(inputs))) return false;
    return (await readStabilityTable(folder)).length === record.reference.nLatents;
  } catch (error) {
    if (error instanceof FormatError) return false; // derived data: making it again makes it whole
    throw error;
  }
}

function inputsOf({ reference, others, storeSha256, split, thresholds }: StabilityInputs): StabilityInputs {
  return { reference, others, storeSha256, split, thresholds };
}

function checked<T>(schema: z.ZodType<T>, value: unknown, place: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FormatError(`${place}: ${issue.path.join(".") || "(top level)"}: ${issue.message}`, {
    hint: HINT,
    cause: result.error,
  });
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not a list: refused by the schema
  }
}
