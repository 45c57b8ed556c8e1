// The causal experiments as the browser shows them: the paper's figure, single latents, splice, behaviours; a part each, bounded.
//
// Shaped from tables/causal.json and tables/causal.parquet (causal/causal-contract.ts); what latents move is asked for one at a time.
// Sentences are the report's. NaN becomes null. No number is computed here.

import {
  CODE_CHOICES,
  type Estimate,
  type LatentEffect,
  PATCH_FORMS,
  type PatchingResult,
  type SetOutcome,
  type SpliceOutcome,
  TOKEN_SETS,
  type TokenSet,
} from "../causal/causal-contract.ts";
import type { CausalPart } from "../causal/causal-file.ts";
import type { Causes } from "../report/causes.ts";
import { conversationWords } from "../report/sections/causal.ts";
import { choiceRows, choiceWords, poolWords } from "../report/sections/causal-patching.ts";
import type { TermName } from "../report/terms.ts";
import type {
  CausalBehaviour,
  CausalEffectRow,
  CausalEffects,
  CausalFigures,
  CausalMoved,
  CausalPage,
  CausalPatching,
  CausalSplice,
  FigureEstimate,
  Missing,
  Part,
} from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { limited, orNull, termsOf } from "./page-values.ts";

export const CAUSAL_PAGE_LIMITS = {
  /** Rows of single latents; the strongest candidates first. */
  effects: 5000,
  outcomes: 200,
  comparisons: 200,
  controls: 100,
  behaviours: 200,
  moved: 50,
} as const;

const TERMS: readonly TermName[] = [
  ...(["kl", "intervention", "firstNine", "gapClosed", "damage"] as const),
  ...(["matchedControl", "causalInterval", "lossRecovered", "steered"] as const),
];

/** Why a part is null in a record, and the command that makes it; the report's words. */
const NOT_ASKED: Record<CausalPart, { words: string; command: string }> = {
  patching: {
    words: "The paper’s experiment was not asked for.",
    command: "tunediff causal STUDY --parts patching",
  },
  effects: { words: "Single latents were not measured.", command: "tunediff causal STUDY --parts effects" },
  splice: {
    words: "The models were not run on their reconstructions.",
    command: "tunediff causal STUDY --parts splice",
  },
  behaviours: {
    words: "No behaviours were counted; that takes prompts and a pattern for each behaviour.",
    command: "tunediff causal STUDY --behaviours FILE",
  },
};

/** Throws nothing for a record that has only some parts: each says for itself what is missing. */
export async function readCausalPage(view: DictionaryView): Promise<CausalPage> {
  const truth = await view.part(
    "truth",
    ({ claims }) =>
      new Map(claims.map((claim) => [claim.latent, claim.answersToConcept ? claim.concept : ""])),
  );
  const concepts = truth.state === "made" ? truth.value : new Map<number, string>();
  const causes = await view.part("causal", (value): Omit<CausalPage, "terms"> => {
    const { record } = value;
    const { patching, splice, behaviours } = record;
    return {
      patching: patching === null ? notAsked("patching") : made(patchingOf(value, patching)),
      effects: effectsOf(value, concepts),
      splice:
        splice === null
          ? notAsked("splice")
          : made({ base: spliceOf(splice.base), finetuned: spliceOf(splice.finetuned) }),
      behaviours:
        behaviours === null
          ? notAsked("behaviours")
          : made(limited(behaviours.map(behaviourOf), CAUSAL_PAGE_LIMITS.behaviours)),
    };
  });
  const terms = termsOf(TERMS);
  if (causes.state === "made") return { ...causes.value, terms };
  return { patching: causes, effects: causes, splice: causes, behaviours: causes, terms };
}

/** Rows of one latent, a candidate's first; none for a latent that was neither candidate nor control. */
export async function readMoved(view: DictionaryView, latent: number): Promise<Part<CausalMoved[]>> {
  return view.part("causal", ({ effects }) =>
    effects
      .filter((row) => row.latent === latent)
      .sort((a, b) => rank(a) - rank(b))
      .map(({ role, controls, movedTexts, movedTokens }) => ({
        ...{ latent, role },
        controls: controls.slice(0, CAUSAL_PAGE_LIMITS.moved),
        texts: movedTexts
          .slice(0, CAUSAL_PAGE_LIMITS.moved)
          .map(({ edit, conversation, change }) => ({ edit, conversation, change: orNull(change) })),
        tokens: movedTokens
          .slice(0, CAUSAL_PAGE_LIMITS.moved)
          .map(({ edit, token, tokenId, count, change }) => ({
            ...{ edit, token, tokenId, count },
            change: orNull(change),
          })),
      })),
  );
}

const made = <T>(value: T): Part<T> => ({ state: "made", value });
const notAsked = (part: CausalPart): Missing => ({ state: "missing", ...NOT_ASKED[part] });
const rank = ({ role }: Pick<LatentEffect, "role">): number => (role === "candidate" ? 0 : 1);

function estimate({ mean, interval }: Estimate): FigureEstimate {
  return { mean: orNull(mean), low: orNull(interval.low), high: orNull(interval.high) };
}
const NO_ESTIMATE: FigureEstimate = { mean: null, low: null, high: null };

function bySet<T>(of: (set: TokenSet) => T): Record<TokenSet, T> {
  return Object.fromEntries(TOKEN_SETS.map((set) => [set, of(set)])) as Record<TokenSet, T>;
}

function patchingOf({ record }: Causes, patching: PatchingResult): CausalPatching {
  const { conversations, poolCounts, choices, bootstrap, outcomes, comparisons, controls } = patching;
  const { pool: _, kept, ...left } = poolCounts;
  const { outcomes: nOutcomes, comparisons: nComparisons, controls: nControls } = CAUSAL_PAGE_LIMITS;
  return {
    conversations: {
      ...{ count: conversations.count, tokens: conversations.tokens, words: conversationWords(patching) },
      excluded: Object.entries(conversations.excluded).map(([reason, n]) => ({ reason, conversations: n })),
    },
    pool: {
      ...{ kept, words: poolWords(poolCounts, record.asked.patching?.pool === "leaning") },
      counts: [
        { reason: "candidates before any filter", latents: poolCounts.pool },
        ...Object.entries(left).map(([name, latents]) => ({ reason: POOL_REASONS[name] ?? name, latents })),
        { reason: "left, of which the halves are made", latents: kept },
      ],
    },
    choices: { words: choiceWords({ ...CODE_CHOICES, ...choices }), rows: choiceRows(choices) },
    draws: bootstrap.draws,
    tokens: bySet((set) => outcomes[0]?.sets[set].tokens ?? 0),
    outcomes: outcomes.slice(0, nOutcomes).map(({ sets, ...outcome }) => ({
      ...outcome,
      sets: bySet((set) => figuresOf(sets[set])),
    })),
    comparisons: comparisons.slice(0, nComparisons).map(({ first, second, sets }) => ({
      ...{ first, second },
      sets: bySet((set) => estimate(sets[set])),
    })),
    controls: controls.slice(0, nControls).map(({ selection, nLatents, silent, missing, ...rest }) => ({
      ...{ selection, nLatents, silent, missing },
      rateRatio: rest.rateRatio.map(orNull),
      energyRatio: rest.energyRatio.map(orNull),
      kl: Object.fromEntries(
        PATCH_FORMS.map((form) => [form, bySet((set) => rest.kl[form][set].map(orNull))]),
      ) as CausalPatching["controls"][number]["kl"],
    })),
  };
}

const POOL_REASONS: Record<string, string> = {
  dead: "dead",
  nuMissing: "without nu",
  nuReconstructionOutOfRange: "nuReconstruction out of range",
  nuErrorOutOfRange: "nuError out of range",
};

function figuresOf(outcome: SetOutcome): CausalFigures {
  const { kl, nll, nllArgmax, klBase, gapClosed, klAgainstNone, klPublished } = outcome;
  return {
    ...{ kl: estimate(kl), nll: estimate(nll), nllArgmax: estimate(nllArgmax), klBase: estimate(klBase) },
    gapClosed: gapClosed === null ? NO_ESTIMATE : estimate(gapClosed),
    klAgainstNone: estimate(klAgainstNone),
    klPublished: { low: orNull(klPublished.low), high: orNull(klPublished.high) },
  };
}

function effectsOf({ record, effects }: Causes, concepts: ReadonlyMap<number, string>): Part<CausalEffects> {
  if (record.effects === null) return notAsked("effects");
  const { bootstrap, ...summary } = record.effects;
  // What has no number comes after all that have one.
  const strength = ({ gapClosed: { mean } }: LatentEffect): number =>
    Number.isFinite(mean) ? mean : Number.NEGATIVE_INFINITY;
  const sorted = [...effects].sort((a, b) => {
    if (a.role !== b.role) return rank(a) - rank(b);
    return strength(a) === strength(b) ? a.latent - b.latent : strength(b) - strength(a);
  });
  const rows = limited(sorted, CAUSAL_PAGE_LIMITS.effects);
  return made({
    ...summary,
    draws: bootstrap.draws,
    rows: { total: rows.total, items: rows.items.map((row) => effectRow(row, concepts)) },
  });
}

function effectRow(row: LatentEffect, concepts: ReadonlyMap<number, string>): CausalEffectRow {
  const { latent, role, conversationsFired, positionsReached } = row;
  return {
    ...{ latent, role, conversationsFired, positionsReached },
    concept: role === "candidate" ? (concepts.get(latent) ?? "") : "",
    ...{ gapClosed: estimate(row.gapClosed), damage: estimate(row.damage) },
    ...{ controlGapClosed: orNull(row.controlGapClosed), controlDamage: orNull(row.controlDamage) },
    ...{ gapClosedP: orNull(row.gapClosedP), damageP: orNull(row.damageP) },
    ...{ firingRate: orNull(row.firingRate), energy: orNull(row.energy) },
  };
}

function spliceOf({ tokens, ce, kl, lossRecoveredZero, lossRecoveredMean }: SpliceOutcome): CausalSplice {
  const { model, spliced, mean, zero } = ce;
  return {
    ...{ tokens, model: orNull(model), spliced: orNull(spliced), mean: orNull(mean), zero: orNull(zero) },
    kl: orNull(kl),
    ...{ lossRecoveredZero: orNull(lossRecoveredZero), lossRecoveredMean: orNull(lossRecoveredMean) },
  };
}

function behaviourOf(rate: NonNullable<Causes["record"]["behaviours"]>[number]): CausalBehaviour {
  const { behaviour, latent, factor, removalFactor, pushFactor, arms } = rate;
  return { behaviour, latent, factors: { base: factor, removal: removalFactor, push: pushFactor }, arms };
}
