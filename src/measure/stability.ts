// Stability: which latents of a dictionary, and which of its claims, come out again when it is trained with another seed or size.
//
// A latent is compared along its own side's decoder row: the base's where it leans to the base (deltaNorm < 0.4), else the
// fine-tune's. Its match in another dictionary is the latent that is nearest to it by the cosine of that row and to which it is
// nearest in turn (mutual best over all latents with a direction), with cosine ≥ 0.7 and firing correlation ≥ 0.5.
//
// Firing correlation is Pearson's, of the activations v = f·W over all held-out rows but BOS, silent rows as 0: it asks both whether
// the two fire on the same rows and whether they do so equally strongly. A latent whose partner never fires has correlation 0.
// Latents that fired on no held-out row cannot be compared. Not here: training the others (study/), the files (stability-file.ts).

import { createGemm, type Gemm } from "../compute/gemm.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { MismatchError, ShapeError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import {
  type CosineTileOptions,
  cosineOf,
  cosineTiles,
  type DecoderRows,
  decoderRows,
} from "./cosine-tiles.ts";
import { assertBelongTogether } from "./encoded-rows.ts";
import { CLAIM_THRESHOLDS, type Claim, type LatentMeasure } from "./measure-contract.ts";
import { correlationOf, type LatentPair, pairFirings } from "./pair-firings.ts";

/** What makes a match; stored with every result. */
export const STABILITY_THRESHOLDS = { cosineAtLeast: 0.7, correlationAtLeast: 0.5 } as const;
export type StabilityThresholds = typeof STABILITY_THRESHOLDS;

export type StabilitySide = "base" | "finetuned";

/** A measured dictionary; names are unique. */
export interface MeasuredDictionary {
  name: string;
  dictionary: Dictionary;
  /** In latent order. */
  latents: readonly Pick<LatentMeasure, "deltaNorm" | "claim">[];
}

/** The latent of another dictionary that is a latent's match there. */
export interface StabilityMatch {
  /** Name of the other dictionary. */
  dictionary: string;
  latent: number;
  cosine: number;
  correlation: number;
  /** What is claimed of it there. */
  claim: Claim;
}

/** One row of tables/stability.parquet. */
export interface LatentStability {
  latent: number;
  /** Whose decoder row was compared. */
  side: StabilitySide;
  /** Other dictionaries it was compared with: all of them, or 0 when it fired on no row or has no direction. */
  nCompared: number;
  /** In how many of them it has a match. */
  directionFound: number;
  /** In how many its match is claimed to be specific to this latent's side there; whether it is claimed here is not asked. */
  claimReplicated: number;
  /** Largest cosine with any latent of any of them, and largest firing correlation with its nearest; NaN where nCompared is 0. */
  bestCosine: number;
  bestCorrelation: number;
  matches: StabilityMatch[];
}

export interface StabilityOptions {
  store: Store;
  reference: MeasuredDictionary;
  others: readonly MeasuredDictionary[];
  /** Default "heldout". */
  split?: Split;
  threads?: number;
  /** Rows and columns of a tile of cosines; default COSINE_TILES. */
  tile?: CosineTileOptions["tile"];
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface Stability {
  /** One a latent of the reference, in latent order. */
  latents: LatentStability[];
  /** Rows that the correlations are over. */
  nRows: number;
}

/**
 * Throws MismatchError (no other dictionary, one of other sites than the store's, or two of one name), ShapeError (latents that are not the
 * dictionary's), NumericsError (a row that is not finite), InterruptedError.
 */
export async function stability(options: StabilityOptions): Promise<Stability> {
  const { reference, others, split = "heldout" } = options;
  checkOptions(options);
  const sides = reference.latents.map(({ deltaNorm }) => sideOf(deltaNorm));
  const nearest = await nearestInOthers(options, sides);
  const { nRows, pairs } = await pairFirings({
    ...options,
    dictionaries: [reference.dictionary, ...others.map(({ dictionary }) => dictionary)],
    pairs: nearest.map(
      ({ latent, other, partner }): LatentPair => ({
        a: { dictionary: 0, latent },
        b: { dictionary: 1 + other, latent: partner },
      }),
    ),
    splits: [split],
    stage: "stability",
  });
  const latents = sides.map((side, latent) => notCompared(latent, side));
  nearest.forEach(({ latent, other, partner, cosine, mutual }, p) => {
    if (pairs[p].firedA === 0) return;
    const row = latents[latent];
    const correlation = correlationOf(pairs[p], nRows) ?? 0;
    row.nCompared = others.length;
    row.bestCosine = larger(row.bestCosine, cosine);
    row.bestCorrelation = larger(row.bestCorrelation, correlation);
    if (!mutual || !isMatch({ cosine, correlation })) return;
    const { name, latents: theirs } = others[other];
    const { claim } = theirs[partner];
    row.matches.push({ dictionary: name, latent: partner, cosine, correlation, claim });
    row.directionFound += 1;
    if (claim === claimOfSide(row.side)) row.claimReplicated += 1;
  });
  return { latents, nRows };
}

/** The side along which a latent is compared; latents that lean to neither, and those of no norm, along the fine-tune's. */
export function sideOf(deltaNorm: number): StabilitySide {
  return deltaNorm < 1 - CLAIM_THRESHOLDS.candidateDeltaNorm ? "base" : "finetuned";
}

export function claimOfSide(side: StabilitySide): Claim {
  return side === "base" ? "base-specific" : "finetuned-specific";
}

export function isMatch(
  { cosine, correlation }: { cosine: number; correlation: number },
  thresholds: StabilityThresholds = STABILITY_THRESHOLDS,
): boolean {
  return cosine >= thresholds.cosineAtLeast && correlation >= thresholds.correlationAtLeast;
}

function checkOptions({ store, reference, others }: StabilityOptions): void {
  if (others.length === 0) {
    throw new MismatchError(`${reference.name}: expected other dictionaries to compare with, got none`, {
      hint: "train one with another seed",
    });
  }
  const names = [reference, ...others].map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined)
    throw new MismatchError(`${twice}: expected dictionaries of different names, got this one twice`);
  for (const { name, dictionary, latents } of [reference, ...others]) {
    assertBelongTogether(store, dictionary);
    if (latents.length !== dictionary.nLatents) {
      throw new ShapeError(
        `${name}: expected ${dictionary.nLatents} measured latents, got ${latents.length}`,
      );
    }
  }
}

function notCompared(latent: number, side: StabilitySide): LatentStability {
  return {
    latent,
    side,
    nCompared: 0,
    directionFound: 0,
    claimReplicated: 0,
    bestCosine: Number.NaN,
    bestCorrelation: Number.NaN,
    matches: [],
  };
}

const larger = (best: number, value: number): number => (Number.isNaN(best) ? value : Math.max(best, value));

/** The nearest latent of another dictionary. */
interface Nearest {
  latent: number;
  /** Index into the others. */
  other: number;
  partner: number;
  cosine: number;
  /** The latent is the partner's nearest, too. */
  mutual: boolean;
}

/** For every latent with a direction and every other dictionary; along the base's rows and along the fine-tune's. */
async function nearestInOthers(
  options: StabilityOptions,
  sides: readonly StabilitySide[],
): Promise<Nearest[]> {
  const { reference, others, threads, tile, signal } = options;
  const gemm = await createGemm({ threads });
  try {
    const found: Nearest[] = [];
    for (const [other, { dictionary }] of others.entries()) {
      for (const [site, side] of (["base", "finetuned"] as const).entries()) {
        if (!sides.includes(side)) continue;
        const [mine, theirs] = [reference.dictionary, dictionary].map((one) =>
          decoderRows(one, site as 0 | 1),
        );
        for (const one of await mutualNearest(mine, theirs, { gemm, tile, signal })) {
          if (sides[one.latent] === side) found.push({ ...one, other });
        }
      }
    }
    return found;
  } finally {
    await gemm.dispose();
  }
}

/**
 * Of every row of a the nearest row of b, and whether it is mutual; of equal ones the lower latent. All rows are asked, so that a
 * latent that leans elsewhere can be the better partner. Decided by the tiles' f32; the cosine given is f64.
 */
export async function mutualNearest(
  a: DecoderRows,
  b: DecoderRows,
  options: { gemm: Gemm; tile?: CosineTileOptions["tile"]; signal?: AbortSignal },
): Promise<Omit<Nearest, "other">[]> {
  const [ofA, ofB] = [a, b].map(({ latents }) => ({
    partner: new Int32Array(latents.length).fill(-1),
    cosine: new Float32Array(latents.length).fill(Number.NEGATIVE_INFINITY),
  }));
  for await (const { rowStart, nRows, columnStart, nColumns, cosine } of cosineTiles(a, b, options)) {
    for (let r = 0, at = 0; r < nRows; r += 1) {
      const i = rowStart + r;
      for (let k = columnStart; k < columnStart + nColumns; k += 1, at += 1) {
        const value = cosine[at];
        if (value > ofA.cosine[i]) {
          ofA.cosine[i] = value;
          ofA.partner[i] = k;
        }
        if (value > ofB.cosine[k]) {
          ofB.cosine[k] = value;
          ofB.partner[k] = i;
        }
      }
    }
  }
  return Array.from(a.latents, (latent, i) => ({ latent, i, k: ofA.partner[i] }))
    .filter(({ k }) => k >= 0)
    .map(({ latent, i, k }) => ({
      latent,
      partner: b.latents[k],
      cosine: cosineOf(a, i, b, k),
      mutual: ofB.partner[k] === i,
    }));
}

/** What is said of a group of latents together. */
export interface StabilityCounts {
  latents: number;
  /** Those that were compared with the other dictionaries. */
  compared: number;
  /** Found in all of them, in at least one; the same for claims. */
  directionFoundInAll: number;
  directionFoundInAny: number;
  claimReplicatedInAll: number;
  claimReplicatedInAny: number;
  /** Mean share of the other dictionaries in which one is found, over those compared; null where none was. */
  meanDirectionFound: number | null;
  meanClaimReplicated: number | null;
}

export interface StabilitySummary {
  /** Claims of the reference. */
  finetunedSpecific: StabilityCounts;
  baseSpecific: StabilityCounts;
  /** Latents that lean to a side and are not claimed, and those that lean to none: what claims are to be held against. */
  leaningUnclaimed: StabilityCounts;
  shared: StabilityCounts;
}

/** latents: of stability(), of the reference whose table is given. */
export function summariseStability(
  latents: readonly LatentStability[],
  measured: MeasuredDictionary["latents"],
): StabilitySummary {
  const leans = ({ deltaNorm }: { deltaNorm: number }): boolean =>
    deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm || deltaNorm < 1 - CLAIM_THRESHOLDS.candidateDeltaNorm;
  const of = (belongs: (latent: MeasuredDictionary["latents"][number]) => boolean): StabilityCounts =>
    countStability(latents.filter(({ latent }) => belongs(measured[latent])));
  return {
    finetunedSpecific: of(({ claim }) => claim === "finetuned-specific"),
    baseSpecific: of(({ claim }) => claim === "base-specific"),
    leaningUnclaimed: of((latent) => latent.claim === "none" && leans(latent)),
    shared: of((latent) => latent.claim === "none" && !leans(latent)),
  };
}

export function countStability(latents: readonly LatentStability[]): StabilityCounts {
  const compared = latents.filter(({ nCompared }) => nCompared > 0);
  const count = (has: (latent: LatentStability) => boolean): number => compared.filter(has).length;
  const mean = (share: (latent: LatentStability) => number): number | null =>
    compared.length === 0 ? null : compared.reduce((sum, latent) => sum + share(latent), 0) / compared.length;
  return {
    latents: latents.length,
    compared: compared.length,
    directionFoundInAll: count(({ directionFound, nCompared }) => directionFound === nCompared),
    directionFoundInAny: count(({ directionFound }) => directionFound > 0),
    claimReplicatedInAll: count(({ claimReplicated, nCompared }) => claimReplicated === nCompared),
    claimReplicatedInAny: count(({ claimReplicated }) => claimReplicated > 0),
    meanDirectionFound: mean(({ directionFound, nCompared }) => directionFound / nCompared),
    meanClaimReplicated: mean(({ claimReplicated, nCompared }) => claimReplicated / nCompared),
  };
}
