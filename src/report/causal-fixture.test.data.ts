// Made-up causal experiments for the report's tests: the outcomes, single latents, splice metrics and behaviours of no model.

import {
  BEHAVIOUR_ARMS,
  type BehaviourArm,
  type BehaviourRate,
  CODE_CHOICES,
  type Comparison,
  type ControlMatch,
  type Estimate,
  type InterventionOutcome,
  type LatentEffect,
  PATCH_FORMS,
  type PatchingResult,
  type SetOutcome,
  type SpliceOutcome,
  type TokenSet,
} from "../causal/causal-contract.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import type { Causes } from "./causes.ts";
import { HOSTILE } from "./hostile.test.data.ts";

const estimate = (mean: number, half: number): Estimate => ({
  mean,
  interval: { low: mean - half, high: mean + half },
});
const bySet = <T>(of: (set: TokenSet) => T) => ({
  all: of("all"),
  firstNine: of("firstNine"),
  rest: of("rest"),
});
/** KL of None, nats. */
export const NONE_KL: Record<TokenSet, number> = { all: 0.8, firstNine: 2.4, rest: 0.5 };
const TOKENS: Record<TokenSet, number> = { all: 5120, firstNine: 900, rest: 4220 };
const SELECTIONS = [
  ["latent-scaling best half", 0.55],
  ["latent-scaling worst half", 0.9],
  ["deltaNorm best half", 0.6],
  ["deltaNorm worst half", 1.04],
  ["deltaNorm ≥ 0.7", 0.7],
  ["|nuActivation| ≤ 0.3", 0.72],
  ["claims", 0.62],
] as const;
const CONTROLLED: readonly string[] = ["latent-scaling best half", "deltaNorm best half", "claims"];

/** left: share of None's KL that is left. */
function madeOutcome(described: Omit<InterventionOutcome, "sets">, left: number): InterventionOutcome {
  return {
    ...described,
    sets: bySet((set): SetOutcome => {
      const kl = left * NONE_KL[set];
      return {
        tokens: TOKENS[set],
        kl: estimate(kl, 0.05 * kl),
        klPublished: { low: 0.99 * kl, high: 1.01 * kl },
        nll: estimate(2 + kl, 0.1),
        nllArgmax: estimate(1 + kl, 0.1),
        klBase: estimate(0.3 * (1 - left), 0.01),
        gapClosed: estimate(1 - left, 0.05),
        klAgainstNone: estimate(kl - NONE_KL[set], 0.04),
      };
    }),
  };
}

export function madePatching(): PatchingResult {
  const whole = (name: string, kind: InterventionOutcome["kind"], left: number): InterventionOutcome =>
    madeOutcome({ name, kind, form: null, nLatents: 0, selection: "", controlOf: "" }, left);
  const outcomes = [
    whole("None", "none", 1),
    whole("All", "all", 0.2),
    whole("Error", "error", 0.5),
    whole("Template", "template", 0.4),
    whole("Finetuned", "finetuned", 0),
  ];
  for (const [selection, left] of SELECTIONS)
    for (const form of PATCH_FORMS)
      outcomes.push(
        madeOutcome(
          { name: `${selection}, ${form}`, kind: "subset", form, nLatents: 12, selection, controlOf: "" },
          left + (form === "replacing" ? 0.03 : 0),
        ),
      );
  for (const selection of CONTROLLED)
    for (const form of PATCH_FORMS) {
      const controlOf = `${selection}, ${form}`;
      outcomes.push(
        madeOutcome(
          { name: `${controlOf} control`, kind: "subset", form, nLatents: 12, selection, controlOf },
          0.97,
        ),
      );
    }
  const comparison = (first: string, second: string): Comparison => ({
    ...{ first, second },
    sets: bySet(() => estimate(-0.3, 0.1)),
  });
  return {
    choices: CODE_CHOICES,
    conversations: {
      ...{ source: "stored", answers: "written", split: "test", count: 100, tokens: 5120, unedited: 0 },
      excluded: { "no assistant tokens": 14, "too many tokens": 0 },
    },
    poolCounts: {
      ...{ pool: 40, dead: 2, nuMissing: 0, nuReconstructionOutOfRange: 3, nuErrorOutOfRange: 1 },
      kept: 34,
    },
    outcomes,
    comparisons: [comparison(`${SELECTIONS[0][0]}, additive`, `${SELECTIONS[1][0]}, additive`)],
    controls: CONTROLLED.map(
      (selection): ControlMatch => ({
        ...{
          selection,
          nLatents: 12,
          silent: 1,
          missing: [0, 2],
          rateRatio: [0.98, 1.03],
          energyRatio: [0.9, Number.NaN],
        },
        kl: {
          additive: bySet((set) => [NONE_KL[set], 0.94 * NONE_KL[set]]),
          replacing: bySet((set) => [NONE_KL[set], 0.94 * NONE_KL[set]]),
        },
      }),
    ),
    bootstrap: { draws: 1000, level: 0.95, seed: 7 },
  };
}

/** Every finetuned-specific claim; the later, the weaker, and the last is silent. Each has two controls. */
export function madeEffects(latents: readonly LatentMeasure[]): LatentEffect[] {
  const claims = latents.filter(({ claim }) => claim === "finetuned-specific").map(({ latent }) => latent);
  const others = latents.filter(({ claim }) => claim === "none").slice(0, 2);
  const hostile = Object.values(HOSTILE);
  const row = (latent: number, i: number, isControl: boolean): LatentEffect => {
    const isSilent = !isControl && i === claims.length - 1;
    const strength = isControl ? 0.002 : isSilent ? 0 : 0.09 / (i + 1);
    return {
      ...{ latent, role: isControl ? "control" : "candidate" },
      ...{
        conversationsFired: isSilent ? 0 : 31,
        positionsReached: isSilent ? 0 : 420,
        firingRate: 0.01,
        energy: 3,
      },
      gapClosed: estimate(strength, 0.3 * strength),
      damage: estimate(0.4 * strength, 0.1 * strength),
      controls: isControl ? [] : others.map((other) => other.latent),
      controlGapClosed: isControl ? Number.NaN : 0.002,
      controlDamage: isControl ? Number.NaN : 0.0008,
      gapClosedP: isControl ? Number.NaN : i === 0 ? 0 : 0.03,
      damageP: isControl ? Number.NaN : 0.25,
      movedTexts: isSilent ? [] : [{ edit: "add", conversation: `chat-${100 + i}`, change: 1.25 }],
      movedTokens: isSilent
        ? []
        : [
            { edit: "add", token: " sorry", tokenId: 4, count: 12, change: 0.81 },
            { edit: "remove", token: hostile[i % hostile.length], tokenId: 5, count: 3, change: -0.4 },
          ],
    };
  };
  return [
    ...claims.map((latent, i) => row(latent, i, false)),
    ...others.map(({ latent }, i) => row(latent, i, true)),
  ];
}

const splice = (ce: number): SpliceOutcome => ({
  tokens: 9000,
  ce: { model: ce, spliced: ce + 0.3, mean: ce + 3, zero: ce + 6 },
  kl: 0.29,
  lossRecoveredZero: 0.95,
  lossRecoveredMean: 0.9,
});

function madeBehaviour(behaviour: string, latent: number): BehaviourRate {
  const shown: Record<BehaviourArm, number> = {
    base: 0,
    "base + latents": 15,
    "base + control": 3,
    finetuned: 20,
    "finetuned − latents": 4,
    "finetuned − control": 97,
    "finetuned + latents": 20,
    "finetuned + control": 100,
  };
  return {
    ...{ behaviour, latent, factor: 2, removalFactor: 0.5, pushFactor: 1 },
    arms: BEHAVIOUR_ARMS.map((arm) => {
      const nControls = arm.endsWith("control") ? 5 : 0;
      return {
        ...{ arm, controls: nControls, degenerate: arm === "base + latents" ? 2 : 0 },
        called: { shown: shown[arm], prompts: 20 * Math.max(1, nControls) },
        notCalled: { shown: 1, prompts: 50 * Math.max(1, nControls) },
      };
    }),
  };
}

export function madeCauses(latents: readonly LatentMeasure[], dictionarySha256 = "5".repeat(64)): Causes {
  const effects = madeEffects(latents);
  const candidates = effects.filter(({ role }) => role === "candidate");
  return {
    effects,
    record: {
      ...{ schemaVersion: 1, dictionarySha256, storeId: "store", seconds: 61 },
      asked: { patching: { pool: "leaning" }, effects: {}, splice: {}, behaviours: {} },
      patching: madePatching(),
      effects: {
        ...{ candidates: candidates.length, controls: effects.length - candidates.length, controlsEach: 2 },
        ...{ conversations: 100, tokens: 5120, silent: Math.min(1, candidates.length) },
        bootstrap: { draws: 1000, level: 0.95, seed: 7 },
      },
      splice: { base: splice(2.1), finetuned: splice(1.8) },
      behaviours: candidates.slice(0, 2).map(({ latent }, i) => madeBehaviour(`refuse-${i}`, latent)),
    },
  };
}
