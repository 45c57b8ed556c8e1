// What a store is going to be, fixed before its first shard: identity, sites, shard size; and who belongs to whom.
//
// The plan lives in the manifest of rows/. The SHA-256 of that manifest is the store's id; every shard carries it, so that
// a shard of another store, of another run or in another place is never taken for ours.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError, MismatchError } from "../errors.ts";
import type { FolderManifest } from "../formats/atomic.ts";
import type { Site, StoreDtype } from "./store-contract.ts";

const siteSchema = z.object({
  name: z.string().regex(/^[A-Za-z0-9._-]+$/),
  model: z.enum(["base", "finetuned"]),
  layer: z.int().nonnegative(),
  width: z.int().positive(),
  dtype: z.enum(["bf16", "f32"]),
});

const planSchema = z.object({
  name: z.string(),
  identity: z.record(z.string(), z.unknown()),
  sites: z.array(siteSchema).min(1),
  rowsPerShard: z.int().positive(),
  tokenizerHash: z.string(),
  datasets: z.array(z.string()),
  slots: z.array(z.string()),
});

export type StorePlan = z.infer<typeof planSchema>;
export type PlannedSite = StorePlan["sites"][number];

/** Reads a plan out of the details of rows/. Throws FormatError. */
export function parsePlan(details: Record<string, unknown>, path: string): StorePlan {
  const parsed = planSchema.safeParse(details);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError(`${path}: ${issue.path.join(".")}: ${issue.message}`, {
    hint: "the store was written by another version: harvest it again into another folder",
  });
}

/** SHA-256 hex of rows/manifest.json, which names every byte of the rows and the whole plan. */
export async function readStoreId(folder: string): Promise<string> {
  const text = await readFile(join(folder, "rows", "manifest.json"));
  return createHash("sha256").update(text).digest("hex");
}

/** Rows a shard holds when nobody says: at most 32,768, and at most 64 MiB of the widest site. */
export function defaultRowsPerShard(sites: { site: Site; dtype: StoreDtype }[]): number {
  const rowBytes = Math.max(...sites.map(({ site, dtype }) => site.width * bytesOf(dtype)));
  return Math.max(1, Math.min(32_768, Math.floor(2 ** 26 / rowBytes)));
}

export function bytesOf(dtype: StoreDtype): number {
  return dtype === "bf16" ? 2 : 4;
}

export function shardFolder(folder: string, site: string, shard: number): string {
  return join(folder, "sites", site, `shard-${String(shard).padStart(5, "0")}`);
}

export interface ShardRange {
  rowStart: number;
  rowEnd: number;
}

export function shardRange(
  shard: number,
  { nRows, rowsPerShard }: { nRows: number; rowsPerShard: number },
): ShardRange {
  return { rowStart: shard * rowsPerShard, rowEnd: Math.min(nRows, (shard + 1) * rowsPerShard) };
}

/** Kept in a shard's manifest. */
export interface ShardDetails {
  storeId: string;
  site: string;
  shard: number;
  rowStart: number;
  rowEnd: number;
  /** Σ‖stored − exact‖² over the shard's rows. */
  roundingSquared: number;
  /** Σ‖h − h_other‖² against the paired site, when its shard was there first; else null. */
  differenceSquared: number | null;
}

/** The details of a verified shard, when it is the one that belongs at this place. Throws MismatchError. */
export function checkShard(
  manifest: FolderManifest,
  expected: Omit<ShardDetails, "roundingSquared" | "differenceSquared"> & { path: string },
): ShardDetails {
  const { path, ...fields } = expected;
  const details = manifest.details as unknown as ShardDetails;
  for (const [key, value] of Object.entries(fields)) {
    const got = manifest.details[key];
    if (got === value) continue;
    throw new MismatchError(`${path}: expected ${key} ${value}, got ${got}`, {
      hint: "the shard belongs to another store or place: move it away and run `tunediff harvest` again",
    });
  }
  return details;
}

/** First place where two JSON values differ, as a dotted key; undefined when they are equal. */
export function firstDifference(
  a: unknown,
  b: unknown,
  key = "",
): { key: string; a: unknown; b: unknown } | undefined {
  if (isObject(a) && isObject(b) && Array.isArray(a) === Array.isArray(b)) {
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const difference = firstDifference(a[name], b[name], key === "" ? name : `${key}.${name}`);
      if (difference) return difference;
    }
    return undefined;
  }
  return Object.is(a, b) || a === b ? undefined : { key, a, b };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
