// One null draw of a study: another model in the fine-tune's place, harvested, trained and measured as the pair was.
//
// Its store is large and stands only until it is measured. dictionaries/NAME-null-D/null-draw.json says how far the draw is; a
// killed run goes on from there, inside a stage as the stage does. What a draw is compared with: null-study.ts.

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { FormatError, MismatchError, StorageError, throwIfInterrupted } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { harvest, type StandIn } from "../harvest/harvest.ts";
import { type CandidateScores, candidateScores } from "../measure/false-discovery.ts";
import { measure, readMeasure } from "../measure/measure.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import type { ReportProgress } from "../progress.ts";
import { openRowSource } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import type { StoreManifest } from "../store/store-contract.ts";
import { readDocuments } from "../text/read-documents.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { train } from "../training/train.ts";
import type { StudyConfig } from "./config.ts";
import { trainConfigOf } from "./dictionary-config.ts";
import type { StudyLock } from "./lock.ts";

const drawState = z.object({
  schemaVersion: z.literal(1),
  /** Hash of everything the draw depends on. */
  key: z.string(),
  noise: z.object({ scale: z.number(), changeRatio: z.number() }),
  /** SHA-256 of the dictionary that was measured; null: none yet. */
  measured: z.string().nullable(),
});

type DrawState = Omit<z.infer<typeof drawState>, "schemaVersion">;

/** Scale of the noise, 0 for a model without any, and how far it takes the model from the base (change-ratio.ts). */
export type DrawNoise = DrawState["noise"];

export interface DrawQuestion {
  folder: string;
  config: StudyConfig;
  lock: StudyLock;
  /** Of the pair's own store, whose rows the draw must have. */
  manifest: StoreManifest;
  /** "null-1", "null-control". */
  name: string;
  /** Hash of everything the draw depends on. */
  key: string;
  /** Asked once; the answer is kept. */
  findNoise(): Promise<DrawNoise>;
  openModel(noise: DrawNoise): ReturnType<StandIn["open"]>;
  /** Keep the store after it is measured. */
  keep: boolean;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface FinishedDraw {
  noise: DrawNoise;
  scores: CandidateScores;
  dictionarySha256: string;
}

/** Runs what is left of a draw. Throws what the stages throw, and MismatchError when the draw's rows are not the pair's. */
export async function runDraw(question: DrawQuestion): Promise<FinishedDraw> {
  const { key, keep, signal } = question;
  const paths = drawPaths(question);
  let state = await readState(paths.dictionary);
  if (state !== undefined && state.key !== key) {
    // The state file says that both folders are a draw's; what they hold answers another question.
    await Promise.all(Object.values(paths).map((folder) => rm(folder, { recursive: true, force: true })));
    state = undefined;
  }
  let finished = await readFinished(paths.dictionary, state);
  if (finished === undefined) {
    const noise = state?.noise ?? (await question.findNoise());
    throwIfInterrupted(signal);
    await writeState(paths.dictionary, { key, noise, measured: null });
    await harvestDraw(question, noise);
    await learnDraw(question);
    const measured = await dictionarySha256(paths.dictionary);
    await writeState(paths.dictionary, { key, noise, measured });
    finished = { noise, scores: await readScores(paths.dictionary), dictionarySha256: measured };
  }
  if (!keep) await rm(paths.store, { recursive: true, force: true });
  return finished;
}

export function drawPaths({
  folder,
  config,
  name,
}: Pick<DrawQuestion, "folder" | "config" | "name">): Record<"store" | "dictionary", string> {
  return {
    store: join(folder, "stores", name),
    dictionary: join(folder, "dictionaries", `${config.dictionary.name}-${name}`),
  };
}

async function harvestDraw(question: DrawQuestion, noise: DrawNoise): Promise<void> {
  const { config, lock, manifest, name, reportProgress, signal } = question;
  const storeFolder = drawPaths(question).store;
  const layer = lock.layer.base;
  const { manifest: made } = await harvest({
    base: config.base,
    finetuned: config.finetuned,
    documents: readDocuments(config.data),
    layer: lock.layer,
    storeFolder,
    storeName: name,
    dtype: config.store.dtype,
    maxTokens: maxTokensOf(manifest) ?? config.store.maxTokens,
    baseReplacements: config.store.baseReplacements,
    skipFirst: config.store.skipFirst,
    device: config.device,
    threads: config.threads,
    identity: { data: lock.data.sha256 },
    standIn: { layer, open: () => question.openModel(noise) },
    reportProgress,
    signal,
  });
  const describe = ({ nRows, rowsBySplit }: StoreManifest): string =>
    `${nRows} rows ${JSON.stringify(rowsBySplit)}`;
  if (describe(made) !== describe(manifest)) {
    throw new MismatchError(
      `${storeFolder}: expected ${describe(manifest)} as the pair's store, got ${describe(made)}`,
      {
        hint: "the draw must read the pair's text: has the data file or a model's folder changed?",
      },
    );
  }
}

/** What the pair was cut to: the fine-tune may have fewer positions than the model in its place. */
function maxTokensOf({ identity }: StoreManifest): number | undefined {
  const cut = z.object({ harvest: z.object({ maxTokens: z.int().min(1) }) }).safeParse(identity);
  return cut.success ? cut.data.harvest.maxTokens : undefined;
}

async function learnDraw(question: DrawQuestion): Promise<void> {
  const { config, lock, reportProgress, signal } = question;
  const paths = drawPaths(question);
  const store = await openStore(paths.store);
  try {
    await train({
      store,
      config: trainConfigOf(config.dictionary, config),
      folder: paths.dictionary,
      ...(reportProgress && { reportProgress }),
      ...(signal && { signal }),
    });
  } finally {
    await store.close();
  }
  const source = await openRowSource(paths.store);
  try {
    const { tokenString } = await loadTokenizer(lock.tokenizer.path);
    await measure({
      store: source,
      dictionary: await loadDictionary(paths.dictionary),
      folder: paths.dictionary,
      tokenString,
      examplesPerLatent: config.report.examplesPerLatent,
      threads: config.threads,
      reportProgress,
      signal,
    });
  } finally {
    await source.close();
  }
}

async function readScores(dictionaryFolder: string): Promise<CandidateScores> {
  return candidateScores((await readMeasure(dictionaryFolder)).latents);
}

/** undefined when the draw is not done, or when its files are not what was measured: making them again mends them. */
async function readFinished(
  dictionaryFolder: string,
  state: DrawState | undefined,
): Promise<FinishedDraw | undefined> {
  if (state === undefined || state.measured === null) return undefined;
  try {
    if ((await dictionarySha256(dictionaryFolder)) !== state.measured) return undefined;
    const scores = await readScores(dictionaryFolder);
    return { noise: state.noise, scores, dictionarySha256: state.measured };
  } catch (error) {
    if (error instanceof FormatError || error instanceof StorageError) return undefined;
    throw error;
  }
}

const statePath = (dictionaryFolder: string): string => join(dictionaryFolder, "null-draw.json");

async function writeState(dictionaryFolder: string, state: DrawState): Promise<void> {
  await ensureFolder(dictionaryFolder);
  const text = JSON.stringify({ schemaVersion: 1, ...state }, undefined, 2);
  await writeFileAtomic(statePath(dictionaryFolder), `${text}\n`);
}

/** undefined when there is none that can be used: the noise is then looked for again. */
async function readState(dictionaryFolder: string): Promise<DrawState | undefined> {
  const text = await readFile(statePath(dictionaryFolder), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return drawState.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
