import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, InterruptedError, NumericsError } from "../errors.ts";
import { madeLatent, madeScaling } from "../measure/latent-measure.test.helper.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import type { Progress } from "../progress.ts";
import type { Estimate, PatchingResult } from "./causal-contract.ts";
import { createFakeEvaluator, madeChat } from "./fake-evaluator.test.helper.ts";
import { firingStats } from "./firing-stats.ts";
import { type PatchingOptions, runPatching } from "./patching.ts";
import { planPatching } from "./patching-plan.ts";
import { patchingReference } from "./patching-reference.ts";
import { selectLatents } from "./selection.ts";

const N_LATENTS = 60;
/** Latents below this lean to the fine-tune. */
const N_LEANING = 12;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-patching-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const latents: LatentMeasure[] = Array.from({ length: N_LATENTS }, (_, latent) =>
  latent >= N_LEANING
    ? madeLatent(latent)
    : madeLatent(latent, {
        deltaNorm: 0.65 + latent / 50,
        claim: latent < 5 ? "finetuned-specific" : "none",
        verdict: latent < 2 ? "genuine" : "uncertain",
        scalingFinetuned: madeScaling({
          nuError: latent / 20,
          nuReconstruction: 0.3,
          nuActivation: latent / 10,
        }),
      }),
);
const conversations = Array.from({ length: 14 }, (_, i) => madeChat(`chat-${i}`, 3 + ((5 * i) % 17)));
const origin: PatchingOptions["origin"] = {
  ...{ source: "stored", answers: "written", split: "heldout", excluded: { "too long": 2 } },
};

function optionsOf(given: Partial<PatchingOptions> = {}): PatchingOptions {
  const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
  return { evaluator, conversations, origin, latents, draws: 60, seed: 3, batchTokens: 40, ...given };
}

function outcome({ outcomes }: PatchingResult, name: string) {
  const found = outcomes.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no outcome ${name}`);
  return found;
}

function expectEstimate(actual: Estimate | null, expected: Estimate): void {
  // Sums of up to 60 f64 terms in another order.
  expect(actual?.mean).toBeCloseTo(expected.mean, 10);
  expect(actual?.interval.low).toBeCloseTo(expected.interval.low, 10);
  expect(actual?.interval.high).toBeCloseTo(expected.interval.high, 10);
}

test("the table equals the twin, which runs one intervention on one chat at a time and keeps every token", async () => {
  const chats = conversations.slice(0, 5);
  const options = optionsOf({ conversations: chats, draws: 41, controlDraws: 2 });
  const result = await runPatching(options);
  const { evaluator } = options;
  const plan = planPatching({
    selection: selectLatents(latents, { nuRank: "signed" }),
    stats: await firingStats(evaluator, chats, { batchTokens: 40 }),
    ...{ draws: 2, seed: 3 },
  });
  const twin = await patchingReference(plan, { evaluator, conversations: chats, draws: 41, seed: 3 });
  expect(result.outcomes.map(({ name }) => name)).toEqual(twin.outcomes.map(({ name }) => name));
  for (const [i, { sets }] of twin.outcomes.entries()) {
    for (const set of ["all", "firstNine", "rest"] as const) {
      const actual = result.outcomes[i].sets[set];
      expect(actual.tokens).toBe(sets[set].tokens);
      for (const metric of ["kl", "nll", "nllArgmax", "klBase", "gapClosed", "klAgainstNone"] as const) {
        expectEstimate(actual[metric], sets[set][metric] as Estimate);
      }
      expect(actual.klPublished.low).toBeCloseTo(sets[set].klPublished.low, 10);
      expect(actual.klPublished.high).toBeCloseTo(sets[set].klPublished.high, 10);
    }
  }
  expect(result.comparisons).toHaveLength(twin.comparisons.length);
  for (const [i, { first, second, sets }] of twin.comparisons.entries()) {
    expect(result.comparisons[i]).toMatchObject({ first, second });
    for (const set of ["all", "firstNine", "rest"] as const)
      expectEstimate(result.comparisons[i].sets[set], sets[set]);
  }
});

describe("the result", () => {
  let result: PatchingResult;
  beforeAll(async () => {
    result = await runPatching(optionsOf());
  });

  test("closes nothing with None and everything with the fine-tune's own residual", () => {
    for (const set of ["all", "firstNine", "rest"] as const) {
      expect(outcome(result, "None").sets[set].gapClosed?.interval).toEqual({ low: 0, high: 0 });
      const finetuned = outcome(result, "Finetuned").sets[set];
      expect(finetuned.kl).toEqual({ mean: 0, interval: { low: 0, high: 0 } });
      expect(finetuned.gapClosed?.mean).toBe(1);
    }
  });

  test("has every subset in both forms, and a control for the best halves and the claims", () => {
    const subsets = result.outcomes.filter(({ kind, controlOf }) => kind === "subset" && controlOf === "");
    expect(subsets).toHaveLength(18);
    const controls = result.outcomes.filter(({ controlOf }) => controlOf !== "");
    expect(controls.map(({ name }) => name)).toEqual(
      ["latent-scaling best half", "deltaNorm best half", "claims"].flatMap((selection) => [
        `${selection}, additive control`,
        `${selection}, replacing control`,
      ]),
    );
    expect(outcome(result, "claims, additive")).toMatchObject({
      nLatents: 5,
      form: "additive",
      selection: "claims",
    });
    expect(new Set(result.outcomes.map(({ name }) => name)).size).toBe(result.outcomes.length);
  });

  test("has controls that are the mean of their draws, each with its match", () => {
    for (const { selection, kl, missing, energyRatio, nLatents } of result.controls) {
      for (const form of ["additive", "replacing"] as const) {
        const mean = kl[form].all.reduce((sum, value) => sum + value, 0) / 5;
        expect(outcome(result, `${selection}, ${form} control`).sets.all.kl.mean).toBeCloseTo(mean, 12);
        expect(new Set(kl[form].all).size).toBe(5);
      }
      expect(missing).toEqual([0, 0, 0, 0, 0]);
      expect(energyRatio).toHaveLength(5);
      expect(nLatents).toBe(selection === "claims" ? 5 : 6);
    }
  });

  test("compares best with worst, both orders, and each controlled subset with its control", () => {
    const pairs = result.comparisons.map(({ first, second }) => `${first} | ${second}`);
    expect(pairs).toHaveLength(12);
    expect(pairs).toContain("latent-scaling best half, additive | latent-scaling worst half, additive");
    expect(pairs).toContain("latent-scaling best half, replacing | deltaNorm best half, replacing");
    expect(pairs).toContain("claims, additive | claims, additive control");
    const [{ first, second, sets }] = result.comparisons;
    const difference = outcome(result, first).sets.all.kl.mean - outcome(result, second).sets.all.kl.mean;
    expect(sets.all.mean).toBeCloseTo(difference, 12);
  });

  test("says what it stands on", () => {
    const tokens = conversations.reduce((sum, { tokenBase }) => sum + tokenBase.length, 0);
    expect(result.conversations).toEqual({ ...origin, count: 14, tokens, unedited: 0 });
    expect(result.poolCounts).toMatchObject({ pool: N_LEANING, kept: N_LEANING });
    expect(result.bootstrap).toEqual({ draws: 60, level: 0.95, seed: 3 });
    const predicted = conversations.reduce((sum, { tokenBase }) => sum + tokenBase.length - 4, 0);
    expect(outcome(result, "All").sets.all.tokens).toBe(predicted);
  });

  test("is the same for other batches and smaller calls of the evaluator", async () => {
    const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
    const small = { batchTokens: 100, pendingBytes: 1000 };
    expect(await runPatching(optionsOf({ evaluator, ...small }))).toEqual(result);
    // A residual has at least 7 tokens of 12 bytes; None is run for a whole batch at once, of at most 14 chats.
    expect(evaluator.calls.mostPatches).toBeLessThanOrEqual(14);
  });
});

test("the base against itself has no gap: KL 0 for None, gap closed null everywhere", async () => {
  const evaluator = createFakeEvaluator({ nLatents: N_LATENTS, isSame: true });
  const result = await runPatching(optionsOf({ evaluator }));
  expect(outcome(result, "None").sets.all.kl).toEqual({ mean: 0, interval: { low: 0, high: 0 } });
  for (const { sets } of result.outcomes) expect(sets.all.gapClosed).toBeNull();
  expect(outcome(result, "claims, additive").sets.all.kl.mean).toBeGreaterThan(0);
});

test("one conversation gives means without limits", async () => {
  const { sets } = outcome(await runPatching(optionsOf({ conversations: conversations.slice(0, 1) })), "All");
  expect(sets.all.kl.mean).toBeGreaterThan(0);
  expect(sets.all.kl.interval).toEqual({ low: Number.NaN, high: Number.NaN });
  expect(sets.all.gapClosed?.interval.high).toBeNaN();
});

test("a subset without latents and a silent one are None, and are not run", async () => {
  const few = latents.map((latent) => ({ ...latent, claim: "none" as const }));
  const evaluator = createFakeEvaluator({ nLatents: N_LATENTS, fires: (latent) => latent >= N_LEANING });
  const stats = await firingStats(evaluator, conversations, { batchTokens: 40 });
  evaluator.calls.patches = 0;
  const result = await runPatching(optionsOf({ evaluator, latents: few, stats }));
  for (const name of ["claims, additive", "latent-scaling best half, replacing"]) {
    expect(outcome(result, name).sets).toEqual(outcome(result, "None").sets);
  }
  // None, All, Error, Template, Finetuned.
  expect(evaluator.calls.patches).toBe(5 * conversations.length);
  expect(result.outcomes.filter(({ controlOf }) => controlOf !== "")).toEqual([]);
  expect(result.controls[0]).toMatchObject({ nLatents: 6, silent: 6, missing: [0, 0, 0, 0, 0] });
});

test("with too few latents to match, the match counts what is missing", async () => {
  const evaluator = createFakeEvaluator({ nLatents: N_LATENTS, fires: (latent) => latent < N_LEANING + 4 });
  const { controls } = await runPatching(optionsOf({ evaluator }));
  expect(controls[0].missing[0]).toBe(2);
  expect(controls[0].energyRatio[0]).toBeGreaterThan(0);
});

test("nothing is edited in the leading positions that are left out, and their rows do not count as firing", async () => {
  const [unedited, longest] = [9, 30];
  const chats = [madeChat("a", longest), madeChat("b", 3)];
  const evaluator = createFakeEvaluator({ nLatents: N_LATENTS, unedited });
  const stats = await firingStats(evaluator, chats, { batchTokens: 100, unedited });
  expect(stats.nRows).toBe(4 + longest - unedited);
  expect(Math.max(...stats.conversationsFired)).toBe(1);
  const { outcomes } = await runPatching(optionsOf({ evaluator, conversations: chats.slice(1) }));
  const [none, all] = outcomes;
  expect(all.sets).toEqual(none.sets);
});

describe("firing statistics", () => {
  test("equal counts over the codes, in any batches", async () => {
    const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
    const stats = await firingStats(evaluator, conversations, { batchTokens: 40 });
    const { conversations: prepared } = await evaluator.prepare(conversations);
    const { decoderWeight, width } = evaluator.dictionary;
    const nRows = prepared.reduce((sum, { length }) => sum + length, 0);
    expect(stats.nRows).toBe(nRows);
    for (const latent of [0, 7, 59]) {
      const codes = prepared.map(({ codes }) => codes.code.filter((_, i) => codes.latent[i] === latent));
      const fired = codes.flatMap((list) => [...list]);
      const row = decoderWeight.subarray(latent * width + width / 2, (latent + 1) * width);
      const norm2 = row.reduce((sum, value) => sum + value * value, 0);
      const energy = fired.reduce((sum, code) => sum + code * code, 0) * norm2;
      expect(stats.rate[latent]).toBeCloseTo(fired.length / nRows, 12);
      // Norms are rounded to f32: 2^-24 of each.
      expect(Math.abs(stats.energy[latent] / energy - 1)).toBeLessThan(1e-6);
      expect(stats.conversationsFired[latent]).toBe(codes.filter((list) => list.length > 0).length);
    }
    expect((await firingStats(evaluator, conversations, { batchTokens: 100 })).rate).toEqual(stats.rate);
  });
});

describe("a stopped experiment", () => {
  test("goes on from its parts, and ends on the same result as one that never stopped", async () => {
    const partsFolder = join(folder, "stopped");
    const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
    const stats = await firingStats(evaluator, conversations, { batchTokens: 40 });
    const controller = new AbortController();
    const stopped = optionsOf({
      evaluator,
      stats,
      partsFolder,
      identity: { pair: "a" },
      signal: controller.signal,
    });
    let conversationsDone = 0;
    const stop = ({ done }: Progress): void => {
      conversationsDone = done;
      if (done >= 5) controller.abort();
    };
    await expect(runPatching({ ...stopped, reportProgress: stop })).rejects.toThrow(InterruptedError);
    expect(conversationsDone).toBeGreaterThanOrEqual(5);
    expect(conversationsDone).toBeLessThan(14);

    evaluator.calls.prepare = 0;
    const seen: number[] = [];
    const again = optionsOf({ evaluator, stats, partsFolder, identity: { pair: "a" } });
    const result = await runPatching({ ...again, reportProgress: ({ done }) => seen.push(done) });
    expect(result).toEqual(await runPatching(optionsOf()));
    expect(seen.at(-1)).toBe(14);
    expect(existsSync(partsFolder)).toBe(false);
  });

  test("uses neither parts of other inputs nor damaged ones", async () => {
    const partsFolder = join(folder, "other");
    const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
    const stats = await firingStats(evaluator, conversations, { batchTokens: 40 });
    const options = optionsOf({
      evaluator,
      stats,
      partsFolder,
      identity: { pair: "a" },
      keepParts: true,
      batchTokens: 70,
    });
    const preparedBy = async (given: Partial<PatchingOptions>): Promise<number> => {
      evaluator.calls.prepare = 0;
      await runPatching({ ...options, ...given });
      return evaluator.calls.prepare;
    };
    const batches = await preparedBy({});
    expect(batches).toBeGreaterThan(2);
    expect(await preparedBy({})).toBe(0);
    const [part] = await readdir(partsFolder);
    await writeFile(join(partsFolder, part, "groups.safetensors"), "damaged");
    expect(await preparedBy({})).toBe(1);
    expect(await preparedBy({ identity: { pair: "b" } })).toBe(batches);
    expect(await preparedBy({ identity: { pair: "b" }, seed: 4 })).toBe(batches);
    const edited = conversations.map((chat) => ({
      ...chat,
      isTemplate: new Uint8Array(chat.isTemplate.length),
    }));
    expect(await preparedBy({ identity: { pair: "b" }, seed: 4, conversations: edited })).toBe(batches);
  });
});

describe("bad input", () => {
  test("no conversations, and measurements of another dictionary, are refused", async () => {
    await expect(runPatching(optionsOf({ conversations: [] }))).rejects.toThrow(ConfigError);
    await expect(runPatching(optionsOf({ latents: latents.slice(1) }))).rejects.toThrow("60, got 59");
  });

  test("a number that is not finite is named with conversation and intervention", async () => {
    const evaluator = createFakeEvaluator({ nLatents: N_LATENTS });
    const evaluate: typeof evaluator.evaluate = async (batch, patches) => {
      const results = await evaluator.evaluate(batch, patches);
      for (const { metrics } of results) metrics.nll.fill(Number.NaN);
      return results;
    };
    const failing = runPatching(optionsOf({ evaluator: { ...evaluator, evaluate } }));
    await expect(failing).rejects.toThrow(NumericsError);
    await expect(failing).rejects.toThrow(/"chat-\d+", intervention "None"/);
  });
});
