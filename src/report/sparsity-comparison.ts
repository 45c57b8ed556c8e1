// tables/sparsity.json of a study's dictionary: its figures beside those of one trained with another sparsity over the same store.
//
// Written by `tunediff demo --full` (study/demo-full.ts), read by the report and by --json. Not a choice between the two: what
// each finds, and how much of what it shows by norm alone does not hold.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { asStorageError, errorCode } from "../formats/disk.ts";

const HINT = "run `tunediff demo --full` to write it anew";

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const finite = z.number();

const FiguresSchema = z.strictObject({
  /** Folder below dictionaries/. */
  name: z.string().min(1),
  /** "BatchTopK, k 5". */
  sparsity: z.string().min(1),
  dictionarySha256: z.string(),
  /** Of every latent's deltaNorm and claim. */
  claimsSha256: z.string(),
  nLatents: count,
  fve: z.strictObject({ base: finite, finetuned: finite, total: finite }),
  l0: finite,
  deadFraction: share,
  counts: z.strictObject({
    baseOnly: count,
    finetunedOnly: count,
    shared: count,
    other: count,
    finetunedSpecific: count,
    baseSpecific: count,
  }),
  /** What the norms alone would call finetuned-only, and what Latent Scaling says of it. */
  byNorm: z.strictObject({
    /** deltaNorm at least 0.9. */
    latents: count,
    /** Of these: none of the exclusions applies. */
    judged: count,
    /** Of the judged: a nu is at or above its threshold, so no claim. */
    flagged: count,
    /** Of the judged: a lower 95 % limit of a nu is above its threshold. */
    flaggedSurely: count,
  }),
  twins: count,
  /** Null without planted truth. */
  truth: z
    .strictObject({
      conceptsPlanted: count,
      conceptsFound: count,
      recall: share,
      /** Null without a claim. */
      precision: share.nullable(),
      precisionWithTemplate: share.nullable(),
      permutedRecall: share,
    })
    .nullable(),
});

const ComparisonSchema = z.strictObject({
  schemaVersion: z.literal(1),
  /** Of the store's manifest. */
  storeSha256: z.string(),
  /** The study's own first. */
  dictionaries: z.array(FiguresSchema).min(2),
});

export type SparsityFigures = z.infer<typeof FiguresSchema>;
export type SparsityComparison = z.infer<typeof ComparisonSchema>;

export function sparsityPath(dictionaryFolder: string): string {
  return join(dictionaryFolder, "tables", "sparsity.json");
}

/** Undefined when there is none. Throws FormatError naming the first field that is wrong, StorageError. */
export async function readSparsityComparison(
  dictionaryFolder: string,
): Promise<SparsityComparison | undefined> {
  const path = sparsityPath(dictionaryFolder);
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
  const parsed = ComparisonSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FormatError(`${path}: ${issue.path.join(".") || "(top level)"}: ${issue.message}`, {
    hint: HINT,
  });
}
