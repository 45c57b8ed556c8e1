// The effects of latents on a tiny pair: against the slow twin, whatever the batches, stopped and started, and with latents that do not exist.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { foldNormaliser } from "../dictionary/fold-normaliser.ts";
import { ConfigError, InterruptedError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import { CODE_CHOICES, type Conversation, EFFECT_EDITS, type LatentEffect } from "./causal-contract.ts";
import { effectsPath, writeEffects } from "./effects-table.ts";
import { type FiringStats, firingStats } from "./firing-stats.ts";
import { type MeasureEffectsOptions, measureEffects } from "./latent-effects.ts";
import {
  createEffectReference,
  type EffectReference,
  type ReferenceEffect,
} from "./latent-effects-reference.ts";
import { MOVED_LIMITS } from "./moved.ts";
import { createPatchEvaluator, type PatchEvaluator } from "./patch-evaluator.ts";

const LAYER = 1;
const layers = { base: LAYER, finetuned: LAYER };
const N_LATENTS = 12;
const SILENT = 11;
const dictionary: Dictionary = randomDictionary({
  ...{ widths: [32, 32], nLatents: N_LATENTS, inferenceThreshold: 30 },
});
dictionary.encoderBias[SILENT] = -1e6;
for (const site of dictionary.sites) site.layer = LAYER;

/** Answers begin after a third of the tokens; few different tokens, so that some come often. */
function madeConversation(index: number, length: number): Conversation {
  const rng = createRng(7, "conversations");
  const tokens = Uint32Array.from({ length }, (_, i) => Math.floor(rng.uniform(index, i) * 6));
  const answerFrom = Math.ceil(length / 3);
  return {
    id: `chat-${index}`,
    group: index,
    tokenBase: tokens,
    tokenFinetuned: tokens,
    isTemplate: Uint8Array.from({ length }, (_, i) => Number(i === answerFrom - 1)),
    isAssistant: Uint8Array.from({ length }, (_, i) => Number(i >= answerFrom && i < length - 2)),
  };
}
const conversations = [14, 9, 22, 11, 17].map((length, i) => madeConversation(i, length));

let folder = "";
let evaluator: PatchEvaluator;
let reference: EffectReference;
let stats: FiringStats;
const folders: string[] = [];
const opened: Checkpoint[] = [];
/** Of the plan below, in one batch. */
let rows: LatentEffect[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-effects-"));
  const base = tinyWeights(TINY_CONFIG);
  const other = tinyWeights(TINY_CONFIG, 2);
  const finetuned = new Map(
    [...base].map(([name, values]) => [
      name,
      values.map((value, i) => 0.8 * value + 0.2 * (other.get(name) as Float32Array)[i]),
    ]),
  );
  folders.push(folder, await writeTinyLlama(TINY_CONFIG, base), await writeTinyLlama(TINY_CONFIG, finetuned));
  const checkpoints = {
    base: await openCheckpoint(folders[1]),
    finetuned: await openCheckpoint(folders[2]),
  };
  opened.push(...Object.values(checkpoints));
  evaluator = await createPatchEvaluator({ checkpoints, layers, dictionary, threads: 1 });
  reference = await createEffectReference({
    ...{ checkpoints, layers, choices: CODE_CHOICES, threads: 1 },
    dictionary: foldNormaliser(dictionary),
  });
  stats = await firingStats(evaluator, conversations, { batchTokens: 30 });
  rows = (await measureEffects(options())).rows;
});
afterAll(async () => {
  await evaluator?.dispose();
  await reference?.dispose();
  await Promise.all(opened.map((checkpoint) => checkpoint.close()));
  for (const path of folders) await rm(path, { recursive: true, force: true });
});

const FEW = { batchTokens: 30, patchBytes: 1 };
const plan = {
  candidates: [4, 7, 2],
  controls: new Map([
    [4, [0, 1, SILENT]],
    [7, []],
    [2, [1, 2, 5]],
  ]),
};

function options(given: Partial<MeasureEffectsOptions> = {}): MeasureEffectsOptions {
  return {
    ...{ evaluator, conversations, plan, stats, identity: { dictionary: "ab" }, draws: 100 },
    tokenString: (id) => `t${id}`,
    ...given,
  };
}

interface CountedEvaluator extends PatchEvaluator {
  prepared: number;
  patches: number;
}

function counted(): CountedEvaluator {
  const counting: CountedEvaluator = {
    ...evaluator,
    ...{ prepared: 0, patches: 0 },
    prepare(batch, rest) {
      counting.prepared += 1;
      return evaluator.prepare(batch, rest);
    },
    evaluate(batch, patches, rest) {
      counting.patches += patches.length;
      return evaluator.evaluate(batch, patches, rest);
    },
  };
  return counting;
}

const effects = new Map<number, Promise<ReferenceEffect[]>>();
/** Of one latent in every conversation, one at a time. */
function referenceEffects(latent: number): Promise<ReferenceEffect[]> {
  const known = effects.get(latent);
  if (known !== undefined) return known;
  const made = (async () => {
    const all: ReferenceEffect[] = [];
    for (const conversation of conversations) all.push(await reference.effect(conversation, latent));
    return all;
  })();
  effects.set(latent, made);
  return made;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test("every figure is what one latent and one conversation at a time give", async () => {
  expect(rows.map(({ latent, role }) => `${role} ${latent}`)).toEqual([
    ...["candidate 4", "candidate 7", "candidate 2"],
    ...["control 0", "control 1", "control 2", "control 5", "control 11"],
  ]);
  for (const row of rows) {
    const effects = await referenceEffects(row.latent);
    const klNone = sum(effects.map((of) => of.klNone));
    const tokens = sum(effects.map((of) => of.tokens));
    // f32 logits of batches of other shapes differ in the last bits: 1e-5 of KLs of about 1.
    expect(row.gapClosed.mean).toBeCloseTo(sum(effects.map((of) => of.klNone - of.kl.add)) / klNone, 5);
    expect(row.damage.mean).toBeCloseTo(sum(effects.map((of) => of.kl.remove)) / tokens, 5);
    expect(row.conversationsFired).toBe(effects.filter(({ fired }) => fired).length);
    for (const edit of EFFECT_EDITS) {
      const changes = effects.map(({ kl, klNone: none }, i) => ({
        id: conversations[i].id,
        change: edit === "add" ? none - kl.add : kl.remove,
      }));
      const ranked = changes.toSorted((a, b) => Math.abs(b.change) - Math.abs(a.change));
      const texts = row.movedTexts.filter((text) => text.edit === edit);
      for (const [i, { conversation, change }] of texts.entries()) {
        expect(conversation).toBe(ranked[i].id);
        expect(change).toBeCloseTo(ranked[i].change, 4);
      }
      expect(texts.length).toBeLessThanOrEqual(MOVED_LIMITS.texts);
      expect(texts.length).toBe(row.latent === SILENT ? 0 : row.conversationsFired);
    }
  }
});

test("a token's change is the mean over the predictions that the latent reaches", async () => {
  for (const { latent, movedTokens } of rows) {
    const reached = [];
    for (const { next } of await referenceEffects(latent)) {
      // Before the first firing nothing changes but the last bits of f32.
      const first = next.findIndex(({ change }) => Math.abs(change.add) > 1e-4);
      if (first !== -1) reached.push(...next.slice(first));
    }
    for (const { edit, tokenId, token, change, count } of movedTokens) {
      const own = reached.filter((of) => of.tokenId === tokenId).map((of) => of.change[edit]);
      expect(token).toBe(`t${tokenId}`);
      expect(count).toBe(own.length);
      expect(count).toBeGreaterThanOrEqual(MOVED_LIMITS.minimumPositions);
      expect(change).toBeCloseTo(sum(own) / own.length, 4);
    }
    expect(movedTokens.length > 0).toBe(latent !== SILENT);
  }
});

test("only conversations in which a latent fires are run, each batch prepared once for all latents", async () => {
  const counting = counted();
  await measureEffects(options({ evaluator: counting }));
  expect(counting.prepared).toBe(1);
  const fired = sum([0, 1, 2, 4, 5, 7].map((latent) => stats.conversationsFired[latent]));
  expect(fired).toBeLessThan(6 * conversations.length);
  expect(counting.patches).toBe(2 * fired + 2 * conversations.length);
  for (const { latent, conversationsFired } of rows)
    expect(conversationsFired).toBe(stats.conversationsFired[latent]);
});

test("firings at unedited leading positions do not count", async () => {
  const unedited = 10;
  const late = await firingStats(evaluator, conversations, { batchTokens: 30, unedited });
  const { rows: fewer } = await measureEffects(options({ evaluator: { ...evaluator, unedited } }));
  for (const { latent, conversationsFired } of fewer)
    expect(conversationsFired).toBe(late.conversationsFired[latent]);
  expect(sum(fewer.map((row) => row.conversationsFired))).toBeLessThan(
    sum(rows.map((row) => row.conversationsFired)),
  );
});

test("the size of batches and of the evaluator's calls does not matter", async () => {
  const { rows: pieces } = await measureEffects(options(FEW));
  for (const [i, row] of pieces.entries()) {
    // As above: the last bits of f32.
    expect(row.gapClosed.mean).toBeCloseTo(rows[i].gapClosed.mean, 5);
    expect(row.damage.interval.high).toBeCloseTo(rows[i].damage.interval.high, 5);
    expect(row.positionsReached).toBe(rows[i].positionsReached);
  }
});

test("controls are averaged, and p is the share of draws in which they do as much", async () => {
  const of = (latent: number, role: LatentEffect["role"]): LatentEffect =>
    rows.find((row) => row.latent === latent && row.role === role) as LatentEffect;
  const controlled = of(2, "candidate");
  const means = [1, 2, 5].map((latent) => of(latent, "control"));
  expect(controlled.controls).toEqual([1, 2, 5]);
  expect(controlled.controlGapClosed).toBeCloseTo(sum(means.map((row) => row.gapClosed.mean)) / 3, 12);
  expect(controlled.controlDamage).toBeCloseTo(sum(means.map((row) => row.damage.mean)) / 3, 12);
  expect(of(7, "candidate")).toMatchObject({ controls: [], damageP: Number.NaN });

  const against = (control: number) =>
    measureEffects(options({ plan: { candidates: [4], controls: new Map([[4, [control]]]) } }));
  const [itself] = (await against(4)).rows;
  expect([itself.gapClosedP, itself.damageP]).toEqual([1, 1]);
  const [nothing] = (await against(SILENT)).rows;
  expect(nothing.controlDamage).toBe(0);
  expect(nothing.damageP).toBe(0); // it fires in every conversation, and removing it always costs
});

test("a latent that never fires changes nothing, exactly", async () => {
  expect(rows.at(-1)).toMatchObject({
    ...{ latent: SILENT, conversationsFired: 0, positionsReached: 0, movedTexts: [], movedTokens: [] },
    gapClosed: { mean: 0, interval: { low: 0, high: 0 } },
    damage: { mean: 0, interval: { low: 0, high: 0 } },
  });
});

test("a stopped run goes on where it stopped and writes the same bytes", async () => {
  const [partsFolder, straight, resumed] = ["parts", "straight", "resumed"].map((name) => join(folder, name));
  await writeEffects(straight, (await measureEffects(options(FEW))).rows);

  const controller = new AbortController();
  const first = counted();
  const stopped = measureEffects(
    options({
      ...{ ...FEW, partsFolder, evaluator: first, signal: controller.signal },
      reportProgress: ({ done }) => {
        if (done >= 2) controller.abort();
      },
    }),
  );
  await expect(stopped).rejects.toThrow(InterruptedError);
  const left = await readdir(partsFolder);
  expect(left.length).toBeGreaterThan(0);

  const second = counted();
  const { rows: again, removeParts } = await measureEffects(
    options({ ...FEW, partsFolder, evaluator: second }),
  );
  const whole = counted();
  await measureEffects(options({ ...FEW, evaluator: whole }));
  expect(second.prepared).toBe(whole.prepared - left.length);
  await writeEffects(resumed, again);
  expect(await readFile(effectsPath(resumed))).toEqual(await readFile(effectsPath(straight)));

  const other = counted();
  await measureEffects(options({ ...FEW, partsFolder, evaluator: other, identity: { dictionary: "cd" } }));
  expect(other.prepared).toBe(whole.prepared);
  await removeParts();
  await expect(readdir(partsFolder)).rejects.toThrow("ENOENT");
});

test("latents that do not exist and an empty list of conversations are refused", async () => {
  const missing = measureEffects(options({ plan: { candidates: [N_LATENTS], controls: new Map() } }));
  await expect(missing).rejects.toThrow(ConfigError);
  await expect(missing).rejects.toThrow(`from 0 to ${N_LATENTS - 1}, got ${N_LATENTS}`);
  await expect(measureEffects(options({ conversations: [] }))).rejects.toThrow(ConfigError);
});
