// Writes a store piece by piece so that a crash costs one shard: rows first, then shards in any order, the manifest last.
//
// Every piece is a committed folder; asking for a writer again over a partly written folder goes on where it stopped, over
// a finished one does nothing. Where activations come from is the harvest's business.

import { mkdir, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FormatError, MismatchError, NumericsError, ShapeError, StorageError } from "../errors.ts";
import {
  acquireLock,
  commitFolder,
  removeStaleTemporaries,
  requireFreeSpace,
  sealJson,
  verifyFolder,
  writeFileAtomic,
} from "../formats/atomic.ts";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import { bf16ToF32, f32ToBf16 } from "../numerics/dtypes.ts";
import { checkRows, ROW_COLUMNS, readRows, writeRows } from "./row-file.ts";
import { type DocumentRecord, type RowTable, SPLITS, type Split } from "./rows.ts";
import { isCommitted, readStoreManifest } from "./store.ts";
import type { Site, SiteManifest, StoreDtype, StoreManifest } from "./store-contract.ts";
import {
  checkShard,
  defaultRowsPerShard,
  firstDifference,
  type PlannedSite,
  parsePlan,
  readStoreId,
  type ShardDetails,
  type ShardRange,
  type StorePlan,
  shardFolder,
  shardRange,
} from "./store-plan.ts";

export interface StoreWriterOptions {
  /** stores/NAME */
  folder: string;
  name: string;
  rows: RowTable;
  documents: DocumentRecord[];
  datasets: string[];
  slots: string[];
  tokenizerHash: string;
  /** Base first. */
  sites: { site: Site; dtype: StoreDtype }[];
  /** Default: at most 32,768 rows and 64 MiB. */
  rowsPerShard?: number;
  /** What rows and sites are made from, plain JSON. A store made from anything else is refused. */
  identity: Record<string, unknown>;
}

export interface StoreWriter {
  nShards: number;
  /** Sentences for the user: damaged shards set aside, rounding above 5 %. Grows until finish() has returned. */
  warnings: string[];
  shardRange(shard: number): ShardRange;
  /** Committed and verified; a shard that failed verification was set aside and is not there. */
  hasShard(siteName: string, shard: number): boolean;
  /**
   * Commits one shard. activations: [rowEnd − rowStart, width] f32, raw units, not kept.
   * Throws NumericsError naming site, row and document for a number that is not finite, ShapeError, StorageError.
   */
  writeShard(siteName: string, shard: number, activations: Float32Array): Promise<void>;
  /** Writes manifest.json when every shard is there (else StorageError) and lets go of the lock. */
  finish(): Promise<StoreManifest>;
  /** Lets go of the lock without finishing. */
  close(): Promise<void>;
}

/** Above this share of the difference between the models, rounding is worth a warning. */
export const ROUNDING_WARNING = 0.05;

/**
 * Opens a store for writing, new or partly written.
 * Throws MismatchError naming the first difference when the folder holds a store of another identity, and StorageError
 * when another process writes to it.
 */
export async function createStoreWriter(options: StoreWriterOptions): Promise<StoreWriter> {
  const { folder, rows, documents } = options;
  checkRows(rows, documents);
  const plan = planOf(options);
  await mkdir(join(folder, "sites"), { recursive: true });
  // An earlier writer of this process that failed without close() must not shut us out.
  const lock = await acquireLock(join(folder, ".lock"), { takeOverOwn: true });
  try {
    await removeStaleTemporaries(folder);
    await prepareRows(options, plan);
    const storeId = await readStoreId(folder);
    const state: WriterState = { folder, plan, storeId, rows, documents, committed: new Map(), warnings: [] };
    await findCommitted(state);
    return writerOf(state, lock.release);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface WriterState {
  folder: string;
  plan: StorePlan;
  storeId: string;
  rows: RowTable;
  documents: DocumentRecord[];
  /** Details of verified shards by "site/shard". */
  committed: Map<string, ShardDetails>;
  warnings: string[];
}

function writerOf(state: WriterState, release: () => Promise<void>): StoreWriter {
  const { plan, rows, committed, warnings } = state;
  const nShards = countShards(state);
  let queue: Promise<unknown> = Promise.resolve();
  return {
    nShards,
    warnings,
    shardRange: (shard) => shardRange(shard, { nRows: rows.nRows, rowsPerShard: plan.rowsPerShard }),
    hasShard: (siteName, shard) => committed.has(`${findSite(plan, siteName).name}/${shard}`),
    writeShard: (siteName, shard, activations) => {
      const site = findSite(plan, siteName);
      // One at a time, so that of two paired shards the second always sees the first.
      const written = queue.then(() => writeOne(state, { site, shard, activations }));
      queue = written.catch(() => {});
      return written;
    },
    finish: async () => {
      await queue;
      const manifest = await finish(state);
      await release();
      return manifest;
    },
    close: async () => {
      await queue;
      await release();
    },
  };
}

function planOf(options: StoreWriterOptions): StorePlan {
  const { name, identity, sites, tokenizerHash, datasets, slots } = options;
  const rowsPerShard = options.rowsPerShard ?? defaultRowsPerShard(sites);
  const flat = sites.map(({ site: { name, model, layer, width }, dtype }) => ({
    name,
    model,
    layer,
    width,
    dtype,
  }));
  // Through JSON, as it will be read back.
  const plan = { name, identity, sites: flat, rowsPerShard, tokenizerHash, datasets, slots };
  return parsePlan(JSON.parse(JSON.stringify(plan)), options.folder);
}

/** Commits the rows, or checks that those already there are the same. */
async function prepareRows(options: StoreWriterOptions, plan: StorePlan): Promise<void> {
  const { folder, rows, documents } = options;
  const path = join(folder, "rows");
  if (!(await isCommitted(path))) return writeRows(path, { rows, documents, details: plan });
  const stored = await readRows(path);
  const hint = `harvest into another store (--store NAME), or remove ${folder} to make this one anew`;
  const { identity, ...rest } = plan;
  const { identity: storedIdentity, ...storedRest } = parsePlan(stored.details, path);
  const difference = firstDifference(storedIdentity, identity) ?? firstDifference(storedRest, rest);
  if (difference) {
    const { key, a, b } = difference;
    throw new MismatchError(
      `${folder}: ${key} is ${JSON.stringify(a)}, this harvest has ${JSON.stringify(b)}`,
      { hint },
    );
  }
  for (const name of Object.keys(ROW_COLUMNS) as (keyof typeof ROW_COLUMNS)[]) {
    const [a, b] = [stored.rows[name], rows[name]];
    const row =
      a.length === b.length
        ? a.findIndex((value: number, i: number) => value !== b[i])
        : Math.min(a.length, b.length);
    if (row === -1) continue;
    throw new MismatchError(`${folder}: ${name} of row ${row} is ${a[row]}, this harvest has ${b[row]}`, {
      hint,
    });
  }
  const changed = firstDifference(stored.documents, JSON.parse(JSON.stringify(documents)), "documents");
  if (changed) throw new MismatchError(`${folder}: ${changed.key} differs from this harvest's`, { hint });
}

function countShards({ rows, plan }: Pick<WriterState, "rows" | "plan">): number {
  return Math.ceil(rows.nRows / plan.rowsPerShard);
}

function findSite(plan: StorePlan, name: string): PlannedSite {
  const site = plan.sites.find((candidate) => candidate.name === name);
  if (site) return site;
  throw new ShapeError(`expected one of the sites ${plan.sites.map(({ name }) => name)}, got ${name}`);
}

/** Verifies what is there. A shard that is damaged or not ours is renamed, never deleted, and will be written again. */
async function findCommitted(state: WriterState): Promise<void> {
  const { folder, plan, storeId, rows, committed, warnings } = state;
  for (const { name } of plan.sites) {
    await removeStaleTemporaries(join(folder, "sites", name));
    for (let shard = 0; shard < countShards(state); shard += 1) {
      const path = shardFolder(folder, name, shard);
      if (!(await exists(path))) continue;
      const range = shardRange(shard, { nRows: rows.nRows, rowsPerShard: plan.rowsPerShard });
      try {
        const manifest = await verifyFolder(path);
        committed.set(
          `${name}/${shard}`,
          checkShard(manifest, { path, storeId, site: name, shard, ...range }),
        );
      } catch (error) {
        if (!(error instanceof FormatError || error instanceof MismatchError)) throw error;
        const aside = `${path}.bad-${Date.now().toString(36)}`;
        await rename(path, aside);
        warnings.push(`${error.message}; set aside as ${aside}, it will be harvested again`);
      }
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function writeOne(
  state: WriterState,
  { site, shard, activations }: { site: PlannedSite; shard: number; activations: Float32Array },
): Promise<void> {
  const { folder, plan, storeId, rows, committed } = state;
  const range = shardRange(shard, { nRows: rows.nRows, rowsPerShard: plan.rowsPerShard });
  const nRows = range.rowEnd - range.rowStart;
  if (!Number.isInteger(shard) || shard < 0 || nRows <= 0 || activations.length !== nRows * site.width) {
    throw new ShapeError(
      `${site.name} shard ${shard} of ${countShards(state)}: expected [${nRows}, ${site.width}] activations, got ${activations.length}`,
    );
  }
  requireFinite(state, { site, rowStart: range.rowStart, activations });
  const path = shardFolder(folder, site.name, shard);
  const stored = site.dtype === "bf16" ? f32ToBf16(activations) : activations;
  await mkdir(dirname(path), { recursive: true });
  await requireFreeSpace(dirname(path), 2 * stored.byteLength);
  const details: ShardDetails = {
    storeId,
    site: site.name,
    shard,
    ...range,
    roundingSquared: stored instanceof Uint16Array ? squaredDistance(bf16ToF32(stored), activations) : 0,
    differenceSquared: await differenceTo(state, { site, shard, activations }),
  };
  await commitFolder(
    path,
    (temporary) =>
      writeSafetensors(join(temporary, "activations.safetensors"), [
        {
          name: "activations",
          dtype: stored instanceof Uint16Array ? "BF16" : "F32",
          shape: [nRows, site.width],
          data: stored,
        },
      ]),
    { ...details },
  );
  committed.set(`${site.name}/${shard}`, details);
}

function requireFinite(
  { rows, documents }: WriterState,
  { site, rowStart, activations }: { site: PlannedSite; rowStart: number; activations: Float32Array },
): void {
  let bad = 0;
  while (bad < activations.length && Number.isFinite(activations[bad])) bad += 1;
  if (bad === activations.length) return;
  const row = rowStart + Math.floor(bad / site.width);
  const document = documents[rows.document[row]];
  throw new NumericsError(
    `${site.name}: row ${row} (document "${document.id}", position ${rows.position[row]}), dimension ` +
      `${bad % site.width}: expected a finite activation, got ${activations[bad]}`,
    { hint: "the model overflows on this text: check its weights and dtype, or leave that document out" },
  );
}

/** Σ(a − b)² in f64. */
function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) {
    const difference = a[i] - b[i];
    sum += difference * difference;
  }
  return sum;
}

/**
 * Σ‖h − h_other‖² against the paired site's shard, null when it is not written yet.
 *
 * The other side is known only as stored, h_other + e, so Σ‖h − h_other − e‖² is measured and its recorded Σ‖e‖² taken off:
 * exact when the models agree, else right up to Σ e·(h − h_other), whose mean is 0.
 */
async function differenceTo(
  { folder, plan, committed }: WriterState,
  { site, shard, activations }: { site: PlannedSite; shard: number; activations: Float32Array },
): Promise<number | null> {
  const other = pairOf(plan, site);
  const details = other && committed.get(`${other.name}/${shard}`);
  if (!other || !details) return null;
  const file = await openSafetensors(join(shardFolder(folder, other.name, shard), "activations.safetensors"));
  try {
    const stored = await file.readFloat32("activations");
    return Math.max(0, squaredDistance(activations, stored) - details.roundingSquared);
  } finally {
    await file.close();
  }
}

/** The site of the other model to compare with: same layer, else the only one there is; only of equal width. */
function pairOf({ sites }: StorePlan, site: PlannedSite): PlannedSite | undefined {
  const others = sites.filter(({ model, width }) => model !== site.model && width === site.width);
  const sameSide = sites.filter(({ model }) => model === site.model);
  const sameLayer = others.find(({ layer }) => layer === site.layer);
  return sameLayer ?? (others.length === 1 && sameSide.length === 1 ? others[0] : undefined);
}

async function finish(state: WriterState): Promise<StoreManifest> {
  const { folder, plan, storeId, rows, documents, committed, warnings } = state;
  const nShards = countShards(state);
  for (const { name } of plan.sites) {
    for (let shard = 0; shard < nShards; shard += 1) {
      if (committed.has(`${name}/${shard}`)) continue;
      throw new StorageError(
        `${shardFolder(folder, name, shard)}: expected every shard before the store is finished`,
        {
          hint: "run `tunediff harvest` again: it writes the missing shards",
        },
      );
    }
  }
  const sites = plan.sites.map((site): SiteManifest => {
    const { dtype, ...rest } = site;
    const roundingErrorRelative = relativeRounding(state, site);
    if (roundingErrorRelative !== null && roundingErrorRelative > ROUNDING_WARNING) {
      const percent = (100 * roundingErrorRelative).toFixed(1);
      warnings.push(
        `${site.name}: ${dtype} rounding is ${percent} % of the difference between the models (above ` +
          `${100 * ROUNDING_WARNING} %): harvest with --dtype f32`,
      );
    }
    return { ...rest, dtype, rowsPerShard: plan.rowsPerShard, nShards, roundingErrorRelative };
  });
  const manifest: StoreManifest = {
    schemaVersion: 1,
    name: plan.name,
    nRows: rows.nRows,
    nDocuments: documents.length,
    rowsBySplit: countSplits(rows),
    datasets: plan.datasets,
    slots: plan.slots,
    sites,
    tokenizerHash: plan.tokenizerHash,
    identity: plan.identity,
  };
  const sealed = sealJson({ ...manifest, storeId });
  const path = join(folder, "manifest.json");
  const existing = (await isCommitted(folder))
    ? await readStoreManifest(folder).catch(() => undefined)
    : undefined;
  if (existing === undefined || sealJson(existing) !== sealed) await writeFileAtomic(path, sealed);
  return manifest;
}

/** sqrt(Σ‖stored − exact‖² / Σ‖h_finetuned − h_base‖²); null without a paired site or any difference. */
function relativeRounding(
  { plan, committed, warnings, rows }: WriterState,
  site: PlannedSite,
): number | null {
  const other = pairOf(plan, site);
  if (!other) return null;
  let [rounding, difference] = [0, 0];
  for (let shard = 0; shard < countShards({ rows, plan }); shard += 1) {
    const [base, finetuned] = (site.model === "base" ? [site, other] : [other, site]).map(({ name }) =>
      committed.get(`${name}/${shard}`),
    );
    rounding += (site.model === "base" ? base : finetuned)?.roundingSquared ?? 0;
    // After a shard was mended both sides may have measured it; the finetuned's word counts, so that order cannot matter.
    difference += finetuned?.differenceSquared ?? base?.differenceSquared ?? 0;
  }
  if (difference > 0) return Math.sqrt(rounding / difference);
  if (site.model === "base")
    warnings.push(`${site.name} and ${other.name} hold the same activations: nothing differs`);
  return null;
}

function countSplits(rows: RowTable): Record<Split, number> {
  const counts: Record<Split, number> = { train: 0, heldout: 0, test: 0 };
  for (const split of rows.split) counts[SPLITS[split]] += 1;
  return counts;
}
