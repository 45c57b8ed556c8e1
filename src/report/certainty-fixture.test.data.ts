// Made-up null pairs, other seeds, twins, another sparsity, causes and samples for the report's tests; goes with report-fixture.test.data.ts.

import { candidateScores, countSide, qValues } from "../measure/false-discovery.ts";
import type { LatentExample, LatentMeasure, LatentTwin } from "../measure/measure-contract.ts";
import { CLAIM_THRESHOLDS } from "../measure/measure-contract.ts";
import {
  claimOfSide,
  type LatentStability,
  STABILITY_THRESHOLDS,
  sideOf,
  summariseStability,
} from "../measure/stability.ts";
import { claimsHash } from "../measure/stability-file.ts";
import { madeCauses } from "./causal-fixture.test.data.ts";
import type { LateTables, Nulls, StabilityTable } from "./late-tables.ts";
import type { SparsityComparison, SparsityFigures } from "./sparsity-comparison.ts";

const SHA = "5".repeat(64);
const COUNTED_Q = [0.01, 0.05, 0.1, 0.2];

export const ABSENT: LateTables = {
  nulls: { state: "absent" },
  stability: { state: "absent" },
  sparsity: { state: "absent" },
  causal: { state: "absent" },
};

export const OUTDATED: LateTables = {
  nulls: { state: "outdated" },
  stability: { state: "outdated" },
  sparsity: { state: "outdated" },
  causal: { state: "outdated" },
};

export function madeLateTables(latents: readonly LatentMeasure[], dictionarySha256 = SHA): LateTables {
  return {
    nulls: { state: "made", value: madeNulls(latents, dictionarySha256) },
    stability: { state: "made", value: madeStability(latents, dictionarySha256) },
    sparsity: { state: "made", value: madeSparsity(latents, dictionarySha256) },
    causal: { state: "made", value: madeCauses(latents, dictionarySha256) },
  };
}

/** Three draws: the real candidates' scores, thinned and made worse. */
export function madeNulls(latents: readonly LatentMeasure[], dictionarySha256 = SHA): Nulls {
  const real = candidateScores(latents);
  const nulls = [1, 2, 3].map((draw) => ({
    finetuned: real.finetuned.map((score, i) => (i % 7 === draw ? score + 0.4 + 0.1 * draw : Number.NaN)),
    base: real.base.map((score, i) => (i % 7 === draw ? score + 0.4 + 0.1 * draw : Number.NaN)),
  }));
  const q = {
    finetuned: qValues(
      real.finetuned,
      nulls.map(({ finetuned }) => finetuned),
    ),
    base: qValues(
      real.base,
      nulls.map(({ base }) => base),
    ),
  };
  const rows = latents.map(({ latent, claim }, i) => ({
    latent,
    scoreFinetuned: real.finetuned[i],
    qFinetuned: q.finetuned[i],
    scoreBase: real.base[i],
    qBase: q.base[i],
    q: claim === "none" ? Number.NaN : claim === "finetuned-specific" ? q.finetuned[i] : q.base[i],
  }));
  const counts = (of: { finetuned: Float64Array; base: Float64Array }) => ({
    finetuned: countSide(of.finetuned),
    base: countSide(of.base),
  });
  const mean = (side: "finetuned" | "base"): number =>
    nulls.reduce((sum, draw) => sum + countSide(draw[side]).claims, 0) / nulls.length;
  return {
    rows,
    record: {
      schemaVersion: 1,
      dictionarySha256,
      thresholds: { ...CLAIM_THRESHOLDS },
      settings: { draws: 3, includeControl: false, sampleRows: 4096 },
      changeRatio: 0.312,
      sampledRows: 4096,
      counts: counts(real),
      draws: nulls.map((draw, i) => ({
        name: `null-${i + 1}`,
        dictionarySha256: SHA,
        changeRatio: 0.31 + 0.001 * i,
        counts: counts(draw),
        seed: i + 1,
        scale: 0.02,
      })),
      control: null,
      expectedFalseClaims: { finetuned: mean("finetuned"), base: mean("base") },
      claimsUpTo: COUNTED_Q.map((limit) => ({
        q: limit,
        finetuned: rows.filter((row, i) => latents[i].claim === "finetuned-specific" && row.q <= limit)
          .length,
        base: rows.filter((row, i) => latents[i].claim === "base-specific" && row.q <= limit).length,
      })),
    },
  };
}

/** Three other seeds; claims are found more often than others. */
export function madeStability(latents: readonly LatentMeasure[], dictionarySha256 = SHA): StabilityTable {
  const seeds = [8, 9, 10];
  const table = latents.map(({ latent, deltaNorm, claim, documents }): LatentStability => {
    const side = sideOf(deltaNorm);
    const nCompared = documents === 0 ? 0 : seeds.length;
    const found = Math.min(nCompared, (latent % 3) + (claim === "none" ? 0 : 1));
    const claimed = claim === claimOfSide(side) ? Math.max(0, found - 1) : 0;
    return {
      ...{ latent, side, nCompared },
      directionFound: found,
      claimReplicated: claimed,
      bestCosine: nCompared === 0 ? Number.NaN : 0.75,
      bestCorrelation: nCompared === 0 ? Number.NaN : 0.6,
      matches: seeds.slice(0, found).map((seed, i) => ({
        dictionary: `main-seed${seed}`,
        latent: (latent + i) % latents.length,
        cosine: 0.75,
        correlation: 0.6,
        claim: i < claimed ? claim : "none",
      })),
    };
  });
  const one = (name: string, seed: number) => ({
    ...{ name, seed, nLatents: latents.length, dictionarySha256 },
    claimsSha256: claimsHash(latents),
  });
  return {
    latents: table,
    record: {
      schemaVersion: 1,
      reference: one("main", 7),
      others: seeds.map((seed) => one(`main-seed${seed}`, seed)),
      storeSha256: SHA,
      split: "heldout",
      nRows: 66_380,
      thresholds: STABILITY_THRESHOLDS,
      counts: summariseStability(table, latents),
    },
  };
}

export function madeSparsity(latents: readonly LatentMeasure[], dictionarySha256 = SHA): SparsityComparison {
  const figures = (name: string, sparsity: string, flagged: number): SparsityFigures => ({
    ...{ name, sparsity, dictionarySha256, claimsSha256: claimsHash(latents), nLatents: latents.length },
    fve: { base: 0.92, finetuned: 0.91, total: 0.915 },
    l0: 5,
    deadFraction: 0.03,
    counts: {
      ...{ baseOnly: 3, finetunedOnly: 32, shared: 1375, other: 638 },
      ...{ finetunedSpecific: 166, baseSpecific: 17 },
    },
    byNorm: { latents: 32, judged: 30, flagged, flaggedSurely: flagged >> 1 },
    twins: 1,
    truth: {
      ...{ conceptsPlanted: 15, conceptsFound: 12, recall: 0.8, permutedRecall: 0 },
      ...{ precision: null, precisionWithTemplate: 0.8 },
    },
  });
  return {
    schemaVersion: 1,
    storeSha256: SHA,
    dictionaries: [
      figures("main", "BatchTopK, k 16", 4),
      figures("main-relu-l1", "ReLU + L1, penalty 0.09", 20),
    ],
  };
}

/** Each claim of the fine-tune with the base's claim of the same place; the last was never high. */
export function madeTwins(latents: readonly LatentMeasure[]): LatentTwin[] {
  const of = (claim: string): number[] =>
    latents.filter((latent) => latent.claim === claim).map(({ latent }) => latent);
  const base = of("base-specific");
  return of("finetuned-specific")
    .slice(0, base.length)
    .map((finetuned, i): LatentTwin => {
      const isSilent = i === base.length - 1;
      const divergence = isSilent ? null : 0.9 - 0.2 * i;
      return {
        ...{ finetuned, base: base[i], cosine: 0.99 - 0.02 * i, maxActivation: isSilent ? 0 : 9 },
        divergencePaper: divergence,
        divergenceCode: i === 0 ? null : divergence,
        byDataset: {},
        ...{ firedFinetuned: 200, firedBase: 100, firedBoth: 10 * i },
        jaccard: (10 * i) / (300 - 10 * i),
        phi: 0.1 * i,
      };
    });
}

/** Two of each bin, out of the strongest ones that the fixture makes. */
export function madeSample(strongest: readonly LatentExample[]): LatentExample[] {
  const shares = [0.1, 0.4, 0.6, 0.85, 0.97];
  return shares.flatMap((share, bin) =>
    strongest.slice(0, 2).map((example, rank) => ({
      ...example,
      ...{ bin, rank, document: 500 + 10 * bin + rank },
      activations: example.activations.map((activation) => activation * share),
      maxActivation: example.maxActivation * share,
    })),
  );
}
