// tables/causal.json and tables/causal.parquet of today's dictionary, as the report reads them; and the latents that do most.
//
// Outdated: made of another dictionary, of measurements of another day, or a table that is not of its record (a run was stopped
// between the two files). What the numbers mean: causal/causal-contract.ts.

import { existsSync } from "node:fs";
import type { LatentEffect } from "../causal/causal-contract.ts";
import { type CausalRecord, readCausal } from "../causal/causal-file.ts";
import { effectsPath, readEffects } from "../causal/effects-table.ts";
import { measurePaths } from "../measure/measure-files.ts";
import { fileSha256 } from "../training/training-record.ts";
import type { LateTable } from "./late-table.ts";

export interface Causes {
  record: CausalRecord;
  /** Candidates and controls; empty where single latents were not measured. */
  effects: LatentEffect[];
}

/** Throws FormatError or StorageError naming a file that is there and cannot be read. */
export async function readCauses(today: {
  folder: string;
  dictionarySha256: string;
}): Promise<LateTable<Causes>> {
  const { folder, dictionarySha256 } = today;
  const record = await readCausal(folder);
  if (record === undefined) return { state: "absent" };
  if (record.dictionarySha256 !== dictionarySha256 || !(await isOfMeasure(record, folder)))
    return { state: "outdated" };
  if (record.effects === null) return { state: "made", value: { record, effects: [] } };
  if (!existsSync(effectsPath(folder))) return { state: "outdated" };
  const effects = await readEffects(folder);
  const count = (role: LatentEffect["role"]): number => effects.filter((row) => row.role === role).length;
  const isWhole =
    count("candidate") === record.effects.candidates && count("control") === record.effects.controls;
  return isWhole ? { state: "made", value: { record, effects } } : { state: "outdated" };
}

/** Claims and candidates are those of the measurement that its parts name. */
async function isOfMeasure({ asked }: CausalRecord, folder: string): Promise<boolean> {
  const { table } = measurePaths(folder);
  const named = Object.values(asked).flatMap((part) =>
    typeof part?.measured === "string" ? part.measured : [],
  );
  if (named.length === 0 || !existsSync(table)) return true;
  const today = await fileSha256(table);
  return named.every((sha256) => sha256 === today);
}

/** Candidates that fired, by the gap that adding them closes (or the damage that removing them does), greatest first. */
export function strongestEffects(
  effects: readonly LatentEffect[],
  by: "gapClosed" | "damage",
  most: number,
): LatentEffect[] {
  return effects
    .filter(({ role, conversationsFired }) => role === "candidate" && conversationsFired > 0)
    .filter((row) => Number.isFinite(row[by].mean))
    .sort((a, b) => b[by].mean - a[by].mean || a.latent - b.latent)
    .slice(0, most);
}
