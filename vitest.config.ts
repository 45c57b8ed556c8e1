// Every test of the project runs here; the browser-driven ones look for Chromium themselves and say so when it is missing.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "organisms/**/*.test.ts", "test/**/*.test.ts", "web/src/**/*.test.ts"],
    // Vitest would leave a core free; half of the time goes into single threads and processes of their own.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
