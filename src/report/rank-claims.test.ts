import { expect, test } from "vitest";
import { meanRanks, rankClaims, scalingOf } from "./rank-claims.ts";
import { reportFixture } from "./report-fixture.test.data.ts";

test("equal values share the mean of their ranks", () => {
  expect(meanRanks([0.3, 0.1, 0.3, 0.2])).toEqual([3.5, 1, 3.5, 2]);
  expect(meanRanks([])).toEqual([]);
});

test("a claim lowest on both ratios comes first, whatever the order of the latents", () => {
  const { latents } = reportFixture();
  const ranked = rankClaims(latents, "finetuned");
  const shuffled = rankClaims([...latents].reverse(), "finetuned");
  expect(shuffled.map((claim) => claim.measure.latent)).toEqual(ranked.map((claim) => claim.measure.latent));
  expect(ranked.map((claim) => claim.rank)).toEqual(ranked.map((_, i) => i + 1));
  expect(ranked).toHaveLength(latents.filter((latent) => latent.claim === "finetuned-specific").length);

  const best = {
    ...ranked[7].measure,
    scalingFinetuned: { ...ranked[7].scaling, nuError: -0.1, nuReconstruction: -0.1 },
  };
  const changed = latents.map((latent) => (latent.latent === best.latent ? best : latent));
  expect(rankClaims(changed, "finetuned")[0].measure.latent).toBe(best.latent);
});

test("each side is ranked by the scaling along its own decoder", () => {
  const { latents } = reportFixture();
  for (const side of ["base", "finetuned"] as const) {
    for (const claim of rankClaims(latents, side)) {
      expect(claim.measure.claim).toBe(`${side}-specific`);
      expect(claim.scaling).toBe(
        side === "base" ? claim.measure.scalingBase : claim.measure.scalingFinetuned,
      );
      expect(scalingOf(claim.measure, side)).toBe(claim.scaling);
    }
  }
});
