// What `tunediff demo --full` says at the end; the demo itself is tested in test/.

import { expect, test } from "vitest";
import { madeNulls, madeSparsity, madeStability } from "../report/certainty-fixture.test.data.ts";
import { reportFixture } from "../report/report-fixture.test.data.ts";
import type { ComparisonResult } from "../study/result.ts";
import { fullText } from "./demo.ts";

const { latents, summary } = reportFixture();
const result: ComparisonResult = {
  schemaVersion: 1,
  ...{ seed: 0, fve: summary.fve, l0: 5, deadFraction: 0, nLatents: 2048, counts: summary.counts },
  ...{ verdicts: summary.verdicts, twins: 4, truth: null },
  ...{ nullPairs: null, stability: null, sparsities: null, causal: null },
  seconds: { harvest: 1, train: 1, measure: 1, glance: 1, causal: 1, report: 1, total: 6 },
  ...{ peakRssBytes: 1, report: "/study/report.html", warnings: [] },
};

test("each table that was made has its lines, in whole numbers and words", () => {
  const { counts, expectedFalseClaims, claimsUpTo } = madeNulls(latents).record;
  const text = fullText({
    ...result,
    nullPairs: { draws: 3, counts, expectedFalseClaims, claimsUpTo },
    stability: { others: 3, counts: madeStability(latents).record.counts },
    sparsities: madeSparsity(latents).dictionaries,
  });
  expect(text).toContain(`${expectedFalseClaims.finetuned.toFixed(1)} finetuned-specific claims on average`);
  expect(text).toContain(`q ≤ 0.05: ${claimsUpTo[1].finetuned}`);
  expect(text).toMatch(/3 other seeds {2,}\d+ of 25 finetuned-specific claims found again by all/);
  expect(text).toMatch(/BatchTopK, k 16 +ReLU \+ L1, penalty 0\.09/);
  expect(text).toMatch(/flagged of those judged +4 of 30 +20 of 30/);
  expect(text).not.toMatch(/NaN|undefined|null\b(?! pairs)/);
});

test("without tables only the verdicts and the report are left", () => {
  const text = fullText(result);
  expect(text).toContain(`${summary.verdicts.genuine} genuine`);
  expect(text).toContain("/study/report.html");
  expect(text).not.toMatch(/seeds|pairs|sparsity/);
});
