// What `tunediff stability` takes, refuses and says; the work itself is tested in study/stability-study.test.ts.

import { Command } from "commander";
import { expect, test } from "vitest";
import { ConfigError, FormatError } from "../errors.ts";
import type { StabilityCounts } from "../measure/stability.ts";
import type { StabilityRecord } from "../measure/stability-file.ts";
import { addStabilityCommand, parseSizes, stabilityText } from "./stability.ts";

test("--latents is a list of sizes", () => {
  expect(parseSizes(undefined)).toBeUndefined();
  expect(parseSizes("1024, 4096")).toEqual([1024, 4096]);
  for (const text of ["", "0", "-1", "1e3", "1024,", "a"])
    expect(() => parseSizes(text), text).toThrow(ConfigError);
});

test("a folder without a study, and a flag that is no number, are refused", async () => {
  const run = (...args: string[]) => {
    const program = new Command().exitOverride();
    addStabilityCommand(program);
    return program.parseAsync(["stability", ...args], { from: "user" });
  };
  await expect(run("/nowhere")).rejects.toThrow(FormatError);
  await expect(run("/nowhere", "--seeds", "many")).rejects.toThrow(/--seeds/);
});

const counts = (given: Partial<StabilityCounts>): StabilityCounts => ({
  latents: 0,
  compared: 0,
  directionFoundInAll: 0,
  directionFoundInAny: 0,
  claimReplicatedInAll: 0,
  claimReplicatedInAny: 0,
  meanDirectionFound: null,
  meanClaimReplicated: null,
  ...given,
});
const dictionary = (name: string, seed: number, nLatents = 2048) => ({
  name,
  seed,
  nLatents,
  dictionarySha256: "",
  claimsSha256: "",
});
const record: StabilityRecord = {
  schemaVersion: 1,
  reference: dictionary("main", 0),
  others: [dictionary("main-seed1", 1), dictionary("main-seed2", 2), dictionary("main-latents4096", 9, 4096)],
  storeSha256: "",
  split: "heldout",
  nRows: 20_000,
  thresholds: { cosineAtLeast: 0.7, correlationAtLeast: 0.5 },
  counts: {
    finetunedSpecific: counts({
      latents: 174,
      compared: 174,
      directionFoundInAll: 112,
      directionFoundInAny: 150,
      claimReplicatedInAll: 98,
    }),
    baseSpecific: counts({}),
    leaningUnclaimed: counts({ latents: 90, compared: 80, meanDirectionFound: 0.41 }),
    shared: counts({ latents: 1500, compared: 1400, meanDirectionFound: 0.6 }),
  },
};

test("the closing lines say how many claims came out again, in plain words", () => {
  const text = stabilityText({ record, dictionaryFolder: "study/dictionaries/main", reused: false });
  expect(text).toContain("What comes out again in 3 other dictionaries");
  expect(text).toContain("seed 1, seed 2, 4096 latents");
  expect(text).toContain(
    "112 of 174 claims were found again by all 3 others, 150 by at least one; all 3 claim 98 of them, too",
  );
  expect(text).toMatch(/base-specific +no claims/);
  expect(text).toContain(
    "on average another dictionary has 41 % of 80 latents that lean to a side and are not claimed and 60 % of 1400 shared ones",
  );
  expect(text).not.toContain("not repeated");
});

test("one claim, one other dictionary and nothing repeated are said as such", () => {
  const one = {
    ...record,
    others: record.others.slice(0, 1),
    counts: {
      ...record.counts,
      baseSpecific: counts({
        latents: 1,
        compared: 1,
        directionFoundInAll: 1,
        directionFoundInAny: 1,
        claimReplicatedInAll: 1,
      }),
      leaningUnclaimed: counts({}),
      shared: counts({}),
    },
  };
  const text = stabilityText({ record: one, dictionaryFolder: "d", reused: true });
  expect(text).toContain("What comes out again in another dictionary");
  expect(text).toContain("1 of 1 claim was found again by the other one, which claims 1 of them, too");
  expect(text).toContain("no other latent fired");
  expect(text).toContain("(already done, not repeated)");
});
