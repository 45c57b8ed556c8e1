// From the sums of the pass to the rows of the table and the pooled summary.
//
// Pure arithmetic on what measure-pass.ts collected: no store, no files.

import { N_ROW_CLASSES, ROW_CLASS } from "../compute/kernel-contract.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import {
  claimOf,
  classOf,
  countExclusions,
  countLatents,
  deltaNormOf,
  judgeBase,
  judgeFinetuned,
} from "./claims.ts";
import { fveOf } from "./fve-sums.ts";
import { N_SUMS, rowGeometry, SUM, scalingOfLatent, totalSums } from "./latent-scaling.ts";
import { CLAIM_THRESHOLDS, type LatentMeasure, type MeasureSummary } from "./measure-contract.ts";
import type { PassResult } from "./merge-groups.ts";

/** Classes of rows: those whose error counts for fve, those that count for latents, all. */
const CLEAN: readonly number[] = [ROW_CLASS.ordinary];
const MEASURED: readonly number[] = [ROW_CLASS.ordinary, ROW_CLASS.normOutlier];
const ALL: readonly number[] = Array.from({ length: N_ROW_CLASSES }, (_, kind) => kind);

/** Rows that count for latents: BOS excluded, norm outliers included. */
export function measuredRows({ fit }: Pick<PassResult, "fit">): number {
  return MEASURED.reduce((sum, kind) => sum + fit.rows[kind], 0);
}

/** One row a latent, in latent order. */
export function latentRows(dictionary: Dictionary, pass: PassResult): LatentMeasure[] {
  const widths = { base: dictionary.sites[0].width, finetuned: dictionary.sites[1].width };
  const totals = totalSums(pass.sums);
  const nRows = measuredRows(pass);
  return Array.from({ length: dictionary.nLatents }, (_, latent): LatentMeasure => {
    const sums = totals.subarray(latent * N_SUMS, (latent + 1) * N_SUMS);
    const decoder = rowGeometry(dictionary.decoderWeight, widths, latent);
    const encoder = rowGeometry(dictionary.encoderWeight, widths, latent);
    const decoderNormBase = Math.sqrt(decoder.squaredBase);
    const decoderNormFinetuned = Math.sqrt(decoder.squaredFinetuned);
    const weight = decoderNormBase + decoderNormFinetuned;
    const deltaNorm = deltaNormOf(decoderNormBase, decoderNormFinetuned);
    const fired = sums[SUM.fired];
    const scaling = scalingOfLatent(sums, decoder);
    const documents = pass.documents[latent];
    const evidence = {
      deltaNorm,
      fired,
      documents,
      scalingFinetuned: scaling.finetuned,
      scalingBase: scaling.base,
    };
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
      maxActivation: fired === 0 ? Number.NaN : pass.maxCode[latent] * weight,
      meanActivation: (sums[SUM.code] / fired) * weight,
      templateShare: sums[SUM.codeOnTemplate] / sums[SUM.code],
      scalingFinetuned: scaling.finetuned,
      scalingBase: scaling.base,
      ...claimOf(evidence),
    };
  });
}

/** The pooled figures and the counts; latents: the rows made from the same pass. */
export function summarise(
  dictionary: Dictionary,
  pass: PassResult,
  latents: readonly LatentMeasure[],
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
    fve: fveOf(pass.fit, CLEAN),
    fveAllRows: fveOf(pass.fit, ALL),
    l0: pass.nNonZero / nRows,
    deadFraction: latents.filter((latent) => latent.frequency === 0).length / dictionary.nLatents,
    inferenceThreshold: dictionary.inferenceThreshold,
    counts: countLatents(latents),
    exclusionsFinetuned: countExclusions(evidence.map((latent) => judgeFinetuned(latent))),
    exclusionsBase: countExclusions(evidence.map((latent) => judgeBase(latent))),
    scalingDirections: dictionary.sites[0].width === dictionary.sites[1].width ? "shared" : "own",
    thresholds: CLAIM_THRESHOLDS,
  };
}
