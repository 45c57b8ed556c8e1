// What the latents of a study's dictionary do to the answers: the paper's experiment, every latent by itself, splice metrics, behaviours.
//
// Conversations are chats of the study's own text (of a split that the claims were not made on) or of a file; the answers are those
// written there or the fine-tune's own. Everything is recorded in tables/causal.json and tables/causal.parquet of the dictionary. A stopped run
// goes on from its parts below dictionaries/NAME/causal-parts/. Not here: the experiments themselves (causal/), what is printed (cli/causal.ts).

import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openAnswerMemory } from "../causal/answer-memory.ts";
import { behaviourRates } from "../causal/behaviour-rates.ts";
import { readBehaviours } from "../causal/behaviours-file.ts";
import { BOOTSTRAP_SETTINGS } from "../causal/bootstrap.ts";
import {
  type BehaviourRate,
  CODE_CHOICES,
  type PaperChoices,
  type PatchingResult,
  type SpliceOutcome,
} from "../causal/causal-contract.ts";
import {
  CAUSAL_PARTS,
  type CausalAsked,
  type CausalPart,
  type CausalRecord,
  type EffectsSummary,
  findDone,
  writeCausal,
} from "../causal/causal-file.ts";
import {
  type Chat,
  type ConversationSet,
  chatsOfStore,
  conversationsOfDocuments,
  conversationsOfStore,
  drawEvenly,
} from "../causal/conversations.ts";
import { controlLatents, PLAN_SETTINGS, planEffects } from "../causal/effects-plan.ts";
import { writeEffects } from "../causal/effects-table.ts";
import { type FiringStats, firingStats } from "../causal/firing-stats.ts";
import { answerWithFinetuned, chatsOfDocuments } from "../causal/generated-answers.ts";
import { measureEffects } from "../causal/latent-effects.ts";
import { CONTROL_SETTINGS, matchedControls } from "../causal/matched-controls.ts";
import { createPatchEvaluator, type PatchEvaluator } from "../causal/patch-evaluator.ts";
import { PATCHING_SETTINGS, runPatching } from "../causal/patching.ts";
import type { CandidatePool } from "../causal/selection.ts";
import { spliceMetrics } from "../causal/splice.ts";
import { spliceDocumentsOfStore } from "../causal/splice-documents.ts";
import { predictedPositions } from "../causal/token-sets.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError } from "../errors.ts";
import { acquireLock } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { commonIds } from "../harvest/harvest-outputs.ts";
import { openPair, type Pair } from "../harvest/open-pair.ts";
import { openModel } from "../lm/adapter.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { readMeasure } from "../measure/measure.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import type { ReportProgress } from "../progress.ts";
import { normLimits } from "../store/norm-outliers.ts";
import type { Split } from "../store/rows.ts";
import { openStore, readStoreManifest } from "../store/store.ts";
import type { ModelSide, Store } from "../store/store-contract.ts";
import { createPromptTokenizer } from "../text/chat-prompt.ts";
import type { InputDocument } from "../text/document.ts";
import { readDocuments } from "../text/read-documents.ts";
import { findStopIds } from "../text/stop-ids.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import { fileSha256 } from "../training/training-record.ts";
import { readTruth } from "../truth/truth.ts";
import type { StudyConfig } from "./config.ts";
import type { StudyLock } from "./lock.ts";
import { runStudy, studyPaths } from "./run-study.ts";

export const CAUSAL_DEFAULTS = {
  conversations: 100,
  split: "test",
  answers: "written",
  /** Documents of the splice metrics, text and chats as the split has them. */
  spliceDocuments: 200,
  /** Longest answer to a prompt of a behaviours file, tokens. */
  behaviourTokens: 64,
} as const;

export interface CausalStudyOptions {
  folder: string;
  config: StudyConfig;
  /** Most of them; default 100. */
  conversations?: number | undefined;
  /** Of the stored text; default "test", which neither training nor measuring has seen. */
  split?: Split | undefined;
  /** JSONL file of chats to use instead of stored ones. */
  data?: string | undefined;
  /** written: the answers of the text. finetuned: the fine-tune answers anew, greedily, as in the paper. Default written. */
  answers?: "written" | "finetuned" | undefined;
  /** Candidates of the paper's experiment; default "leaning". */
  pool?: CandidatePool | undefined;
  /** Latents to add and remove one by one; default: all that lean to the fine-tune, claims first, at most `most`. */
  latents?: readonly number[] | undefined;
  most?: number | undefined;
  /** Default: all; behaviours only where a file is given. */
  parts?: readonly CausalPart[] | undefined;
  /** A behaviours file, see causal/behaviours-file.ts. */
  behaviours?: string | undefined;
  /** Of the file, to count; default: all whose latent is known. */
  behaviourNames?: readonly string[] | undefined;
  choices?: Partial<PaperChoices> | undefined;
  /** Leading positions that stay unedited; default: those that gave no rows, and BOS, which no dictionary is trained on. */
  unedited?: number | undefined;
  /** Of the bootstrap. */
  draws?: number | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface CausalStudy {
  record: CausalRecord;
  /** dictionaries/NAME, whose tables/ hold both. */
  dictionaryFolder: string;
  /** Nothing had changed since the record was made. */
  reused: boolean;
  warnings: string[];
}

/**
 * Runs what the study lacks up to its truth, then the causal parts.
 *
 * Throws ConfigError (options, no chats, latents that do not exist), MismatchError (models of different width), StorageError (the study
 * is in use), InterruptedError, and what the stages throw.
 */
export async function runCausalStudy(options: CausalStudyOptions): Promise<CausalStudy> {
  const { folder, config, reportProgress, signal } = options;
  const { lock, warnings } = await runStudy({
    ...{ folder, config, until: "truth", commands: [] },
    ...(reportProgress && { reportProgress }),
    ...(signal && { signal }),
  });
  const paths = studyPaths(config);
  const dictionaryFolder = join(folder, paths.dictionary);
  const guard = await acquireLock(join(folder, ".lock"));
  const started = performance.now();
  try {
    const inputs = {
      dictionarySha256: await dictionarySha256(dictionaryFolder),
      storeId: (await readStoreManifest(join(folder, paths.store))).storeId,
      asked: await askedOf(options, { lock, dictionaryFolder }),
    };
    const before = await findDone(dictionaryFolder, inputs);
    const left = partsOf(options).filter((part) => !before.done.includes(part));
    if (before.record !== undefined && left.length === 0) {
      return { record: before.record, dictionaryFolder, reused: true, warnings };
    }
    const partsFolder = join(dictionaryFolder, PARTS_FOLDER);
    await ensureFolder(partsFolder);
    const identity = { ...inputs, asked: pickParts(inputs.asked, left) };
    const made = await withGround(options, { lock, dictionaryFolder, partsFolder, identity }, (ground) =>
      runParts(ground, left),
    );
    // What this run was not asked for stays as it was.
    const { record: kept } = before;
    const record: CausalRecord = {
      ...(kept ?? NOTHING),
      ...{ schemaVersion: 1, dictionarySha256: inputs.dictionarySha256, storeId: inputs.storeId },
      ...made,
      asked: { ...(kept ?? NOTHING).asked, ...identity.asked },
      seconds: (performance.now() - started) / 1000,
    };
    await writeCausal(dictionaryFolder, record);
    await rm(partsFolder, { recursive: true, force: true });
    return { record, dictionaryFolder, reused: false, warnings };
  } finally {
    await guard.release();
  }
}

const PARTS_FOLDER = "causal-parts";

const NOTHING = {
  ...{ patching: null, effects: null, splice: null, behaviours: null },
  asked: { patching: null, effects: null, splice: null, behaviours: null },
} satisfies Partial<CausalRecord>;

function pickParts(asked: CausalAsked, parts: readonly CausalPart[]): Partial<CausalAsked> {
  return Object.fromEntries(parts.map((part) => [part, asked[part]]));
}

/** Every option that can change a number of a part, defaults filled in. */
async function askedOf(
  options: CausalStudyOptions,
  { lock, dictionaryFolder }: { lock: StudyLock; dictionaryFolder: string },
): Promise<CausalAsked> {
  const { conversations, split, answers, spliceDocuments, behaviourTokens } = CAUSAL_DEFAULTS;
  const fileHash = async (path: string | undefined): Promise<string | null> =>
    path === undefined ? null : fileSha256(path);
  const { seed } = options.config;
  const models = { base: lock.base.hash, finetuned: lock.finetuned.hash, layer: lock.layer };
  const draws = options.draws ?? BOOTSTRAP_SETTINGS.draws;
  const text = {
    ...{ models, seed },
    measured: await fileSha256(join(dictionaryFolder, "tables", "measure.parquet")),
    conversations: options.conversations ?? conversations,
    split: options.split ?? split,
    data: await fileHash(options.data),
    answers: options.answers ?? answers,
    choices: { ...CODE_CHOICES, ...options.choices },
    unedited: options.unedited ?? null,
  };
  const most = options.most ?? PLAN_SETTINGS.mostCandidates;
  return {
    patching: { ...text, draws, pool: options.pool ?? "leaning" },
    effects: { ...text, draws, latents: options.latents ?? null, most },
    splice: { models, seed, split: text.split, documents: spliceDocuments },
    behaviours: {
      ...text,
      behaviours: await fileHash(options.behaviours),
      names: options.behaviourNames ?? null,
      maxNewTokens: behaviourTokens,
    },
  };
}

function partsOf({ parts, behaviours }: CausalStudyOptions): CausalPart[] {
  if (parts?.includes("behaviours") && behaviours === undefined) {
    throw new ConfigError("behaviours: expected a behaviours file, got none", {
      hint: "name one with --behaviours FILE",
    });
  }
  return CAUSAL_PARTS.filter((part) =>
    part === "behaviours" ? behaviours !== undefined : (parts?.includes(part) ?? true),
  );
}

/** What every part works with; open while `use` runs. */
interface Ground {
  options: CausalStudyOptions;
  lock: StudyLock;
  pair: Pair;
  checkpoints: Record<ModelSide, Checkpoint>;
  store: Store;
  dictionary: Dictionary;
  latents: LatentMeasure[];
  dictionaryFolder: string;
  partsFolder: string;
  /** Of everything that the parts depend on. */
  identity: object;
}

async function withGround<T>(
  options: CausalStudyOptions,
  place: Pick<Ground, "lock" | "dictionaryFolder" | "partsFolder" | "identity">,
  use: (ground: Ground) => Promise<T>,
): Promise<T> {
  const { config, folder } = options;
  const closing: (() => Promise<void>)[] = [];
  try {
    const base = await openCheckpoint(config.base);
    closing.push(() => base.close());
    const finetuned = await openModel(config.finetuned, config);
    closing.push(() => finetuned.close());
    const checkpoints = { base, finetuned };
    const pair = await openPair(
      { ...config, layer: place.lock.layer, baseReplacements: config.store.baseReplacements },
      checkpoints,
    );
    const store = await openStore(join(folder, studyPaths(config).store));
    closing.push(() => store.close());
    const dictionary = await loadDictionary(place.dictionaryFolder);
    const { latents } = await readMeasure(place.dictionaryFolder);
    return await use({ options, ...place, pair, checkpoints, store, dictionary, latents });
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

type Found = Partial<Pick<CausalRecord, CausalPart>>;

async function runParts(ground: Ground, parts: readonly CausalPart[]): Promise<Found> {
  const has = (part: CausalPart): boolean => parts.includes(part);
  const found: Found = {};
  if (has("patching") || has("effects") || has("behaviours")) {
    const set = await findConversations(ground);
    const stats = await withEvaluator(ground, async (evaluator) => {
      const { unedited } = evaluator;
      const known = await firingStats(evaluator, set.conversations, {
        ...{ batchTokens: PATCHING_SETTINGS.batchTokens, unedited },
        ...workOf(ground),
      });
      if (has("patching")) found.patching = await patching(ground, { evaluator, set, stats: known });
      if (has("effects")) found.effects = await effects(ground, { evaluator, set, stats: known });
      return known;
    });
    if (has("behaviours")) found.behaviours = await behaviours(ground, stats);
  }
  if (has("splice")) found.splice = await splice(ground);
  return found;
}

const workOf = ({ options: { reportProgress, signal } }: Ground) => ({ reportProgress, signal });

const deviceOf = ({ options: { config } }: Ground) => ({
  ...(config.threads === undefined ? {} : { threads: config.threads }),
  device: config.device,
});

async function withEvaluator<T>(ground: Ground, use: (evaluator: PatchEvaluator) => Promise<T>): Promise<T> {
  const { options, checkpoints, lock, dictionary, pair } = ground;
  const evaluator = await createPatchEvaluator({
    ...{ checkpoints, layers: lock.layer, dictionary },
    choices: { ...CODE_CHOICES, ...options.choices },
    unedited:
      options.unedited ??
      Math.max(options.config.store.skipFirst, pair.tokenizer.bosId === undefined ? 0 : 1),
    excluded: (await commonIds({ pair, base: options.config.base })).excluded,
    ...deviceOf(ground),
  });
  try {
    return await use(evaluator);
  } finally {
    await evaluator.dispose();
  }
}

interface Conversations extends ConversationSet {
  origin: Pick<PatchingResult["conversations"], "source" | "answers" | "split" | "excluded">;
}

async function findConversations(ground: Ground): Promise<Conversations> {
  const { options, store, pair, checkpoints } = ground;
  const most = options.conversations ?? CAUSAL_DEFAULTS.conversations;
  const split = options.split ?? CAUSAL_DEFAULTS.split;
  const answers = options.answers ?? CAUSAL_DEFAULTS.answers;
  const { seed } = options.config;
  const mostTokens = Math.min(
    checkpoints.base.config.maxPositions,
    checkpoints.finetuned.config.maxPositions,
  );
  const documents = options.data === undefined ? undefined : await collect(readDocuments(options.data));
  const origin = (excluded: Record<string, number>): Conversations["origin"] =>
    documents === undefined
      ? { source: "stored", answers, split, excluded }
      : { source: "file", answers, split: "", excluded };
  if (answers === "finetuned") {
    const draw = { most, seed };
    const asked = documents ? chatsOfDocuments(documents, draw) : chatsOfStore(store, { ...draw, split });
    const set = await answered(ground, { chats: asked.chats, mostTokens });
    return { ...set, origin: origin({ ...asked.excluded, ...set.excluded }) };
  }
  if (documents === undefined) {
    const set = conversationsOfStore(store, { split, most, seed, mostTokens });
    return { ...set, origin: origin(set.excluded) };
  }
  const { tokenizer, template, baseReplacements } = pair;
  const { tokenize } = createDocumentTokenizer({
    tokenizer,
    template,
    baseReplacements,
    maxTokens: mostTokens,
  });
  const chats = drawEvenly(
    documents.filter(({ messages }) => messages !== undefined),
    { most, seed },
  );
  const set = conversationsOfDocuments(await tokenize(chats), { mostTokens });
  const left = documents.length - chats.length;
  return { ...set, origin: origin({ ...set.excluded, ...(left > 0 && { [LEFT_OUT]: left }) }) };
}

/** Lines of a file that were not read as conversations. */
const LEFT_OUT = "plain text, or beyond the number asked for";

async function answered(
  ground: Ground,
  { chats, mostTokens }: { chats: readonly Chat[]; mostTokens: number },
): Promise<ConversationSet> {
  const { options, pair, checkpoints } = ground;
  const { tokenizer, template, baseReplacements } = pair;
  if (template === undefined) {
    throw new ConfigError("answers: expected a chat template for the fine-tune to answer by, got none", {
      hint: "leave --answers out to use the answers as written",
    });
  }
  return answerWithFinetuned({
    ...{ checkpoint: checkpoints.finetuned, tokenizer, template, baseReplacements, chats, mostTokens },
    stopIds: await findStopIds({
      folders: [options.config.finetuned, options.config.base],
      tokenizer,
      template,
    }),
    ...deviceOf(ground),
    ...workOf(ground),
  });
}

interface PatchedPart {
  evaluator: PatchEvaluator;
  set: Conversations;
  stats: FiringStats;
}

async function patching(ground: Ground, { evaluator, set, stats }: PatchedPart): Promise<PatchingResult> {
  const { options, latents, partsFolder, identity } = ground;
  return runPatching({
    ...{ evaluator, conversations: set.conversations, origin: set.origin, latents, stats, identity },
    ...{ pool: options.pool, draws: options.draws, seed: options.config.seed },
    partsFolder: join(partsFolder, "patching"),
    keepParts: true,
    ...workOf(ground),
  });
}

async function effects(ground: Ground, { evaluator, set, stats }: PatchedPart): Promise<EffectsSummary> {
  const { options, latents, pair, partsFolder, identity, dictionaryFolder } = ground;
  const { seed } = options.config;
  const plan = planEffects({
    ...{ latents, stats, seed },
    ...(options.latents && { candidates: options.latents }),
    ...(options.most !== undefined && { mostCandidates: options.most }),
  });
  const { conversations } = set;
  const draws = options.draws ?? BOOTSTRAP_SETTINGS.draws;
  const { rows } = await measureEffects({
    ...{ evaluator, conversations, plan, stats, identity, seed, draws },
    tokenString: pair.tokenizer.tokenString,
    partsFolder: join(partsFolder, "effects"),
    ...workOf(ground),
  });
  await writeEffects(dictionaryFolder, rows);
  return {
    candidates: plan.candidates.length,
    controls: controlLatents(plan).length,
    controlsEach: PLAN_SETTINGS.controlsPerLatent,
    conversations: conversations.length,
    tokens: conversations.reduce(
      (sum, one) => sum + predictedPositions(one, evaluator.choices).positions.length,
      0,
    ),
    silent: plan.candidates.filter((latent) => stats.conversationsFired[latent] === 0).length,
    bootstrap: { draws, level: BOOTSTRAP_SETTINGS.level, seed },
  };
}

async function splice(ground: Ground): Promise<Record<ModelSide, SpliceOutcome>> {
  const { options, checkpoints, lock, dictionary, store } = ground;
  const { documents } = spliceDocumentsOfStore(store, {
    split: options.split ?? CAUSAL_DEFAULTS.split,
    most: CAUSAL_DEFAULTS.spliceDocuments,
    seed: options.config.seed,
  });
  const { outcomes } = await spliceMetrics({
    ...{ checkpoints, layers: lock.layer, dictionary, documents },
    normLimits: await normLimits(store),
    ...deviceOf(ground),
    ...workOf(ground),
  });
  return outcomes;
}

/** Rates of the behaviours of a file, each with the claimed latent that the planted truth gives it. */
async function behaviours(ground: Ground, stats: FiringStats): Promise<BehaviourRate[]> {
  const { options, checkpoints, lock, dictionary, latents, pair, partsFolder, identity, dictionaryFolder } =
    ground;
  const file = await readBehaviours(options.behaviours!);
  const truth = await readTruth(dictionaryFolder);
  const wanted = options.behaviourNames ?? file.behaviours.map(({ name }) => name);
  const unknown = wanted.find((name) => !file.behaviours.some((behaviour) => behaviour.name === name));
  if (unknown !== undefined) {
    throw new ConfigError(`behaviour: expected one of the file's, got ${unknown}`, {
      hint: `it has ${file.behaviours.map(({ name }) => name).join(", ")}`,
    });
  }
  const known = new Map(truth?.concepts.map(({ name, latent }) => [name, latent]));
  const asked = wanted.flatMap((behaviour) => {
    const latent = known.get(behaviour) ?? -1;
    return latent < 0 || stats.conversationsFired[latent] === 0 ? [] : [{ behaviour, latent }];
  });
  if (asked.length === 0) {
    throw new ConfigError(`${options.behaviours}: expected a behaviour with a claimed latent, got none`, {
      hint: "behaviours are matched by name with the planted truth of the study, and their latents must fire in the conversations",
    });
  }
  const leaning = new Set(planEffects({ latents, stats }).candidates);
  const eligible = latents.filter(({ latent }) => !leaning.has(latent)).map(({ latent }) => latent);
  const controls = matchedControls({
    candidates: [...new Set(asked.map(({ latent }) => latent))],
    ...{ eligible, stats, perLatent: CONTROL_SETTINGS.draws, seed: options.config.seed, mayShare: true },
  });
  const { tokenizer, template, baseReplacements } = pair;
  // Prompts that call for a behaviour nobody asked about would only cost time.
  const isAsked = (expected: string | null): boolean =>
    expected === null || asked.some(({ behaviour }) => behaviour === expected);
  const chosen = file.prompts.filter(({ expected }) => isAsked(expected));
  const prompts = createPromptTokenizer({ tokenizer, template, baseReplacements });
  const tokenized = await prompts.tokenize(chosen.map(({ id, messages }) => ({ id, messages })));
  const memoryFile = join(partsFolder, "behaviours.jsonl");
  return behaviourRates({
    ...{ checkpoints, layers: lock.layer, dictionary, measured: latents },
    prompts: chosen.map(({ id, split, expected }, i) => ({
      id,
      split,
      expected,
      tokens: tokenized[i].tokens,
    })),
    behaviours: file.behaviours,
    trials: asked.map((one) => ({ ...one, controls: controls.get(one.latent) ?? [] })),
    stopIds: await findStopIds({
      folders: [options.config.finetuned, options.config.base],
      tokenizer,
      template,
    }),
    decode: tokenizer.decode,
    maxNewTokens: CAUSAL_DEFAULTS.behaviourTokens,
    positions: "all",
    memory: await openAnswerMemory(memoryFile, {
      identity: createHash("sha256").update(JSON.stringify(identity)).digest("hex"),
    }),
    ...deviceOf(ground),
    ...workOf(ground),
  });
}

async function collect(documents: AsyncIterable<InputDocument>): Promise<InputDocument[]> {
  const all: InputDocument[] = [];
  for await (const document of documents) all.push(document);
  return all;
}
