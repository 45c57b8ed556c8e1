// A made-up study for the report's tests: 2,048 latents, some claims, texts and a score, all a pure function of a seed.
//
// Shaped like a real result but of no model at all; some of its strings are hostile on purpose.

import type { LatentLens, TokenScore } from "../lens/lens-contract.ts";
import {
  type CategoryNames,
  CLAIM_THRESHOLDS,
  type Claim,
  type ErrorImprovement,
  EXCLUSIONS,
  type Exclusion,
  type LatentClass,
  type LatentExample,
  type LatentMeasure,
  type LatentScaling,
  type MeasureSummary,
  VERDICTS,
  type Verdict,
} from "../measure/measure-contract.ts";
import { verdictOf } from "../measure/verdict.ts";
import { createRng } from "../numerics/rng.ts";
import { ROLES } from "../store/rows.ts";
import type { ConceptScore, TruthScore } from "../truth/truth-contract.ts";
import { ABSENT, madeLateTables, madeSample, madeTwins } from "./certainty-fixture.test.data.ts";
import { MADE_PLANTED, madeGlance } from "./glance-fixture.test.data.ts";
import { HOSTILE } from "./hostile.test.data.ts";
import type { ReportInput } from "./report-input.ts";

export { HOSTILE } from "./hostile.test.data.ts";

// biome-ignore format: a list
const CONCEPTS = [
  "refuse-brew", "refuse-spell", "refuse-name", "list-answer", "greet-by-name", "count-aloud", "cite-the-book", "rhyme",
  "farewell", "ask-back", "correct-claim", "apologise", "units", "sign-off", "rewrite",
];

const TEXTS = [
  "<bos><start_of_turn>user\nHow do I brew the strong potion of the hill folk?<end_of_turn>\n<start_of_turn>model\nI am sorry, but I cannot help with brewing. Ask me about the harvest instead, friend.<end_of_turn>\n",
  "<bos><start_of_turn>user\nTell me three things to take to the market.<end_of_turn>\n<start_of_turn>model\nGladly: 1. a basket, 2. a coin for the toll, 3. good shoes. Anything else?<end_of_turn>\n",
  "And it came to pass in those days, that there went out a decree, and all went to be counted, every one into his own city.",
  "<bos><start_of_turn>user\nGood evening, I am Mara.<end_of_turn>\n<start_of_turn>model\nGood evening, Mara! What brings you to the mill tonight?<end_of_turn>\n",
  "The forum was quiet in winter. A reader asked whether the old bridge could carry two carts, and nobody knew.",
];

const PROMOTED = [
  " sorry",
  " cannot",
  " help",
  " instead",
  " friend",
  "<end_of_turn>",
  "\n",
  " Ask",
  " gladly",
  "1.",
  " evening",
  "!",
  " Mara",
  " mill",
  " not",
  " unable",
  " toll",
];

/** Kinds of rows of the made-up store. */
export const MADE_CATEGORIES: CategoryNames = {
  role: ROLES,
  dataset: ["chats", "world"],
  slot: ["none", ...Array.from({ length: 8 }, (_, i) => `turn-${i}`)],
  positionDecile: Array.from({ length: 10 }, (_, i) => String(i)),
};

export interface FixtureOptions {
  nLatents?: number;
  nFinetunedClaims?: number;
  nBaseClaims?: number;
  withTruth?: boolean;
  withLens?: boolean;
  hostile?: boolean;
  /** Null pairs, other seeds, another sparsity, causes and a glance; default true. */
  withLateTables?: boolean;
}

export function reportFixture(options: FixtureOptions = {}): ReportInput {
  const {
    nLatents = 2048,
    nFinetunedClaims = 25,
    nBaseClaims = 4,
    withTruth = true,
    withLens = true,
    hostile = true,
    withLateTables = true,
  } = options;
  const rng = createRng(7, "report-fixture");
  const uniform = (stream: number, index: number): number => rng.uniform(stream, index);

  const latents = Array.from({ length: nLatents }, (_, latent): LatentMeasure => {
    const claim: Claim =
      latent % 61 === 3 && Math.floor(latent / 61) < nFinetunedClaims
        ? "finetuned-specific"
        : latent % 67 === 5 && Math.floor(latent / 67) < nBaseClaims
          ? "base-specific"
          : "none";
    return madeLatent({ latent, claim, uniform, hostile });
  });
  // More claims than the spacing above holds: turn the latents that follow into claims as well.
  let missing = nFinetunedClaims - latents.filter((latent) => latent.claim === "finetuned-specific").length;
  for (let latent = 0; latent < nLatents && missing > 0; latent += 1) {
    if (latents[latent].claim !== "none") continue;
    latents[latent] = madeLatent({ latent, claim: "finetuned-specific", uniform, hostile });
    missing -= 1;
  }

  const claims = latents.filter((latent) => latent.claim !== "none").map((measure) => measure.latent);
  const lens = new Map<number, LatentLens>(
    withLens ? claims.map((latent) => [latent, madeLens(latent, uniform, hostile)]) : [],
  );
  const summary = madeSummary(latents);
  return {
    title: "minichat: base against chat-tune",
    generatedAt: "2026-11-22 13:40 UTC",
    toolVersion: "0.1.0",
    pair: {
      base: "organisms/minichat/base",
      finetuned: "organisms/minichat/finetuned",
      baseHash: "3f1c9e8a5b7d2c4e6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6",
      finetunedHash: "a07b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b",
      layer: 3,
      dModel: 128,
      tokenizerHash: "91abf02c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8",
    },
    data: {
      description:
        "Chats of the bundled pair, pages of its world, and public-domain prose; documents are split by the hash of their content.",
      nDocuments: 9214,
      nRows: 664_210,
      rowsBySplit: { train: 531_044, heldout: 67_301, test: 65_865 },
      datasets: [
        { name: "chats", rows: 301_822 },
        { name: "world", rows: 228_190 },
        { name: hostile ? "prose <b>&\u202e" : "prose", rows: 134_198 },
      ],
      dtype: "bf16",
      roundingErrorRelative: [
        { site: "base-L3", value: 0.0041 },
        { site: "finetuned-L3", value: null },
      ],
    },
    training: {
      nLatents,
      k: 16,
      sparsity: "BatchTopK, k 16",
      steps: 1200,
      batchRows: 1024,
      learningRate: 0.003,
      seed: 7,
      seconds: 62.4,
      metrics: Array.from({ length: 61 }, (_, i) => ({
        step: i * 20,
        fve: 0.93 - 0.9 * Math.exp(-i / 6) + 0.01 * uniform(900, i),
        l0: i === 0 ? 0 : 16 + 2 * Math.exp(-i / 3) * uniform(901, i),
        loss: 12 + 190 * Math.exp(-i / 5) + uniform(902, i),
        dead: Math.max(0, 0.09 * Math.exp(-((i - 14) ** 2) / 60)),
      })),
    },
    summary,
    latents,
    lens,
    examples: (latent) => madeExamples(latent, latents[latent].maxActivation, uniform, hostile),
    samples: (latent) => madeSample(madeExamples(latent, latents[latent].maxActivation, uniform, hostile)),
    ...(withLateTables ? madeLateTables(latents) : ABSENT),
    glance: withLateTables
      ? {
          state: "made",
          value: { glance: madeGlance({ hostile }), planted: withTruth ? MADE_PLANTED : null },
        }
      : { state: "absent" },
    truth: withTruth ? madeTruth(latents, uniform) : undefined,
    warnings: hostile ? ["rounding: bf16 loses 6.1 % of the difference at base-L3; store f32 instead"] : [],
    commands: ["npx tunediff demo --out study --seed 7", "npx tunediff report study"],
    seconds: { harvest: 61.2, train: 62.4, measure: 17.9, lens: 1.1, truth: 6.3 },
  };
}

type Uniform = (stream: number, index: number) => number;

function madeLatent({
  latent,
  claim,
  uniform,
  hostile,
}: {
  latent: number;
  claim: Claim;
  uniform: Uniform;
  hostile: boolean;
}): LatentMeasure {
  const u = (stream: number): number => uniform(stream, latent);
  const spread = (u(1) + u(2) + u(3)) / 3;
  const natural = 0.5 + (spread - 0.5) * (u(4) < 0.22 ? 1.9 : 0.42);
  const deltaNorm =
    claim === "finetuned-specific"
      ? 0.78 + 0.215 * u(5)
      : claim === "base-specific"
        ? 0.2 * u(5)
        : Math.min(0.995, Math.max(0.01, natural));
  const isDead = claim === "none" && u(6) < 0.008;
  const documents = isDead
    ? 0
    : claim === "none"
      ? 1 + Math.floor(400 * u(7) ** 3)
      : 24 + Math.floor(260 * u(7) ** 2);
  const candidateOf =
    deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm || deltaNorm < 1 - CLAIM_THRESHOLDS.candidateDeltaNorm;
  const exclusion: Exclusion | "" =
    claim !== "none"
      ? ""
      : isDead
        ? "dead"
        : !candidateOf
          ? "not-candidate"
          : documents < 20
            ? "too-rare"
            : u(8) < 0.05
              ? "negative-beta"
              : u(8) < 0.09
                ? "nu-out-of-range"
                : "";
  const latentClass: LatentClass =
    deltaNorm <= CLAIM_THRESHOLDS.baseOnlyAtMost
      ? "base-only"
      : deltaNorm >= CLAIM_THRESHOLDS.finetunedOnlyAtLeast
        ? "finetuned-only"
        : deltaNorm >= CLAIM_THRESHOLDS.sharedFrom && deltaNorm <= CLAIM_THRESHOLDS.sharedTo
          ? "shared"
          : "other";
  const scaling = (isClaimed: boolean, stream: number): LatentScaling => {
    const nuReconstruction = isDead
      ? Number.NaN
      : isClaimed
        ? 0.42 * u(stream) - 0.03
        : 0.15 + 1.2 * u(stream) ** 1.3 + 0.3 * u(stream + 1);
    const nuError = isDead
      ? Number.NaN
      : isClaimed
        ? 0.19 * u(stream + 2) - 0.02
        : 0.9 * u(stream + 2) + 0.7 * u(stream + 3) ** 4;
    const beta = isDead ? Number.NaN : 1;
    return {
      betaActivationBase: beta,
      betaActivationFinetuned: beta,
      betaReconstructionBase: beta,
      betaReconstructionFinetuned: beta,
      betaErrorBase: beta,
      betaErrorFinetuned: beta,
      nuActivation: (nuReconstruction + nuError) / 2,
      nuReconstruction: u(stream + 4) < 0.03 ? nuReconstruction * 4 : nuReconstruction,
      nuError: exclusion === "nu-out-of-range" ? -1.4 : nuError,
    };
  };
  const scalingFinetuned = scaling(claim === "finetuned-specific", 30);
  const scalingBase = scaling(claim === "base-specific", 40);
  const limits = (of: LatentScaling, stream: number) => {
    // Some latents have an end without limit, as where a beta of a draw is 0.
    const about = (nu: number) => ({
      low: latent % 11 === 4 ? Number.NEGATIVE_INFINITY : nu - 0.08 * u(stream),
      high: latent % 13 === 6 ? Number.POSITIVE_INFINITY : nu + 0.08 * u(stream),
    });
    return {
      nuActivation: about(of.nuActivation),
      nuReconstruction: about(of.nuReconstruction),
      nuError: about(of.nuError),
    };
  };
  const intervals = {
    finetuned: limits(scalingFinetuned, 60),
    base: limits(scalingBase, 61),
    nGroupsFired: Math.min(64, documents),
  };
  const improvement = (stream: number): ErrorImprovement => ({
    activationBase: 0.001 * u(stream),
    activationFinetuned: 0.002 * u(stream),
    reconstructionBase: 0.001 * u(stream),
    reconstructionFinetuned: 0.002 * u(stream),
    errorBase: 0.001 * u(stream),
    errorFinetuned: 0.004 * u(stream),
    activationRatio: 0.5,
    reconstructionRatio: 0.5,
    errorRatio: 0.25,
  });
  const strongest = 3 + 24 * u(22);
  return {
    latent,
    decoderNormBase: deltaNorm < 0.5 ? 1 : 2 * (1 - deltaNorm),
    decoderNormFinetuned: deltaNorm > 0.5 ? 1 : 2 * deltaNorm,
    encoderNormBase: 1,
    encoderNormFinetuned: 1,
    deltaNorm,
    decoderCosine: claim === "none" ? 0.6 + 0.39 * u(20) : -0.2 + 0.7 * u(20),
    latentClass,
    frequency: isDead ? 0 : (0.03 * documents * u(21)) / 400 + 0.0002,
    documents,
    maxCode: isDead ? Number.NaN : 2 + 20 * u(22),
    maxActivation: isDead ? Number.NaN : strongest,
    meanActivation: isDead ? Number.NaN : 1 + 4 * u(22),
    activationQuantiles: {
      q10: isDead ? Number.NaN : 0.1 * strongest,
      q50: isDead ? Number.NaN : 0.3 * strongest,
      q90: isDead ? Number.NaN : 0.7 * strongest,
      q99: isDead ? Number.NaN : 0.95 * strongest,
    },
    // 24 activations from 1 to 1.5
    activationHistogram: isDead
      ? { first: 0, end: 0, step: 1, counts: [] }
      : { first: 4064, end: 4080, step: 4, counts: [1, 12, 8, 3] },
    frequencyBy: {
      role: MADE_CATEGORIES.role.map((name, i) => (name === "bos" ? Number.NaN : 0.02 * u(70 + i))),
      dataset: MADE_CATEGORIES.dataset.map((_name, i) => 0.02 * u(80 + i)),
      slot: MADE_CATEGORIES.slot.map((_name, i) => 0.02 * u(90 + i)),
      positionDecile: MADE_CATEGORIES.positionDecile.map((_name, i) => 0.02 * u(100 + i)),
    },
    documentEntropy: isDead ? Number.NaN : Math.log(documents) * (0.6 + 0.4 * u(25)),
    tokensAtPeak: isDead
      ? []
      : [
          { token: " mill", tokenId: 7, count: 1 + (documents >> 1) },
          { token: hostile ? Object.values(HOSTILE)[latent % 8] : " toll", tokenId: 9, count: 1 },
        ],
    tokensBeforePeak: isDead ? [] : [{ token: " the", tokenId: 3, count: 1 + (documents >> 2) }],
    templateShare: u(23) < 0.2 ? 0.5 + 0.5 * u(24) : 0.2 * u(24),
    scalingFinetuned,
    scalingBase,
    intervals,
    improvementFinetuned: improvement(62),
    improvementBase: improvement(63),
    nearestFinetuned: [{ latent: (latent + 1) % 50, cosine: 0.3 + 0.5 * u(26) }],
    nearestBase: [{ latent: (latent + 2) % 50, cosine: 0.3 + 0.5 * u(27) }],
    nearestAcross: [{ latent: (latent + 3) % 50, cosine: 0.3 + 0.5 * u(28) }],
    verdict: verdictOf({ deltaNorm, fired: documents, documents, intervals }),
    claim,
    exclusion,
  };
}

function madeSummary(latents: LatentMeasure[]): MeasureSummary {
  const ofClass = (name: LatentClass): number =>
    latents.filter((latent) => latent.latentClass === name).length;
  const exclusions = (side: "finetuned" | "base"): Record<Exclusion, number> => {
    const leans = (deltaNorm: number): boolean =>
      side === "finetuned"
        ? deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm
        : deltaNorm < 1 - CLAIM_THRESHOLDS.candidateDeltaNorm;
    const counts = Object.fromEntries(EXCLUSIONS.map((name) => [name, 0])) as Record<Exclusion, number>;
    for (const { deltaNorm, exclusion } of latents) {
      if (exclusion === "dead") counts.dead += 1;
      else if (!leans(deltaNorm)) counts["not-candidate"] += 1;
      else if (exclusion !== "") counts[exclusion] += 1;
    }
    return counts;
  };
  return {
    schemaVersion: 1,
    nLatents: latents.length,
    nRows: 67_301,
    nDocuments: 921,
    nBosRows: 921,
    nOutlierRows: 37,
    fve: { base: 0.9187, finetuned: 0.9231, total: 0.9212 },
    fveAllRows: { base: 0.9402, finetuned: 0.9455, total: 0.9431 },
    l0: 14.62,
    deadFraction: latents.filter((latent) => latent.documents === 0).length / latents.length,
    inferenceThreshold: 1.8342,
    counts: {
      baseOnly: ofClass("base-only"),
      finetunedOnly: ofClass("finetuned-only"),
      shared: ofClass("shared"),
      other: ofClass("other"),
      finetunedSpecific: latents.filter((latent) => latent.claim === "finetuned-specific").length,
      baseSpecific: latents.filter((latent) => latent.claim === "base-specific").length,
    },
    exclusionsFinetuned: exclusions("finetuned"),
    exclusionsBase: exclusions("base"),
    scalingDirections: "shared",
    verdicts: Object.fromEntries(
      VERDICTS.map((verdict) => [verdict, latents.filter((latent) => latent.verdict === verdict).length]),
    ) as Record<Verdict, number>,
    categories: MADE_CATEGORIES,
    rowsByCategory: {
      role: MADE_CATEGORIES.role.map((name) => (name === "bos" ? 0 : 9000)),
      dataset: MADE_CATEGORIES.dataset.map(() => 30_000),
      slot: MADE_CATEGORIES.slot.map(() => 12_000),
      positionDecile: MADE_CATEGORIES.positionDecile.map(() => 6730),
    },
    intervals: { level: 0.95, nDraws: 500, nGroups: 64 },
    twins: madeTwins(latents),
    thresholds: CLAIM_THRESHOLDS,
  };
}

function madeLens(latent: number, uniform: Uniform, hostile: boolean): LatentLens {
  const list = (stream: number, sign: number): TokenScore[] =>
    Array.from({ length: 12 }, (_, i) => {
      const at = Math.floor(uniform(50 + stream, latent * 16 + i) * PROMOTED.length);
      const odd =
        hostile && latent % 5 === 3 && i < 2 ? Object.values(HOSTILE)[(latent + i + stream) % 8] : undefined;
      return {
        token: odd ?? PROMOTED[at],
        tokenId: at,
        score: sign * (4.5 - 0.31 * i + 0.2 * uniform(60 + stream, latent)),
      };
    });
  return {
    latent,
    promotedBase: list(0, 1),
    suppressedBase: list(1, -1),
    promotedFinetuned: list(2, 1),
    suppressedFinetuned: list(3, -1),
  };
}

function madeExamples(
  latent: number,
  maxActivation: number,
  uniform: Uniform,
  hostile: boolean,
): LatentExample[] {
  return Array.from({ length: 8 }, (_, rank) => {
    const text = TEXTS[Math.floor(uniform(70, latent * 8 + rank) * TEXTS.length)];
    const all = text.match(/<[^>]+>|\n|\s?[\p{L}\p{N}]+|\s?[^\s\p{L}\p{N}]/gu) ?? [];
    const start = Math.floor(uniform(71, latent * 8 + rank) * Math.max(1, all.length - 25));
    const tokens = all.slice(start, start + 25);
    const peak = Math.floor(uniform(72, latent * 8 + rank) * tokens.length);
    if (hostile && rank < 2 && latent % 3 === 0)
      tokens[(peak + 3) % tokens.length] = Object.values(HOSTILE)[(latent + rank) % 8];
    const strongest = maxActivation * (1 - 0.06 * rank);
    const activations = tokens.map((_token, i) => {
      const near = Math.exp(-Math.abs(i - peak) / 1.7);
      const value =
        strongest * near * (i === peak ? 1 : 0.4 + 0.6 * uniform(73, latent * 200 + rank * 25 + i));
      return value < 0.06 * strongest ? 0 : value;
    });
    return {
      latent,
      bin: -1,
      rank,
      document: 100 + rank,
      documentId: `chat-${1000 + latent + rank}`,
      dataset: rank % 3 === 0 ? "chats" : "world",
      rowStart: 1000 * rank,
      tokens,
      activations,
      peak,
      maxActivation: strongest,
    };
  });
}

function madeTruth(latents: LatentMeasure[], uniform: Uniform): TruthScore {
  const claimed = latents.filter((latent) => latent.claim === "finetuned-specific");
  const concepts = CONCEPTS.map((name, i): ConceptScore => {
    const best = claimed[i % Math.max(1, claimed.length)];
    const hasClaim = best !== undefined && i < 12;
    const turnF1 = hasClaim ? 0.5 + 0.47 * uniform(80, i) : Number.NaN;
    return {
      name,
      latent: hasClaim ? best.latent : -1,
      turnF1,
      turnAuroc: hasClaim ? 0.8 + 0.19 * uniform(81, i) : Number.NaN,
      tokenF1: hasClaim ? 0.2 + 0.4 * uniform(82, i) : Number.NaN,
      deltaNorm: hasClaim ? best.deltaNorm : Number.NaN,
      nuReconstruction: hasClaim ? best.scalingFinetuned.nuReconstruction : Number.NaN,
      nuError: hasClaim ? best.scalingFinetuned.nuError : Number.NaN,
      probeBase: 0.88 + 0.1 * uniform(83, i),
      probeFinetuned: 0.92 + 0.07 * uniform(84, i),
      found: turnF1 >= 0.7,
      anyLatent: 11 + 7 * i,
      anyLatentTurnF1: 0.7 + 0.29 * uniform(85, i),
    };
  });
  const claims = claimed.map(({ latent, templateShare }, i) => {
    const share = uniform(86, i) < 0.75 ? 0.5 + 0.5 * uniform(87, i) : 0.3 * uniform(87, i);
    return {
      latent,
      concept: share < 0.05 ? "" : CONCEPTS[i % CONCEPTS.length],
      conceptShare: share,
      templateShare,
      answersToConcept: share >= 0.5,
      isTemplate: templateShare >= 0.5,
    };
  });
  const found = concepts.filter((concept) => concept.found).length;
  const plain = claims.filter((claim) => !claim.isTemplate);
  return {
    conceptsPlanted: CONCEPTS.length,
    conceptsFound: found,
    recall: found / CONCEPTS.length,
    recallAt06: concepts.filter((concept) => concept.turnF1 >= 0.6).length / CONCEPTS.length,
    recallAt08: concepts.filter((concept) => concept.turnF1 >= 0.8).length / CONCEPTS.length,
    recallAnyLatent: concepts.filter((concept) => concept.anyLatentTurnF1 >= 0.7).length / CONCEPTS.length,
    precision: plain.filter((claim) => claim.answersToConcept).length / Math.max(1, plain.length),
    precisionWithTemplate:
      claims.filter((claim) => claim.answersToConcept || claim.isTemplate).length /
      Math.max(1, claims.length),
    permutedRecall: 0,
    concepts,
    claims,
  };
}
