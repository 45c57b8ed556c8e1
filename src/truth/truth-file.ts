// truth.json of a dictionary: the score against planted truth, as it was computed.
//
// Numbers that do not exist (the deltaNorm of a concept without a latent) are null in the file and NaN in memory.

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, StorageError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import type { ConceptScore, TruthScore } from "./truth-contract.ts";

const SCHEMA_VERSION = 1;
const MAYBE_NAN = [
  "deltaNorm",
  "nuReconstruction",
  "nuError",
] as const satisfies readonly (keyof ConceptScore)[];

function truthPath(folder: string): string {
  return join(folder, "truth.json");
}

/** Writes truth.json into a dictionary folder, which is made when it does not exist. */
export async function writeTruth(folder: string, score: TruthScore): Promise<void> {
  await mkdir(folder, { recursive: true });
  const text = JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...score }, undefined, 2);
  await writeFileAtomic(truthPath(folder), `${text}\n`);
}

/** undefined when the dictionary was never scored. Throws FormatError for a file that is no score. */
export async function readTruth(folder: string): Promise<TruthScore | undefined> {
  const path = truthPath(folder);
  const hint = "delete it and run the comparison again to write it anew";
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StorageError(`${path}: expected a file that can be read`, { cause });
  }
  let parsed: Partial<TruthScore> & { schemaVersion?: number };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint, cause });
  }
  const { schemaVersion, ...score } = parsed;
  if (schemaVersion !== SCHEMA_VERSION || !Array.isArray(score.concepts) || !Array.isArray(score.claims)) {
    throw new FormatError(
      `${path}: expected schemaVersion ${SCHEMA_VERSION} with concepts and claims, got ${schemaVersion}`,
      { hint },
    );
  }
  const concepts = score.concepts.map((concept) => {
    const restored: ConceptScore = { ...concept };
    for (const field of MAYBE_NAN) restored[field] = (concept[field] as number | null) ?? Number.NaN;
    return restored;
  });
  return { ...(score as TruthScore), concepts };
}
