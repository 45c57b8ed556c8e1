// study.lock.json: what was asked, resolved to hashes, versions and numbers, before any compute.
//
// Checks that need no activations happen here (files exist, layers in range, tokenizers agree), so that a mistake costs
// a second and not an hour.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { inspectPair } from "../harvest/inspect-pair.ts";
import { openPair } from "../harvest/open-pair.ts";
import { openModel } from "../lm/adapter.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { probeDevice } from "../lm/session.ts";
import { packageVersion } from "../package-root.ts";
import type { StudyConfig } from "./config.ts";

export interface LockedModel {
  path: string;
  /** SHA-256 over config and weights, an adapter's included. */
  hash: string;
  /** The folder of the LoRA adapter merged over `path`; absent: none. */
  adapter?: string;
  modelType: string;
  nLayers: number;
  dModel: number;
}

export interface StudyLock {
  schemaVersion: 1;
  tunediff: string;
  node: string;
  platform: string;
  base: LockedModel;
  finetuned: LockedModel;
  data: { path: string; sha256: string };
  /** Cuts the text for both models. */
  tokenizer: { path: string; hash: string };
  /** 0-based block in each model. */
  layer: { base: number; finetuned: number };
  seed: number;
}

/** Resolves and checks a configuration. Throws FormatError, ConfigError or MismatchError; warnings are sentences. */
export async function resolveLock(config: StudyConfig): Promise<{ lock: StudyLock; warnings: string[] }> {
  await probeDevice(config.device);
  const inspected = await inspectPair(config);
  const base = await openCheckpoint(config.base);
  const finetuned = await openModel(config.finetuned, config).catch(async (error: unknown) => {
    await base.close();
    throw error;
  });
  try {
    const { layer } = inspected;
    const { tokenizer, warnings } = await openPair(config, { base, finetuned }, inspected);
    const lock: StudyLock = {
      schemaVersion: 1,
      tunediff: packageVersion(),
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      base: lockedModel(base),
      finetuned: lockedModel(finetuned),
      data: { path: config.data, sha256: await hashFile(config.data) },
      tokenizer: { path: tokenizer.folder, hash: tokenizer.hash },
      layer,
      seed: config.seed,
    };
    return { lock, warnings };
  } finally {
    await base.close();
    await finetuned.close();
  }
}

function lockedModel(checkpoint: Checkpoint): LockedModel {
  const { folder, hash, config, adapter } = checkpoint;
  const { modelType, nLayers, dModel } = config;
  return { path: folder, hash, ...(adapter && { adapter: adapter.folder }), modelType, nLayers, dModel };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (cause) {
    throw new FormatError(`${path}: expected a readable data file, found none`, {
      hint: 'give --data a JSONL file with one {"text": …} or {"messages": […]} a line',
      cause,
    });
  }
  return hash.digest("hex");
}

/** Writes study.lock.json in one step. */
export async function writeLock(folder: string, lock: StudyLock): Promise<void> {
  await writeFileAtomic(join(folder, "study.lock.json"), `${JSON.stringify(lock, null, 2)}\n`);
}
