// From the sums of the pass to the rows of the table and the pooled summary.
//
// Pure arithmetic on what merge-groups.ts collected: no store, no files.

import { N_ROW_CLASSES, ROW_CLASS } from "../compute/kernel-contract.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import {
  claimOf,
  classOf,
  countExclusions,
  countLatents,
  deltaNormOf,
  judgeBase,
  judgeFinetuned,
} from "./claims.ts";
import { errorImprovementOfLatent, type SquaredTotals } from "./error-improvement.ts";
import type { FrequentTokens } from "./frequent-tokens.ts";
import { fveOf, squaresOf } from "./fve-sums.ts";
import {
  bootstrapIntervals,
  INTERVAL_DEFAULTS,
  type IntervalColumns,
  intervalsOfLatent,
  type Resampling,
} from "./intervals.ts";
import { N_SUMS, rowGeometry, SUM, scalingOfLatent, sliceOfSums, totalSums } from "./latent-scaling.ts";
import {
  ACTIVATION_QUANTILES,
  CATEGORY_KINDS,
  type CategoryKind,
  type CategoryNames,
  CLAIM_THRESHOLDS,
  type LatentIntervals,
  type LatentMeasure,
  type LatentTwin,
  type MeasureSummary,
  type Neighbour,
  type TokenCount,
  VERDICTS,
  type Verdict,
} from "./measure-contract.ts";
import type { PassResult } from "./merge-groups.ts";
import type { LatentNeighbours, NearestLatents } from "./nearest-latents.ts";
import { verdictOf } from "./verdict.ts";

/** Tokens kept of each of the two lists of a latent. */
const TOKENS_SHOWN = 8;

/** Classes of rows: those that are measured, and all. */
const MEASURED: readonly number[] = [ROW_CLASS.ordinary];
const ALL: readonly number[] = Array.from({ length: N_ROW_CLASSES }, (_, kind) => kind);

/** Rows that are measured: neither BOS nor norm outliers. */
export function measuredRows({ fit }: Pick<PassResult, "fit">): number {
  return MEASURED.reduce((sum, kind) => sum + fit.rows[kind], 0);
}

/** What the rows are made of. */
export interface RowInputs {
  dictionary: Dictionary;
  pass: PassResult;
  resampling: Resampling;
  neighbours: LatentNeighbours;
  tokenString: (id: number) => string;
}

/** Latents whose intervals are made together: a slice of the groups' sums is copied for them. */
const INTERVAL_SLICE = 2048;

/** One row a latent, in latent order. */
export function latentRows({
  dictionary,
  pass,
  resampling,
  neighbours,
  tokenString,
}: RowInputs): LatentMeasure[] {
  const { nLatents, sites, decoderWeight, encoderWeight } = dictionary;
  const widths = { base: sites[0].width, finetuned: sites[1].width };
  const totals = totalSums(pass.sums);
  const nRows = measuredRows(pass);
  const squares = squaresOf(pass.fit, MEASURED);
  const squaredTotals: SquaredTotals = {
    squaredActivation: { base: squares.base.activation, finetuned: squares.finetuned.activation },
    squaredReconstruction: { base: squares.base.reconstruction, finetuned: squares.finetuned.reconstruction },
    squaredError: { base: squares.base.error, finetuned: squares.finetuned.error },
  };
  const weights = latentWeights(dictionary);
  const intervals = intervalsOf({ dictionary, pass, resampling });
  const { categories, histogram, tokensAtPeak, tokensBeforePeak } = pass.accumulators;
  const named = (tokens: FrequentTokens, latent: number): TokenCount[] =>
    tokens
      .top(latent, TOKENS_SHOWN)
      .map(({ token, count }) => ({ token: tokenString(token), tokenId: token, count }));

  return Array.from({ length: nLatents }, (_, latent): LatentMeasure => {
    const sums = totals.subarray(latent * N_SUMS, (latent + 1) * N_SUMS);
    const decoder = rowGeometry(decoderWeight, widths, latent);
    const encoder = rowGeometry(encoderWeight, widths, latent);
    const decoderNormBase = Math.sqrt(decoder.squaredBase);
    const decoderNormFinetuned = Math.sqrt(decoder.squaredFinetuned);
    const deltaNorm = deltaNormOf(decoderNormBase, decoderNormFinetuned);
    const fired = sums[SUM.fired];
    const scaling = scalingOfLatent(sums, decoder);
    const improvement = errorImprovementOfLatent(sums, decoder, squaredTotals);
    const documents = pass.documents[latent];
    const latentIntervals = intervals(latent);
    const [q10, q50, q90, q99] = histogram.quantiles(latent, Object.values(ACTIVATION_QUANTILES));
    return {
      latent,
      decoderNormBase,
      decoderNormFinetuned,
      encoderNormBase: Math.sqrt(encoder.squaredBase),
      encoderNormFinetuned: Math.sqrt(encoder.squaredFinetuned),
      deltaNorm,
      decoderCosine:
        decoder.inner === null ? Number.NaN : decoder.inner / (decoderNormBase * decoderNormFinetuned),
      latentClass: classOf(deltaNorm),
      frequency: fired / nRows,
      documents,
      maxCode: fired === 0 ? Number.NaN : pass.maxCode[latent],
      maxActivation: fired === 0 ? Number.NaN : pass.maxCode[latent] * weights[latent],
      meanActivation: (sums[SUM.code] / fired) * weights[latent],
      activationQuantiles: { q10, q50, q90, q99 },
      activationHistogram: histogram.merged(latent),
      templateShare: sums[SUM.codeOnTemplate] / sums[SUM.code],
      frequencyBy: Object.fromEntries(
        CATEGORY_KINDS.map((kind) => [kind, categories.frequencies(latent, kind)]),
      ) as Record<CategoryKind, number[]>,
      documentEntropy:
        Math.log(sums[SUM.documentMass]) - sums[SUM.documentMassLogMass] / sums[SUM.documentMass],
      tokensAtPeak: named(tokensAtPeak, latent),
      tokensBeforePeak: named(tokensBeforePeak, latent),
      scalingFinetuned: scaling.finetuned,
      scalingBase: scaling.base,
      intervals: latentIntervals,
      improvementFinetuned: improvement.finetuned,
      improvementBase: improvement.base,
      nearestFinetuned: neighboursOf(neighbours.finetuned, latent),
      nearestBase: neighboursOf(neighbours.base, latent),
      nearestAcross: neighboursOf(neighbours.crossFinetuned, latent),
      verdict: verdictOf({ deltaNorm, fired, documents, intervals: latentIntervals }),
      ...claimOf({
        ...{ deltaNorm, fired, documents },
        scalingFinetuned: scaling.finetuned,
        scalingBase: scaling.base,
      }),
    };
  });
}

/** The intervals of every latent, made a slice at a time when its first latent is asked for (in ascending order). */
function intervalsOf({
  dictionary,
  pass,
  resampling,
}: Pick<RowInputs, "dictionary" | "pass" | "resampling">): (latent: number) => LatentIntervals {
  const { nLatents, sites, decoderWeight } = dictionary;
  const widths = { base: sites[0].width, finetuned: sites[1].width };
  let from = 0;
  let columns: IntervalColumns | undefined;
  return (latent) => {
    if (columns === undefined || latent < from || latent >= from + columns.nLatents) {
      from = latent - (latent % INTERVAL_SLICE);
      const size = Math.min(INTERVAL_SLICE, nLatents - from);
      const geometry = Array.from({ length: size }, (_, i) => rowGeometry(decoderWeight, widths, from + i));
      columns = bootstrapIntervals(sliceOfSums(pass.sums, from, size), geometry, resampling);
    }
    return intervalsOfLatent(columns, latent - from);
  };
}

function neighboursOf(nearest: NearestLatents | null, latent: number): Neighbour[] {
  if (nearest === null) return [];
  const first = latent * nearest.count;
  return Array.from({ length: nearest.count }, (_, i) => ({
    latent: nearest.neighbour[first + i],
    cosine: nearest.cosine[first + i],
  })).filter((neighbour) => neighbour.latent >= 0);
}

/** The pooled figures and the counts; latents: the rows made from the same pass. */
export function summarise(
  { dictionary, pass, resampling }: Pick<RowInputs, "dictionary" | "pass" | "resampling">,
  {
    latents,
    twins,
    categories,
  }: { latents: readonly LatentMeasure[]; twins: LatentTwin[]; categories: CategoryNames },
): MeasureSummary {
  const nRows = measuredRows(pass);
  const evidence = latents.map((latent) => ({
    ...latent,
    fired: latent.frequency * nRows,
  }));
  return {
    schemaVersion: 1,
    nLatents: dictionary.nLatents,
    nRows,
    nDocuments: pass.nDocuments,
    nBosRows: pass.fit.rows[ROW_CLASS.bos],
    nOutlierRows: pass.fit.rows[ROW_CLASS.normOutlier],
    fve: fveOf(pass.fit, MEASURED),
    fveAllRows: fveOf(pass.fit, ALL),
    l0: pass.nNonZero / nRows,
    deadFraction: latents.filter((latent) => latent.frequency === 0).length / dictionary.nLatents,
    inferenceThreshold: dictionary.inferenceThreshold,
    counts: countLatents(latents),
    exclusionsFinetuned: countExclusions(evidence.map((latent) => judgeFinetuned(latent))),
    exclusionsBase: countExclusions(evidence.map((latent) => judgeBase(latent))),
    scalingDirections: dictionary.sites[0].width === dictionary.sites[1].width ? "shared" : "own",
    verdicts: Object.fromEntries(
      VERDICTS.map((verdict) => [verdict, latents.filter((latent) => latent.verdict === verdict).length]),
    ) as Record<Verdict, number>,
    categories,
    rowsByCategory: Object.fromEntries(
      CATEGORY_KINDS.map((kind) => [kind, pass.accumulators.categories.rows(kind)]),
    ) as Record<CategoryKind, number[]>,
    intervals: {
      level: INTERVAL_DEFAULTS.level,
      nDraws: resampling.nDraws,
      nGroups: resampling.nGroups,
    },
    twins,
    thresholds: CLAIM_THRESHOLDS,
  };
}
