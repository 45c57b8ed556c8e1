// The sentences say what the tables say, in their order, and nothing where nothing differs.

import { expect, test } from "vitest";
import { FINDING_LIMITS, findingsOf } from "./findings.ts";
import { sampleGlance } from "./glance.test.data.ts";

test("every part that found something has a sentence with its numbers, KL first", () => {
  const findings = findingsOf(sampleGlance());
  const expected = [
    /differ from the base's by 0\.5 nats a token.*100 tokens.*1 % of the tokens hold 20 % of it/,
    /After "Bake a" \(chat-1\) the base expects " boat" \(60 %\), the fine-tune " cake" \(97 %\): KL 9 nats/,
    /By role they differ most at assistant tokens \(2 nats.*least at text tokens \(0\.25 nats/,
    /more: " cake" .*10 most raised at 40 % of positions, 25 % by chance/,
    /less: " boat"/,
    /after layer 2 moves at position 1 by 28 %.*consistency 0\.50.*\(logit lens\) it says " cake"/,
    /differ by 40 % of their square \(its mean holds 10 %\); one component holds 30 % of the rest: towards " cake", away from " boat"/,
    /Adding 2\.0 × the mean difference of position 1 .*"Tell me something\." with "A cake\."/,
  ];
  expect(findings).toHaveLength(expected.length);
  for (const [i, finding] of findings.entries()) expect(finding).toMatch(expected[i]);
});

test("models that do not differ give no sentence", () => {
  const { kl, pca, ...rest } = sampleGlance();
  const quantiles = { p50: 0, p90: 0, p99: 0, max: 0 };
  const same = { ...kl, mean: 0, quantiles, shareOfTopPercent: 0, peaks: [] };
  expect(findingsOf({ ...rest, kl: same, pca: { ...pca, changeRatio: 0, components: [] } })).toEqual([]);
});

test("at most ten sentences; a degenerate steered text and a small group are not told of", () => {
  const glance = sampleGlance();
  glance.lens.steering[0].degenerate = "repeats itself";
  glance.kl.byRole[1].tokens = FINDING_LIMITS.groupTokens - 1;
  const words = findingsOf(glance).join("\n");
  expect(words).not.toContain("Tell me something");
  expect(words).not.toContain("By role");
  glance.kl.peaks = Array.from({ length: 40 }, () => glance.kl.peaks[0]);
  expect(findingsOf(glance).length).toBeLessThanOrEqual(FINDING_LIMITS.most);
});
