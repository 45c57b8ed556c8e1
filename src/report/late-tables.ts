// Tables that may come after a report: null draws, stability over seeds, another sparsity, causal experiments. Each is absent, of
// another dictionary than the study's of today (outdated), or made. A glance (glance-of-study.ts) comes later or earlier alike.
//
// Read here for the report and for --json; their contents are also part of the report's key, so that a table that came later
// makes the page again. What they mean: measure/false-discovery.ts, measure/stability.ts, sparsity-comparison.ts.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { causalPath } from "../causal/causal-file.ts";
import {
  type NullRecord,
  type NullRow,
  nullPaths,
  readNullRecord,
  readNullRows,
} from "../measure/null-file.ts";
import type { LatentStability } from "../measure/stability.ts";
import {
  claimsHash,
  readStabilityRecord,
  readStabilityTable,
  type StabilityRecord,
  stabilityPaths,
} from "../measure/stability-file.ts";
import { type Causes, readCauses } from "./causes.ts";
import { glancePath } from "./glance-of-study.ts";
import type { LateTable } from "./late-table.ts";
import { readSparsityComparison, type SparsityComparison, sparsityPath } from "./sparsity-comparison.ts";

export type { LateTable } from "./late-table.ts";

export interface Nulls {
  record: NullRecord;
  /** In latent order. */
  rows: NullRow[];
}

export interface StabilityTable {
  record: StabilityRecord;
  /** In latent order. */
  latents: LatentStability[];
}

export interface LateTables {
  nulls: LateTable<Nulls>;
  stability: LateTable<StabilityTable>;
  sparsity: LateTable<SparsityComparison>;
  causal: LateTable<Causes>;
}

/** What today's dictionary is known by. */
export interface DictionaryOfToday {
  /** dictionaries/NAME. */
  folder: string;
  /** Of model.safetensors, hex. */
  dictionarySha256: string;
  latents: readonly { deltaNorm: number; claim: string }[];
}

/** Throws FormatError or StorageError naming a table that is there and cannot be read. */
export async function readLateTables(today: DictionaryOfToday): Promise<LateTables> {
  return {
    nulls: await readNulls(today),
    stability: await readStability(today),
    sparsity: await readSparsity(today),
    causal: await readCauses(today),
  };
}

async function readNulls({
  folder,
  dictionarySha256,
  latents,
}: DictionaryOfToday): Promise<LateTable<Nulls>> {
  if (!existsSync(nullPaths(folder).record)) return { state: "absent" };
  const record = await readNullRecord(folder);
  if (record.dictionarySha256 !== dictionarySha256) return { state: "outdated" };
  const rows = await readNullRows(folder);
  // Thresholds of another day would judge other claims: the q-values are theirs.
  const isOfToday =
    rows.length === latents.length &&
    rows.every(({ latent, q }, i) => latent === i && Number.isNaN(q) === (latents[i].claim === "none"));
  return isOfToday ? { state: "made", value: { record, rows } } : { state: "outdated" };
}

async function readStability({
  folder,
  dictionarySha256,
  latents,
}: DictionaryOfToday): Promise<LateTable<StabilityTable>> {
  const record = await readStabilityRecord(folder);
  if (record === undefined) return { state: "absent" };
  const { reference } = record;
  if (reference.dictionarySha256 !== dictionarySha256 || reference.claimsSha256 !== claimsHash(latents))
    return { state: "outdated" };
  return { state: "made", value: { record, latents: await readStabilityTable(folder) } };
}

async function readSparsity({
  folder,
  dictionarySha256,
  latents,
}: DictionaryOfToday): Promise<LateTable<SparsityComparison>> {
  const value = await readSparsityComparison(folder);
  if (value === undefined) return { state: "absent" };
  const [own] = value.dictionaries;
  return own.dictionarySha256 === dictionarySha256 && own.claimsSha256 === claimsHash(latents)
    ? { state: "made", value }
    : { state: "outdated" };
}

/** SHA-256 of each record that is there, by its name, the study's glance among them: the same tables give the same key. */
export async function lateTablesKey(dictionaryFolder: string): Promise<Record<string, string>> {
  const paths = {
    nulls: nullPaths(dictionaryFolder).record,
    stability: stabilityPaths(dictionaryFolder).record,
    sparsity: sparsityPath(dictionaryFolder),
    causal: causalPath(dictionaryFolder),
    glance: glancePath(dictionaryFolder),
  };
  const key: Record<string, string> = {};
  for (const [name, path] of Object.entries(paths)) {
    if (existsSync(path))
      key[name] = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
  }
  return key;
}
