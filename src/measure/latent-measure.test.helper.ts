// One row of a measurement for tests, of an ordinary shared latent; what a test is about is given.

import type {
  CategoryNames,
  ErrorImprovement,
  LatentIntervals,
  LatentMeasure,
  LatentScaling,
} from "./measure-contract.ts";

export const MADE_CATEGORIES: CategoryNames = {
  role: ["text", "system", "user", "assistant", "template", "bos"],
  dataset: ["prose", "chäts, all"],
  slot: ["none", "turn"],
  positionDecile: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
};

export function madeScaling(given: Partial<LatentScaling> = {}): LatentScaling {
  return {
    betaActivationBase: 1.25,
    betaActivationFinetuned: 1.5,
    betaReconstructionBase: 0.75,
    betaReconstructionFinetuned: 1,
    betaErrorBase: 0.5,
    betaErrorFinetuned: 0.625,
    nuActivation: 1.25 / 1.5,
    nuReconstruction: 0.75,
    nuError: 0.8,
    ...given,
  };
}

const interval = { low: 0.125, high: Number.POSITIVE_INFINITY };
const nus = {
  nuActivation: interval,
  nuReconstruction: { low: Number.NEGATIVE_INFINITY, high: 1 },
  nuError: interval,
};
const INTERVALS: LatentIntervals = { nGroupsFired: 12, finetuned: nus, base: nus };
const IMPROVEMENT: ErrorImprovement = {
  activationBase: 0.1,
  activationFinetuned: 0.2,
  reconstructionBase: 0.3,
  reconstructionFinetuned: 0.4,
  errorBase: 0.5,
  errorFinetuned: 0.6,
  activationRatio: 0.7,
  reconstructionRatio: 0.8,
  errorRatio: Number.NaN,
};

export function madeLatent(latent: number, given: Partial<LatentMeasure> = {}): LatentMeasure {
  return {
    latent,
    decoderNormBase: 1,
    decoderNormFinetuned: 1,
    encoderNormBase: 1,
    encoderNormFinetuned: 1,
    deltaNorm: 0.5,
    decoderCosine: 0.75,
    latentClass: "shared",
    frequency: 0.25,
    documents: 30,
    maxCode: 2,
    maxActivation: 4,
    meanActivation: 1.5,
    activationQuantiles: { q10: 0.5, q50: 1, q90: 2, q99: 3.5 },
    activationHistogram: { first: 4032, end: 4130, step: 40, counts: [3, 0, 22] },
    templateShare: 0.25,
    frequencyBy: {
      role: [0.25, Number.NaN, 0.25, 0.25, 0.25, Number.NaN],
      dataset: [0.25, 0.125],
      slot: [0.25, 0.5],
      positionDecile: new Array<number>(10).fill(0.25),
    },
    documentEntropy: 2,
    tokensAtPeak: [{ token: "grüße\u{1f600}", tokenId: 7, count: 3 }],
    tokensBeforePeak: [],
    scalingFinetuned: madeScaling(),
    scalingBase: madeScaling({ nuError: Number.NaN }),
    intervals: INTERVALS,
    improvementFinetuned: IMPROVEMENT,
    improvementBase: IMPROVEMENT,
    nearestFinetuned: [{ latent: 0, cosine: 0.5 }],
    nearestBase: [],
    nearestAcross: [],
    verdict: "",
    claim: "none",
    exclusion: "not-candidate",
    ...given,
  };
}
