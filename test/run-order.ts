// How a run of the tests is laid out on two workers: what starts first, and which files need no process of their own.

import type { TestSpecification } from "vitest/node";
import { BaseSequencer } from "vitest/node";

export const FULL_RUN = [
  "src/**/*.test.ts",
  "organisms/**/*.test.ts",
  "test/**/*.test.ts",
  "web/src/**/*.test.ts",
];

/**
 * A process of its own costs a file 0.3 s of CPU. Nothing in these folders remembers anything between calls or touches what is
 * common to a process, which shared-process.test.ts holds.
 */
export const SHARED_FOLDERS = [
  "src/causal",
  "src/compute",
  "src/dictionary",
  "src/glance",
  "src/lens",
  "src/measure",
  "src/numerics",
  "src/report/charts",
  "src/truth",
];

/** By CPU time. On a fresh clone vitest knows sizes alone, and the longest of all is a small file. */
export const LONGEST = [
  "test/package.test.ts",
  "src/lm/webgpu.test.ts",
  "test/compare.test.ts",
  "src/training/checkpoint-faults.test.ts",
  "test/kill/kill-resume.test.ts",
  "test/browser/dashboard.browser.test.ts",
  "test/browser/hostile.browser.test.ts",
];

/** The longest files first, the others as vitest would have them: by their last duration, or by size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification): number => {
      const place = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
      return place < 0 ? LONGEST.length : place;
    };
    return (await super.sort(files)).sort((a, b) => placeOf(a) - placeOf(b));
  }
}
