import { expect, test } from "vitest";
import type {
  CausalBehaviour,
  CausalEffectRow,
  CausalFigures,
  CausalOutcome,
} from "../../../src/dashboard/api-contract.ts";
import { addUpArms, behaviourBands, countWords, degenerateWords } from "./behaviour-bands.ts";
import { EFFECT_COLUMNS, selectEffects, showP } from "./effect-rows.ts";
import { figureBands, limitsOf } from "./figure-bands.ts";

const figures = (mean: number): CausalFigures => {
  const estimate = { mean, low: mean - 0.2, high: mean + 0.2 };
  return {
    ...{ kl: estimate, nll: estimate, nllArgmax: estimate, klBase: estimate, klAgainstNone: estimate },
    gapClosed: { mean: 1 - mean, low: null, high: null },
    klPublished: { low: mean - 0.01, high: mean + 0.01 },
  };
};
const outcome = (over: Partial<CausalOutcome>, kl: number): CausalOutcome => ({
  ...{ name: "", kind: "subset", form: null, nLatents: 3, selection: "", controlOf: "" },
  ...over,
  sets: { all: figures(kl), firstNine: figures(2 * kl), rest: figures(kl / 2) },
});
const subset = (selection: string, form: "additive" | "replacing", kl: number): CausalOutcome =>
  outcome({ name: `${selection}, ${form}`, selection, form }, kl);
const OUTCOMES = [
  outcome({ name: "Error", kind: "error" }, 0.7),
  outcome({ name: "None", kind: "none" }, 1),
  outcome({ name: "Finetuned", kind: "finetuned" }, 0),
  outcome({ name: "All", kind: "all" }, 0.1),
  subset("claims", "additive", 0.6),
  subset("claims", "replacing", 0.61),
  subset("deltaNorm best half", "additive", 0.5),
  subset("deltaNorm ≥ 0.7", "additive", 0.4),
  outcome(
    {
      name: "claims, additive control",
      form: "additive",
      selection: "claims",
      controlOf: "claims, additive",
    },
    0.9,
  ),
];
const CHOICE = {
  metric: "kl",
  form: "additive",
  limits: "bootstrap",
  edits: "figure",
  tokenSet: "all",
} as const;

test("the figure shows the whole edits, then the paper's sets of latents, each with its own control", () => {
  const bands = figureBands(OUTCOMES, CHOICE);
  expect(bands.map(({ label }) => label)).toEqual(["None", "All", "Error", "deltaNorm best half", "claims"]);
  expect(bands.map(({ thin }) => thin?.value ?? null)).toEqual([null, null, null, null, 0.9]);
  expect(bands[4].main).toEqual({ value: 0.6, low: expect.closeTo(0.4), high: expect.closeTo(0.8) });
  expect(figureBands(OUTCOMES, { ...CHOICE, tokenSet: "firstNine" })[0].main.value).toBe(2);
});

test("both forms stand under their whole names, and all edits are shown when asked for", () => {
  const bands = figureBands(OUTCOMES, { ...CHOICE, form: "both", edits: "all" });
  expect(bands.slice(3).map(({ label }) => label)).toEqual([
    "claims, additive",
    "claims, replacing",
    "deltaNorm best half, additive",
    "deltaNorm ≥ 0.7, additive",
  ]);
  expect(bands.map(({ isPale }) => isPale)).toEqual([false, false, false, false, true, false, false]);
});

test("published limits are those of KL, and any other figure keeps the bootstrap's", () => {
  const published = { ...CHOICE, limits: "published" } as const;
  expect(figureBands(OUTCOMES, published)[0].main.low).toBeCloseTo(0.99, 12);
  expect(limitsOf({ ...published, metric: "nll" })).toBe("bootstrap");
  expect(figureBands(OUTCOMES, { ...published, metric: "nll" })[0].main.low).toBeCloseTo(0.8, 12);
  expect(figureBands(OUTCOMES, { ...published, metric: "gapClosed" })[1].main).toEqual({
    ...{ value: 0.9, low: null, high: null },
  });
});

const row = (
  latent: number,
  gap: number | null,
  damage: number | null,
  role: CausalEffectRow["role"] = "candidate",
) => ({
  ...{
    latent,
    role,
    concept: "",
    controlGapClosed: null,
    gapClosedP: null,
    controlDamage: null,
    damageP: null,
  },
  gapClosed: { mean: gap, low: null, high: null },
  damage: { mean: damage, low: null, high: null },
  ...{ conversationsFired: latent % 3, positionsReached: 0, firingRate: null, energy: null },
});
const ROWS: CausalEffectRow[] = [
  row(4, 0.1, 0.3),
  row(1, null, 0.2),
  row(9, 0.5, 0.1, "control"),
  row(7, 0.1, null),
  row(2, 0.4, 0.05),
  row(3, -0.2, 0.9),
];
const SELECTION = { role: "all", lasso: [], sort: { column: "gapClosed", descending: true } } as const;

test("rows are sorted either way, equal ones by latent, and those without a number stay last", () => {
  const order = (column: string, descending: boolean): number[] =>
    selectEffects(ROWS, { ...SELECTION, lasso: [], sort: { column, descending } }).map(
      ({ latent }) => latent,
    );
  expect(order("gapClosed", true)).toEqual([9, 2, 4, 7, 3, 1]);
  expect(order("gapClosed", false)).toEqual([3, 4, 7, 2, 9, 1]);
  expect(order("damage", true)).toEqual([3, 4, 1, 9, 2, 7]);
  expect(order("latent", false)).toEqual([1, 2, 3, 4, 7, 9]);
  expect(order("no such column", false)).toEqual([1, 2, 3, 4, 7, 9]);
  for (const { name } of EFFECT_COLUMNS) expect(order(name, true).sort()).toEqual([1, 2, 3, 4, 7, 9]);
});

test("a role and a lasso keep only what is of it and inside, and the rows that were given stay as they are", () => {
  const before = structuredClone(ROWS);
  const of = (role: "candidate" | "control", lasso: number[] = []): number[] =>
    selectEffects(ROWS, { ...SELECTION, role, lasso }).map(({ latent }) => latent);
  expect(of("control")).toEqual([9]);
  expect(of("candidate")).toEqual([2, 4, 7, 3, 1]);
  const square = [0, 0, 0.45, 0, 0.45, 0.5, 0, 0.5];
  expect(of("candidate", square)).toEqual([2, 4]);
  expect(ROWS).toEqual(before);
});

test("p is never 0: of so many draws none did less", () => {
  expect([showP(0, 1000), showP(0.013, 1000), showP(0.5, 1000), showP(null, 1000)]).toEqual([
    "< 0.001",
    "0.013",
    "0.50",
    "–",
  ]);
});

const arm = (name: string, called: [number, number], notCalled: [number, number], degenerate = 0) => ({
  ...{ arm: name, controls: name.endsWith("control") ? 5 : 0, degenerate },
  called: { shown: called[0], prompts: called[1] },
  notCalled: { shown: notCalled[0], prompts: notCalled[1] },
});
const BEHAVIOURS: CausalBehaviour[] = [
  {
    ...{ behaviour: "a", latent: 1, factors: { base: 1, removal: 1, push: 1 } },
    arms: [arm("base", [0, 6], [1, 30], 2), arm("base + control", [2, 30], [0, 150], 7)],
  },
  {
    ...{ behaviour: "b", latent: 2, factors: { base: 1, removal: 1, push: 1 } },
    arms: [arm("base", [5, 6], [0, 30], 1), arm("finetuned", [6, 6], [0, 0])],
  },
];

test("counts of behaviours are added up arm by arm, and the given ones stay as they are", () => {
  const before = structuredClone(BEHAVIOURS);
  expect(addUpArms(BEHAVIOURS)).toEqual([
    arm("base", [5, 12], [1, 60], 3),
    arm("base + control", [2, 30], [0, 150], 7),
    arm("finetuned", [6, 6], [0, 0]),
  ]);
  expect(BEHAVIOURS).toEqual(before);
});

test("rates are n of m, over no prompts none at all; controls are pale", () => {
  const bands = behaviourBands(addUpArms(BEHAVIOURS));
  expect(bands.map(({ words }) => words)).toEqual([
    "5 of 12 · 1 of 60 · 3 degenerate",
    "2 of 30 · 0 of 150 · 7 degenerate",
    "6 of 6 · –",
  ]);
  expect(bands.map(({ main, thin }) => [main.value, thin?.value])).toEqual([
    [5 / 12, 1 / 60],
    [2 / 30, 0],
    [1, null],
  ]);
  expect(bands.map(({ fill, isPale }) => [fill, isPale])).toEqual([
    ["base", false],
    ["base", true],
    ["finetuned", false],
  ]);
  expect(countWords({ shown: 1, prompts: 3 })).toBe("1 of 3 (33\u202f%)");
  expect(countWords({ shown: 0, prompts: 0 })).toBe("none");
  expect(degenerateWords(arm("base", [0, 6], [1, 30], 9))).toBe("9 of 36 (25\u202f%)");
});
