// What every latent does, 500 latents × 100 prompts on the bundled pair: many edits in one batch against one at a time.
//
// Peers, both latent-effects-reference.ts: everything anew for each latent and prompt; and prefixes and unedited predictions kept, only
// where the latent fires. Timed on a subset of pairs and scaled to all, turns alternating with ours, medians of five with their range.
// Before, the figures of the subset must agree. The dictionary and the prompts are those of the study folder TUNEDIFF_BENCH_STUDY, or of
// a short training here. TUNEDIFF_BENCH_LATENTS, TUNEDIFF_BENCH_PROMPTS: other than 500 and 100; TUNEDIFF_BENCH_LAYER: of the training.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { generateComparisonCorpus } from "../organisms/minichat/generator/index.ts";
import { CODE_CHOICES, type Conversation } from "../src/causal/causal-contract.ts";
import { conversationsOfStore } from "../src/causal/conversations.ts";
import type { EffectsPlan } from "../src/causal/effects-plan.ts";
import { type FiringStats, firingStats } from "../src/causal/firing-stats.ts";
import { measureEffects } from "../src/causal/latent-effects.ts";
import {
  createEffectReference,
  type EffectReference,
  type ReferenceConversation,
} from "../src/causal/latent-effects-reference.ts";
import { createPatchEvaluator, type PatchEvaluator } from "../src/causal/patch-evaluator.ts";
import type { Dictionary } from "../src/dictionary/dictionary.ts";
import { loadDictionary } from "../src/dictionary/dictionary-file.ts";
import { foldNormaliser } from "../src/dictionary/fold-normaliser.ts";
import { harvest } from "../src/harvest/harvest.ts";
import { openCheckpoint } from "../src/lm/checkpoint.ts";
import { packageRoot } from "../src/package-root.ts";
import { openStore } from "../src/store/store.ts";
import { DEFAULT_TRAIN_CONFIG } from "../src/training/config.ts";
import { trainMany } from "../src/training/train-many.ts";
import type { BenchRow } from "./run.ts";
import { median } from "./statistics.ts";

const LATENTS = Number(process.env.TUNEDIFF_BENCH_LATENTS ?? 500);
const PROMPTS = Number(process.env.TUNEDIFF_BENCH_PROMPTS ?? 100);
const STUDY = process.env.TUNEDIFF_BENCH_STUDY;
const LAYER = Number(process.env.TUNEDIFF_BENCH_LAYER ?? 4);
const TURNS = 5;
/** Latents and prompts whose pairs the peers are timed on. */
const SUBSET = { latents: 8, prompts: 8 };
/** Of gap closed and damage in nats; sums of f32 logits of differently shaped batches. */
const AGREEMENT = 1e-5;
/** Of the training here. */
const CORPUS = { seed: 1, chats: 1500, worldDocuments: 400, bibleParagraphs: 150 };
const DICTIONARY = { ...DEFAULT_TRAIN_CONFIG, nLatents: 2048, k: 5, steps: 300, seed: 0, dataSeed: 0 };
const DRAW = { split: "heldout", seed: 0 } as const;

const organism = join(packageRoot(), "organisms", "minichat");

interface Inputs {
  dictionary: Dictionary;
  conversations: Conversation[];
}

async function conversationsIn(storeFolder: string): Promise<Conversation[]> {
  const store = await openStore(storeFolder);
  try {
    return conversationsOfStore(store, { ...DRAW, most: PROMPTS }).conversations;
  } finally {
    await store.close();
  }
}

/** The first dictionary of a study of the bundled pair. */
async function inputsOfStudy(study: string): Promise<Inputs> {
  const [name] = readdirSync(join(study, "dictionaries")).sort();
  console.error(`causal: dictionary ${name} of ${study}`);
  return {
    dictionary: await loadDictionary(join(study, "dictionaries", name)),
    conversations: await conversationsIn(join(study, "stores", "main")),
  };
}

async function trainedInputs(): Promise<Inputs> {
  const out = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  try {
    const storeFolder = join(out, "stores", "main");
    await harvest({
      base: join(organism, "base"),
      finetuned: join(organism, "finetuned"),
      documents: Array.from(generateComparisonCorpus(CORPUS)),
      ...{ layer: LAYER, storeFolder, storeName: "main" },
    });
    const store = await openStore(storeFolder);
    try {
      const run = { config: DICTIONARY, folder: join(out, "dictionaries", "seed-0") };
      const [{ dictionary }] = await trainMany({ store, runs: [run] });
      return { dictionary, conversations: await conversationsIn(storeFolder) };
    } finally {
      await store.close();
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

interface Setting extends Inputs {
  evaluator: PatchEvaluator;
  reference: EffectReference;
  stats: FiringStats;
  plan: EffectsPlan;
}

/** Evenly spaced among the latents that fire in the prompts; no controls, which cost what candidates cost. */
function planOf({ conversationsFired }: FiringStats): EffectsPlan {
  const fired = Array.from(conversationsFired.keys()).filter((latent) => conversationsFired[latent] > 0);
  const n = Math.min(LATENTS, fired.length);
  if (n < LATENTS) console.error(`causal: ${n} latents fire in the prompts, fewer than ${LATENTS}`);
  const candidates = Array.from({ length: n }, (_, i) => fired[Math.floor((i * fired.length) / n)]);
  return { candidates, controls: new Map() };
}

async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  const started = performance.now();
  const result = await work();
  return { seconds: (performance.now() - started) / 1000, result };
}

function measureOurs({ evaluator, conversations, stats, plan }: Setting) {
  return measureEffects({ ...{ evaluator, conversations, stats, plan }, identity: {}, tokenString: String });
}

interface Pair {
  latent: number;
  prompt: number;
}

function subsetOf({ plan, conversations }: Setting): Pair[] {
  const spaced = (n: number, of: number): number[] =>
    Array.from({ length: Math.min(n, of) }, (_, i) => Math.floor((i * of) / Math.min(n, of)));
  const prompts = spaced(SUBSET.prompts, conversations.length);
  return spaced(SUBSET.latents, plan.candidates.length).flatMap((at) =>
    prompts.map((prompt) => ({ latent: plan.candidates[at], prompt })),
  );
}

/** Throws when the figures of the subset's latents over its prompts are not those of the reference. */
async function requireAgreement(setting: Setting, pairs: readonly Pair[]): Promise<void> {
  const { reference } = setting;
  const prompts = [...new Set(pairs.map(({ prompt }) => prompt))];
  const candidates = [...new Set(pairs.map(({ latent }) => latent))];
  const conversations = prompts.map((prompt) => setting.conversations[prompt]);
  const plan = { candidates, controls: new Map() };
  const { rows } = await measureOurs({ ...setting, conversations, plan });
  let furthest = 0;
  for (const { latent, gapClosed, damage } of rows) {
    let [none, closed, damaged, tokens] = [0, 0, 0, 0];
    for (const conversation of conversations) {
      const of = await reference.effect(conversation, latent);
      none += of.klNone;
      closed += of.klNone - of.kl.add;
      damaged += of.kl.remove;
      tokens += of.tokens;
    }
    furthest = Math.max(
      furthest,
      Math.abs(gapClosed.mean - closed / none),
      Math.abs(damage.mean - damaged / tokens),
    );
  }
  if (!(furthest < AGREEMENT)) throw new Error(`causal: the reference is ${furthest} away from ours`);
  console.error(
    `causal: ${rows.length} latents within ${furthest.toExponential(1)} of one at a time over ${prompts.length} prompts`,
  );
}

/** Seconds a pair, everything anew. */
async function timeAnew({ reference, conversations }: Setting, pairs: readonly Pair[]): Promise<number> {
  const { seconds } = await timed(async () => {
    for (const { latent, prompt } of pairs) await reference.effect(conversations[prompt], latent);
  });
  return seconds / pairs.length;
}

/** Seconds of preparing a prompt, and of a pair in which the latent fires. */
async function timeKept(
  { reference, conversations, plan }: Setting,
  pairs: readonly Pair[],
): Promise<{ prompt: number; pair: number }> {
  const prompts = [...new Set(pairs.map(({ prompt }) => prompt))];
  const { seconds: preparing, result: prepared } = await timed(async () => {
    const all: ReferenceConversation[] = [];
    for (const prompt of prompts) all.push(await reference.prepare(conversations[prompt]));
    return all;
  });
  const wanted = new Set(plan.candidates);
  const firing = prepared.flatMap((of) =>
    [...new Set(of.codes.latent)]
      .filter((latent) => wanted.has(latent))
      .slice(0, SUBSET.latents)
      .map((latent) => ({ of, latent })),
  );
  if (firing.length === 0) throw new Error("causal: none of the latents fires in the prompts of the subset");
  const { seconds } = await timed(async () => {
    for (const { of, latent } of firing) await reference.effectIn(of, latent);
  });
  return { prompt: preparing / prompts.length, pair: seconds / firing.length };
}

function printRange(name: string, seconds: readonly number[]): void {
  const [low, high] = [Math.min(...seconds), Math.max(...seconds)].map((value) => value.toFixed(2));
  console.error(`causal, s: ${name} ${median(seconds).toFixed(2)} (${low}–${high})`);
}

async function rowsOf(setting: Setting): Promise<BenchRow[]> {
  const { plan, conversations, stats } = setting;
  const pairs = subsetOf(setting);
  await requireAgreement(setting, pairs);
  const nPairs = plan.candidates.length * conversations.length;
  const firingPairs = plan.candidates.reduce((sum, latent) => sum + stats.conversationsFired[latent], 0);
  const [ours, anew, kept]: number[][] = [[], [], []];
  for (let turn = 0; turn < TURNS; turn += 1) {
    ours.push((await timed(() => measureOurs(setting))).seconds);
    anew.push((await timeAnew(setting, pairs)) * nPairs);
    const { prompt, pair } = await timeKept(setting, pairs);
    kept.push(prompt * conversations.length + pair * firingPairs);
  }
  const peers = { "one at a time": anew, "one at a time, prefixes kept": kept };
  for (const [name, seconds] of Object.entries({ ours, ...peers })) printRange(name, seconds);
  console.error(`causal: peers timed on ${pairs.length} of ${nPairs} pairs (${firingPairs} fire) and scaled`);
  const metric = `${plan.candidates.length} latents × ${conversations.length} prompts`;
  return Object.entries(peers).map(([name, seconds]) => ({
    ...{ case: `effects, ${name}`, metric, ours: median(ours), peer: median(seconds), unit: "s" },
    peerName: `${name}; a subset of pairs timed and scaled`,
    ratio: median(seconds) / median(ours),
  }));
}

export async function benchCausal(): Promise<BenchRow[]> {
  const inputs = await (STUDY === undefined ? trainedInputs() : inputsOfStudy(STUDY));
  const { dictionary, conversations } = inputs;
  const checkpoints = {
    base: await openCheckpoint(join(organism, "base")),
    finetuned: await openCheckpoint(join(organism, "finetuned")),
  };
  const [base, finetuned] = dictionary.sites.map(({ layer }) => layer);
  const options = { checkpoints, layers: { base, finetuned }, choices: CODE_CHOICES, threads: cpus().length };
  const evaluator = await createPatchEvaluator({ ...options, dictionary });
  try {
    const reference = await createEffectReference({ ...options, dictionary: foldNormaliser(dictionary) });
    try {
      const stats = await firingStats(evaluator, conversations, { batchTokens: 4096 });
      return await rowsOf({ ...inputs, evaluator, reference, stats, plan: planOf(stats) });
    } finally {
      await reference.dispose();
    }
  } finally {
    await evaluator.dispose();
  }
}
