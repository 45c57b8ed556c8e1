// Every test of the project runs here; the browser-driven ones look for Chromium themselves and say so when it is missing.

import { defineConfig } from "vitest/config";
import { FULL_RUN, LongestFirst, SHARED_FOLDERS } from "./test/run-order.ts";

const shared = SHARED_FOLDERS.map((folder) => `${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    globalSetup: ["test/global-setup.ts"],
    // One more than the two cores that there are at least: a fifth of the time, a file waits for a browser, a disk or a process.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Longer than a browser on a busy machine takes; what is waited for is there sooner on a quiet one.
    expect: { poll: { timeout: 20_000 } },
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: "own process", include: FULL_RUN, exclude: shared } },
      { extends: true, test: { name: "shared process", include: shared, isolate: false } },
    ],
  },
});
