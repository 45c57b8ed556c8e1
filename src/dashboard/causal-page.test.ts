import { expect, test } from "vitest";
import type { LatentEffect } from "../causal/causal-contract.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { madeCauses } from "../report/causal-fixture.test.data.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { CausalMoved, CausalPage, Part } from "./api-contract.ts";
import { CAUSAL_PAGE_LIMITS } from "./causal-page.ts";
import type { ViewParts } from "./dictionary-view.ts";
import { fakeApp, fakeView, NOT_MADE } from "./fake-view.test.helper.ts";

const LATENTS = Array.from({ length: 8 }, (_, latent) => ({
  latent,
  claim: latent < 5 ? "finetuned-specific" : "none",
})) as LatentMeasure[];
const causes = () => madeCauses(LATENTS);
const get = async (parts: Partial<ViewParts>, path = ""): Promise<Response> =>
  fakeApp(fakeView(parts)).request(`/api/studies/0/main/causal${path}`);
const page = async (parts: Partial<ViewParts>): Promise<CausalPage> =>
  (await (await get(parts)).json()) as CausalPage;
const made = <T>(part: Part<T>): T => {
  if (part.state !== "made") throw new Error(part.words);
  return part.value;
};

test("every figure of the paper's experiment comes as it is stored, with counts and choices in words", async () => {
  const causal = causes();
  const { patching } = causal.record;
  const shown = made((await page({ causal })).patching);
  expect(shown.outcomes.map(({ name }) => name)).toEqual(patching?.outcomes.map(({ name }) => name));
  for (const [i, { sets }] of (patching?.outcomes ?? []).entries()) {
    const { kl, klPublished, gapClosed } = sets.firstNine;
    const of = shown.outcomes[i].sets.firstNine;
    expect(of.kl).toEqual({ mean: kl.mean, ...kl.interval });
    expect(of.gapClosed.mean).toBe(gapClosed?.mean);
    expect(of.klPublished).toEqual(klPublished);
  }
  expect(shown.tokens).toEqual({ all: 5120, firstNine: 900, rest: 4220 });
  expect(shown.conversations.words).toContain("100 conversations of the split test");
  expect(shown.conversations.excluded).toContainEqual({ reason: "no assistant tokens", conversations: 14 });
  expect(shown.pool.counts).toContainEqual({ reason: "dead", latents: 2 });
  expect(shown.pool.words).toContain("34 latents");
  expect(shown.choices.rows.map(({ asIn }) => asIn)).toEqual(Array(5).fill("the code"));
});

test("a number that does not exist is null, and no gap is an estimate of nulls", async () => {
  const causal = causes();
  const outcome = causal.record.patching?.outcomes[0];
  if (outcome === undefined) throw new Error("no outcome");
  outcome.sets.all.gapClosed = null;
  outcome.sets.all.nll = { mean: Number.NaN, interval: { low: Number.NaN, high: 3 } };
  const shown = made((await page({ causal })).patching);
  expect(shown.outcomes[0].sets.all.gapClosed).toEqual({ mean: null, low: null, high: null });
  expect(shown.outcomes[0].sets.all.nll).toEqual({ mean: null, low: null, high: 3 });
  expect(shown.controls[0].energyRatio).toEqual([0.9, null]);
  const control = made((await page({ causal })).effects).rows.items.at(-1);
  expect(control).toMatchObject({ role: "control", controlGapClosed: null, damageP: null });
});

test("a part that was never asked for says the command that makes it, and the others stand", async () => {
  const causal = causes();
  causal.record.splice = null;
  causal.record.effects = null;
  const { patching, effects, splice, behaviours } = await page({ causal });
  expect(effects).toMatchObject({ state: "missing", command: "tunediff causal STUDY --parts effects" });
  expect(splice).toMatchObject({ state: "missing", command: "tunediff causal STUDY --parts splice" });
  expect([patching.state, behaviours.state]).toEqual(["made", "made"]);
  causal.record.patching = null;
  causal.record.behaviours = null;
  const none = await page({ causal });
  expect(none.patching).toMatchObject({ command: "tunediff causal STUDY --parts patching" });
  expect(none.behaviours).toMatchObject({ command: "tunediff causal STUDY --behaviours FILE" });
});

test("without an experiment every part says the same", async () => {
  const { terms, ...parts } = await page({});
  expect(Object.values(parts)).toEqual(Array(4).fill(NOT_MADE));
  expect(terms.map(({ name }) => name)).toContain("gap closed");
});

test("candidates come by the gap they close, what has no number after them, controls last; claims have their concept", async () => {
  const causal = causes();
  causal.effects[0].gapClosed = { mean: Number.NaN, interval: { low: Number.NaN, high: Number.NaN } };
  const truth = {
    claims: [
      { latent: 1, concept: "refuse-1", answersToConcept: true },
      { latent: 2, concept: "refuse-2", answersToConcept: false },
    ],
  } as TruthScore;
  const { rows, draws } = made((await page({ causal, truth })).effects);
  expect(rows.items.map(({ latent }) => latent)).toEqual([1, 2, 3, 4, 0, 5, 6]);
  expect(rows.items.slice(0, 2).map(({ concept }) => concept)).toEqual(["refuse-1", ""]);
  expect([rows.total, draws]).toEqual([7, 1000]);
});

test("no more rows than the limit are sent, and their number is said", async () => {
  const causal = causes();
  const [row] = causal.effects;
  causal.effects = Array.from(
    { length: CAUSAL_PAGE_LIMITS.effects + 10 },
    (_, latent): LatentEffect => ({ ...row, latent }),
  );
  const { rows } = made((await page({ causal })).effects);
  expect(rows.items).toHaveLength(CAUSAL_PAGE_LIMITS.effects);
  expect(rows.total).toBe(CAUSAL_PAGE_LIMITS.effects + 10);
});

test("what a latent moves is asked for one at a time, a candidate's row before a control's", async () => {
  const causal = causes();
  causal.effects.unshift({ ...causal.effects[1], role: "control", movedTexts: [], movedTokens: [] });
  const moved = (await (await get({ causal }, "/1")).json()) as CausalMoved[];
  expect(moved.map(({ role }) => role)).toEqual(["candidate", "control"]);
  expect(moved[0].texts).toEqual([{ edit: "add", conversation: "chat-101", change: 1.25 }]);
  expect(moved[0].tokens[0]).toEqual({ edit: "add", token: " sorry", tokenId: 4, count: 12, change: 0.81 });
  expect(moved[0].controls).toEqual([5, 6]);
});

test("a latent that is no row, or no number, is not found; without an experiment the answer names the command", async () => {
  const causal = causes();
  for (const path of ["/7", "/-1", "/1.5", "/a", "/99999999999"])
    expect((await get({ causal }, path)).status, path).toBe(404);
  const absent = await get({}, "/1");
  expect(absent.status).toBe(409);
  expect(await absent.json()).toEqual({ error: NOT_MADE.words, hint: NOT_MADE.command });
});

test("behaviours and splice figures come as they were counted", async () => {
  const causal = causes();
  const { behaviours, splice } = await page({ causal });
  const [first] = made(behaviours).items;
  expect(first.factors).toEqual({ base: 2, removal: 0.5, push: 1 });
  expect(first.arms.find(({ arm }) => arm === "base + control")).toEqual({
    ...{ arm: "base + control", controls: 5, degenerate: 0 },
    called: { shown: 3, prompts: 100 },
    notCalled: { shown: 1, prompts: 250 },
  });
  expect(made(splice).finetuned).toMatchObject({ model: 1.8, spliced: 2.1, lossRecoveredZero: 0.95 });
});
