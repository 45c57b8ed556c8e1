import { describe, expect, test } from "vitest";
import {
  claimOf,
  classOf,
  countExclusions,
  deltaNormOf,
  type Evidence,
  judgeBase,
  judgeFinetuned,
} from "./claims.ts";
import type { LatentScaling } from "./measure-contract.ts";

function scaling(overrides: Partial<LatentScaling> = {}): LatentScaling {
  return {
    betaActivationBase: 0.1,
    betaActivationFinetuned: 1,
    betaReconstructionBase: 0.1,
    betaReconstructionFinetuned: 1,
    betaErrorBase: 0.1,
    betaErrorFinetuned: 1,
    nuActivation: 0.1,
    nuReconstruction: 0.1,
    nuError: 0.1,
    ...overrides,
  };
}

/** Passes as finetuned-specific; every test below changes one thing. */
function evidence(overrides: Partial<Evidence> = {}): Evidence {
  return {
    deltaNorm: 0.95,
    fired: 1000,
    documents: 50,
    scalingFinetuned: scaling(),
    scalingBase: scaling({ betaReconstructionBase: 1, betaErrorBase: 1 }),
    ...overrides,
  };
}

describe("deltaNorm and classes", () => {
  test("deltaNorm is 0 without a finetuned decoder, 1 without a base one, 0.5 for equal norms", () => {
    expect(deltaNormOf(3, 0)).toBe(0);
    expect(deltaNormOf(0, 3)).toBe(1);
    expect(deltaNormOf(2, 2)).toBe(0.5);
    expect(deltaNormOf(1, 2)).toBe(0.75);
    expect(deltaNormOf(0, 0)).toBeNaN();
  });

  test("class borders belong to the named classes", () => {
    expect([0, 0.1, 0.11, 0.4, 0.6, 0.61, 0.9, 1, Number.NaN].map((value) => classOf(value))).toEqual([
      "base-only",
      "base-only",
      "other",
      "shared",
      "shared",
      "other",
      "finetuned-only",
      "finetuned-only",
      "other",
    ]);
  });
});

describe("claims", () => {
  test("a candidate with both ratios below threshold is finetuned-specific", () => {
    expect(claimOf(evidence())).toEqual({ claim: "finetuned-specific", exclusion: "" });
  });

  test("twenty documents are enough", () => {
    expect(claimOf(evidence({ documents: 20 })).claim).toBe("finetuned-specific");
  });

  test("its mirror is base-specific", () => {
    expect(claimOf(evidence({ deltaNorm: 0.05 }))).toEqual({ claim: "base-specific", exclusion: "" });
  });

  test.each([
    ["nuReconstruction at its threshold", { scalingFinetuned: scaling({ nuReconstruction: 0.5 }) }],
    ["nuError at its threshold", { scalingFinetuned: scaling({ nuError: 0.2 }) }],
  ])("%s is judged and not claimed", (_, change) => {
    expect(claimOf(evidence(change))).toEqual({ claim: "none", exclusion: "" });
  });

  test.each([
    ["dead", { fired: 0, documents: 0 }],
    ["too-rare", { documents: 19 }],
    ["negative-beta", { scalingFinetuned: scaling({ betaErrorFinetuned: -0.1 }) }],
    ["negative-beta", { scalingFinetuned: scaling({ betaReconstructionFinetuned: Number.NaN }) }],
    ["nu-out-of-range", { scalingFinetuned: scaling({ nuError: -0.11 }) }],
    ["nu-out-of-range", { scalingFinetuned: scaling({ nuReconstruction: 2.1 }) }],
    ["nu-out-of-range", { scalingFinetuned: scaling({ nuError: Number.NaN }) }],
    ["not-candidate", { deltaNorm: 0.5 }],
    ["not-candidate", { deltaNorm: Number.NaN }],
  ] as const)("a latent is left out as %s, and the reason is kept", (exclusion, change) => {
    expect(claimOf(evidence(change))).toEqual({ claim: "none", exclusion });
  });

  test("the candidate borders 0.6 and 0.4 are outside on both sides", () => {
    expect(judgeFinetuned(evidence({ deltaNorm: 0.6 })).exclusion).toBe("not-candidate");
    expect(judgeBase(evidence({ deltaNorm: 0.4 })).exclusion).toBe("not-candidate");
  });

  test("exclusions, claims and judged latents add up to all latents", () => {
    const all = [
      evidence(),
      evidence({ documents: 3 }),
      evidence({ deltaNorm: 0.5 }),
      evidence({ deltaNorm: 0.2 }),
      evidence({ scalingFinetuned: scaling({ nuError: 0.9 }) }),
    ].map((item) => judgeFinetuned(item));
    const excluded = Object.values(countExclusions(all)).reduce((sum, count) => sum + count, 0);
    const claimed = all.filter((judgement) => judgement.claimed).length;
    const judgedOnly = all.filter((judgement) => !judgement.claimed && judgement.exclusion === "").length;
    expect([excluded, claimed, judgedOnly]).toEqual([3, 1, 1]);
  });
});
