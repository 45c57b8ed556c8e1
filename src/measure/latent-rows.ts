// From the sums of the pass to the rows of the table and the pooled summary.
//
// Pure arithmetic on what measure-pass.ts collected: no store, no files.

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
import type { PassResult } from "./measure-pass.ts";

/** What the pass must say for the table's rows. */
export type TableInputs = Pick<PassResult, "nRows" | "sums" | "documents" | "maxCode">;

/** One row a latent, in latent order. */
export function latentRows(dictionary: Dictionary, pass: TableInputs): LatentMeasure[] {
  const widths = { base: dictionary.sites[0].width, finetuned: dictionary.sites[1].width };
  const totals = totalSums(pass.sums);
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
      frequency: fired / pass.nRows,
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
  const evidence = latents.map((latent) => ({
    ...latent,
    fired: latent.frequency * pass.nRows,
  }));
  return {
    schemaVersion: 1,
    nLatents: dictionary.nLatents,
    nRows: pass.nRows,
    nDocuments: pass.nDocuments,
    nBosRows: pass.nBosRows,
    nOutlierRows: pass.nOutlierRows,
    fve: fveOf(pass.fveClean),
    fveAllRows: fveOf(pass.fveClean, pass.fveLeftOut),
    l0: pass.nNonZero / pass.nRows,
    deadFraction: latents.filter((latent) => latent.frequency === 0).length / dictionary.nLatents,
    inferenceThreshold: dictionary.inferenceThreshold,
    counts: countLatents(latents),
    exclusionsFinetuned: countExclusions(evidence.map((latent) => judgeFinetuned(latent))),
    exclusionsBase: countExclusions(evidence.map((latent) => judgeBase(latent))),
    scalingDirections: dictionary.sites[0].width === dictionary.sites[1].width ? "shared" : "own",
    thresholds: CLAIM_THRESHOLDS,
  };
}
