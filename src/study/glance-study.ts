// A first glance at a study's pair: its models, text and layer, before anything of the study has to be made.
//
// glance.json and its page lie beside study.yaml. A glance is known by a key of everything it was made from and is not repeated.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { type GlanceOptions, glance } from "../glance/glance.ts";
import type { Glance } from "../glance/glance-contract.ts";
import { readGlance, writeGlance } from "../glance/glance-file.ts";
import type { ReportProgress } from "../progress.ts";
import { GLANCE_PAGE, renderGlancePage } from "../report/glance-page.ts";
import type { StudyConfig } from "./config.ts";
import { stageKey } from "./journal.ts";
import { resolveLock } from "./lock.ts";

/** What a study says of its own glance; flags of a command may say otherwise. */
export function glanceOptionsOf(config: StudyConfig): GlanceOptions {
  const { base, finetuned, data, layer, seed, threads, device, store } = config;
  return {
    ...{ base, finetuned, data, layer, seed, threads, device },
    baseReplacements: store.baseReplacements,
    skipFirst: store.skipFirst,
  };
}

/** Writes glance.json and glance.html into `folder`; returns their paths. */
export async function writeGlanceFiles(
  folder: string,
  found: Glance,
): Promise<{ json: string; page: string }> {
  await ensureFolder(folder);
  const page = join(folder, GLANCE_PAGE);
  const json = await writeGlance(folder, found);
  await writeFileAtomic(page, renderGlancePage(found));
  return { json, page };
}

/**
 * Glances at the study's pair unless that was done with the same models, text and options.
 *
 * Throws what resolveLock and glance throw.
 */
export async function glanceAtStudy({
  folder,
  config,
  reportProgress,
  signal,
}: {
  folder: string;
  config: StudyConfig;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}): Promise<{ glance: Glance; reused: boolean }> {
  const { lock } = await resolveLock(config);
  const options = glanceOptionsOf(config);
  const { threads: _, device: __, ...outcome } = options;
  const key = stageKey(
    "glance",
    lock.tunediff,
    lock.base.hash,
    lock.finetuned.hash,
    lock.data.sha256,
    outcome,
  );
  const before = existsSync(join(folder, GLANCE_PAGE)) ? await readGlance(folder) : undefined;
  if (before?.key === key) return { glance: before, reused: true };
  const found = { ...(await glance({ ...options, reportProgress, signal })), key };
  await writeGlanceFiles(folder, found);
  return { glance: found, reused: false };
}
