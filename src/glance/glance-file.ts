// glance.json: what a glance found, written in one step and checked when it is read back.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder, errorCode } from "../formats/disk.ts";
import { GLANCE_SCHEMA, type Glance } from "./glance-contract.ts";

export const GLANCE_FILE = "glance.json";

const finite = z.number();
const count = z.int().nonnegative();
const chance = z.object({ token: z.string(), probability: finite });
const readToken = z.object({ token: z.string(), tokenId: count, score: finite });

const peak = z.object({
  document: z.string(),
  dataset: z.string(),
  tokens: z.array(z.string()),
  kl: z.array(finite),
  peak: count,
  nextBase: z.array(chance),
  nextFinetuned: z.array(chance),
});

const kl = z.object({
  tokens: count,
  mean: finite,
  quantiles: z.object({ p50: finite, p90: finite, p99: finite, max: finite }),
  shareOfTopPercent: finite,
  byRole: z.array(z.object({ role: z.string(), tokens: count, mean: finite })),
  byDataset: z.array(z.object({ dataset: z.string(), tokens: count, mean: finite })),
  byPosition: z.array(finite),
  peaks: z.array(peak),
});

const readDirection = z.object({
  model: z.enum(["base", "finetuned"]),
  by: z.enum(["logit lens", "patchscope"]),
  promoted: z.array(readToken),
  suppressed: z.array(readToken),
});

const overallDifference = z.object({
  texts: count,
  relativeNorm: finite.nullable(),
  consistency: finite,
  read: z.array(readDirection),
});

const lens = z.object({
  texts: count,
  layer: count,
  positions: z.array(overallDifference.extend({ position: count })),
  overall: overallDifference,
  mainPosition: count.nullable(),
  steering: z.array(
    z.object({
      model: z.enum(["base", "finetuned"]),
      strength: finite,
      sign: z.union([z.literal(1), z.literal(-1)]),
      position: count,
      prompt: z.string(),
      steered: z.string(),
      unsteered: z.string(),
      degenerate: z.string(),
    }),
  ),
  leftOut: z.array(z.string()),
});

const strongRow = z.object({
  document: z.string(),
  tokens: z.array(z.string()),
  values: z.array(finite),
  peak: count,
});

const pca = z.object({
  rows: count,
  changeRatio: finite,
  meanShare: finite,
  components: z.array(
    z.object({
      share: finite,
      read: z.array(readDirection),
      highest: z.array(strongRow),
      lowest: z.array(strongRow),
    }),
  ),
});

const minedToken = z.object({
  token: z.string(),
  tokenId: count,
  count,
  share: finite,
  controlShare: finite,
  fractionPositive: finite,
  meanDifference: finite,
  occurrences: count,
});

const schema = z.object({
  schemaVersion: z.literal(GLANCE_SCHEMA),
  tunediff: z.string(),
  base: z.string(),
  finetuned: z.string(),
  layer: z.object({ base: count, finetuned: count }),
  text: z.object({
    source: z.enum(["file", "written by the models"]),
    description: z.string(),
    documents: count,
    tokens: count,
  }),
  seconds: finite,
  kl,
  lens,
  pca,
  mining: z.object({
    positions: count,
    topK: count,
    risen: z.array(minedToken),
    fallen: z.array(minedToken),
  }),
  findings: z.array(z.string()),
  warnings: z.array(z.string()),
  key: z.string().optional(),
});

/** Writes FOLDER/glance.json in one step, the folder first where there is none; returns its path. Throws StorageError. */
export async function writeGlance(folder: string, glance: Glance): Promise<string> {
  const path = join(folder, GLANCE_FILE);
  await ensureFolder(folder);
  // A number that JSON cannot hold would become null and make the file unreadable: better to fail before it is written.
  const parsed = schema.safeParse(glance);
  if (!parsed.success) throw notAGlance(path, parsed.error);
  await writeFileAtomic(path, `${JSON.stringify(parsed.data, null, 1)}\n`);
  return path;
}

/** Reads FOLDER/glance.json; undefined where there is none. Throws FormatError for a damaged or foreign file. */
export async function readGlance(folder: string): Promise<Glance | undefined> {
  const path = join(folder, GLANCE_FILE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got text that is not`, { hint: HINT, cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw notAGlance(path, parsed.error);
  return parsed.data;
}

const HINT = "run `tunediff glance` again: it is made anew in seconds";

function notAGlance(path: string, { issues }: z.ZodError): FormatError {
  const [{ path: place, message }] = issues;
  return new FormatError(`${path}: ${place.join(".") || "(top level)"}: ${message}`, { hint: HINT });
}
