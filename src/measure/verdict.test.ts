import { describe, expect, test } from "vitest";
import { judgeBase, judgeFinetuned } from "./claims.ts";
import {
  CLAIM_THRESHOLDS,
  type Interval,
  type LatentIntervals,
  type LatentScaling,
  VERDICTS,
} from "./measure-contract.ts";
import { sideOf, type VerdictEvidence, verdictOf, verdictReason } from "./verdict.ts";

const LOW: Interval = { low: -0.02, high: 0.1 };
const UNBOUNDED: Interval = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
/** What the other direction says must not matter. */
const DISTRACTING: Interval = { low: 0.9, high: 1.1 };

function evidence({
  deltaNorm = 0.95,
  fired = 1000,
  documents = 50,
  nuError = LOW,
  nuReconstruction = LOW,
}: {
  deltaNorm?: number;
  fired?: number;
  documents?: number;
  nuError?: Interval;
  nuReconstruction?: Interval;
} = {}): VerdictEvidence {
  const judged = { nuActivation: LOW, nuReconstruction, nuError };
  const ignored = { nuActivation: DISTRACTING, nuReconstruction: DISTRACTING, nuError: DISTRACTING };
  const intervals: LatentIntervals =
    deltaNorm < 0.5
      ? { finetuned: ignored, base: judged, nGroupsFired: 40 }
      : { finetuned: judged, base: ignored, nGroupsFired: 40 };
  return { deltaNorm, fired, documents, intervals };
}

const SHRUNK: Interval = { low: 0.25, high: 0.4 };
const DECOUPLED: Interval = { low: 0.55, high: 0.7 };

describe("verdicts", () => {
  test.each([
    ["genuine", {}],
    ["complete shrinkage", { nuError: SHRUNK }],
    ["latent decoupling", { nuReconstruction: DECOUPLED }],
    ["complete shrinkage and latent decoupling", { nuError: SHRUNK, nuReconstruction: DECOUPLED }],
    ["uncertain", { nuError: { low: 0.1, high: 0.3 } }],
    ["uncertain", { nuReconstruction: { low: 0.4, high: 0.6 } }],
    ["uncertain", { nuError: UNBOUNDED }],
    ["complete shrinkage", { nuError: SHRUNK, nuReconstruction: UNBOUNDED }],
    ["too rare", { documents: 19 }],
    ["genuine", { documents: 20 }],
    ["too rare", { documents: 19, nuError: SHRUNK }],
    ["dead", { fired: 0, documents: 0, nuError: { low: Number.NaN, high: Number.NaN } }],
  ] as const)("%s for %j, on either side", (verdict, change) => {
    expect(verdictOf(evidence({ ...change, deltaNorm: 0.95 }))).toBe(verdict);
    expect(verdictOf(evidence({ ...change, deltaNorm: 0.05 }))).toBe(verdict);
  });

  test("a limit at its threshold is neither below nor above it", () => {
    const { nuErrorBelow, nuReconstructionBelow } = CLAIM_THRESHOLDS;
    for (const change of [
      { nuError: { low: 0, high: nuErrorBelow } },
      { nuError: { low: nuErrorBelow, high: 1 } },
      { nuReconstruction: { low: 0, high: nuReconstructionBelow } },
      { nuReconstruction: { low: nuReconstructionBelow, high: 1 } },
    ]) {
      expect(verdictOf(evidence(change))).toBe("uncertain");
    }
  });

  test("a latent that leans to no side has no verdict and no reason, even when it never fired", () => {
    for (const deltaNorm of [0.4, 0.5, 0.6, Number.NaN]) {
      for (const fired of [0, 1000]) {
        expect(verdictOf(evidence({ deltaNorm, fired }))).toBe("");
        expect(verdictReason(evidence({ deltaNorm, fired }))).toBe("");
      }
    }
  });

  test("other thresholds are used when they are given", () => {
    const strict = { ...CLAIM_THRESHOLDS, nuErrorBelow: 0.05 } as unknown as typeof CLAIM_THRESHOLDS;
    expect(verdictOf(evidence(), strict)).toBe("uncertain");
  });

  test("sides are the candidates of the claims", () => {
    const scaling = {} as LatentScaling;
    for (const deltaNorm of [0, 0.3, 0.39, 0.4, 0.41, 0.5, 0.59, 0.6, 0.61, 1, Number.NaN]) {
      const all = { deltaNorm, fired: 0, documents: 0, scalingFinetuned: scaling, scalingBase: scaling };
      const candidate = (exclusion: string): boolean => exclusion !== "not-candidate";
      expect(sideOf(deltaNorm) === "finetuned").toBe(candidate(judgeFinetuned(all).exclusion));
      expect(sideOf(deltaNorm) === "base").toBe(candidate(judgeBase(all).exclusion));
    }
    expect([sideOf(0.95), sideOf(0.05), sideOf(0.5)]).toEqual(["finetuned", "base", ""]);
  });
});

describe("reasons", () => {
  test("a genuine latent names both intervals and both thresholds", () => {
    const change = { nuError: { low: -0.0001, high: 0.1 }, nuReconstruction: { low: 0.05, high: 0.3126 } };
    expect(verdictReason(evidence(change))).toBe(
      "Only the fine-tune has it: neither the base model's error (nuError 0.000 to 0.100 (95 %), below 0.2) nor its " +
        "reconstruction (nuReconstruction 0.050 to 0.313 (95 %), below 0.5) holds it.",
    );
  });

  test("on the base side the models change places", () => {
    expect(verdictReason(evidence({ deltaNorm: 0.05 }))).toMatch(
      /^Only the base model has it.*fine-tune's error/,
    );
  });

  test("shrinkage and decoupling each say where the concept sits, together they say both", () => {
    const shrinkage = verdictReason(evidence({ nuError: SHRUNK }));
    const decoupling = verdictReason(evidence({ nuReconstruction: DECOUPLED }));
    expect(shrinkage).toContain("nuError 0.250 to 0.400 (95 %), above 0.2");
    expect(decoupling).toContain("nuReconstruction 0.550 to 0.700 (95 %), above 0.5");
    expect(verdictReason(evidence({ nuError: SHRUNK, nuReconstruction: DECOUPLED }))).toBe(
      `${shrinkage} ${decoupling}`,
    );
  });

  test("an uncertain one names what stays open and only that", () => {
    const reason = verdictReason(evidence({ nuError: { low: 0.1, high: 0.3 } }));
    expect(reason).toContain("nuError 0.100 to 0.300 (95 %) reaches both sides of 0.2.");
    expect(reason).not.toContain("nuReconstruction");
    expect(reason).toContain("40 document groups");
    expect(verdictReason(evidence({ nuError: UNBOUNDED, nuReconstruction: UNBOUNDED }))).toContain(
      "nuError has no limits and nuReconstruction has no limits",
    );
    expect(
      verdictReason(evidence({ nuReconstruction: { low: 0.1, high: Number.POSITIVE_INFINITY } })),
    ).toContain("nuReconstruction 0.100 to unlimited (95 %) reaches both sides of 0.5");
  });

  test("too few documents and silence are said as such", () => {
    expect(verdictReason(evidence({ documents: 1 }))).toContain(
      "It fired in 1 held-out document; 20 are needed",
    );
    expect(verdictReason(evidence({ fired: 0 }))).toContain("never fired");
  });

  test("no verdict is without a reason, and no reason says NaN or Infinity", () => {
    const limits = [Number.NEGATIVE_INFINITY, -0.1, 0.15, 0.3, 0.8, Number.POSITIVE_INFINITY];
    const intervals = limits.flatMap((low) =>
      limits
        .filter((high) => high >= low && low < Infinity && high > -Infinity)
        .map((high) => ({ low, high })),
    );
    const seen = new Set<string>();
    for (const nuError of intervals) {
      for (const nuReconstruction of intervals) {
        for (const documents of [0, 5, 50]) {
          const all = evidence({ nuError, nuReconstruction, documents, fired: documents });
          seen.add(verdictOf(all));
          expect(verdictReason(all)).toMatch(/^[A-Z].*\.$/);
          expect(verdictReason(all)).not.toMatch(/NaN|Infinity|undefined/);
        }
      }
    }
    expect([...seen].sort()).toEqual([...VERDICTS].sort());
  });
});
