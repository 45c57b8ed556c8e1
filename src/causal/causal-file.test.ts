// causal.json: what goes in comes out, NaN too; a record of another day is told apart, and a bad one is named.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError, NumericsError } from "../errors.ts";
import { CODE_CHOICES, type Estimate, type SetOutcome, type SpliceOutcome } from "./causal-contract.ts";
import { type CausalRecord, causalPath, findDone, readCausal, writeCausal } from "./causal-file.ts";
import { writeEffects } from "./effects-table.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-causal-file-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let nFolders = 0;
function freshFolder(): string {
  nFolders += 1;
  return join(root, `${nFolders}`);
}

const estimate = (mean: number): Estimate => ({ mean, interval: { low: mean - 1, high: mean + 1 } });
const outcome = (mean: number): SetOutcome => ({
  tokens: 9,
  kl: estimate(mean),
  klPublished: { low: mean, high: mean },
  nll: estimate(mean),
  nllArgmax: estimate(mean),
  klBase: estimate(mean),
  gapClosed: mean === 0 ? null : estimate(-0.5),
  klAgainstNone: estimate(mean),
});
const splice: SpliceOutcome = {
  tokens: 5,
  ce: { model: 1, spliced: 1.5, mean: 4, zero: 8 },
  kl: 0.25,
  lossRecoveredZero: 0.75,
  lossRecoveredMean: Number.NaN,
};
const draws = { all: [0.1], firstNine: [0.2], rest: [Number.NaN] };
const bootstrap = { draws: 1000, level: 0.95, seed: 0 };
const RECORD: CausalRecord = {
  schemaVersion: 1,
  dictionarySha256: "a".repeat(64),
  storeId: "store",
  asked: {
    patching: { conversations: 512, choices: CODE_CHOICES },
    effects: { most: 2, latents: [3, 1] },
    splice: { documents: 4 },
    behaviours: null,
  },
  patching: {
    choices: CODE_CHOICES,
    conversations: {
      source: "stored",
      answers: "finetuned",
      split: "test",
      count: 3,
      tokens: 9,
      excluded: { "no assistant tokens": 4 },
      unedited: 0,
    },
    poolCounts: {
      pool: 5,
      dead: 1,
      nuMissing: 0,
      nuReconstructionOutOfRange: 0,
      nuErrorOutOfRange: 0,
      kept: 4,
    },
    outcomes: [
      {
        name: "best",
        kind: "subset",
        form: "additive",
        nLatents: 2,
        selection: "latent-scaling best half",
        controlOf: "",
        sets: { all: outcome(0.5), firstNine: outcome(Number.NaN), rest: outcome(0) },
      },
    ],
    comparisons: [
      {
        first: "best",
        second: "none",
        sets: { all: estimate(-1), firstNine: estimate(0), rest: estimate(1) },
      },
    ],
    controls: [
      {
        selection: "latent-scaling best half",
        nLatents: 2,
        silent: 0,
        missing: [0],
        rateRatio: [Number.NaN],
        energyRatio: [1.01],
        kl: { additive: draws, replacing: draws },
      },
    ],
    bootstrap,
  },
  effects: {
    candidates: 2,
    controls: 10,
    controlsEach: 5,
    conversations: 3,
    tokens: 9,
    silent: 0,
    bootstrap,
  },
  splice: { base: splice, finetuned: splice },
  behaviours: [
    {
      behaviour: "refuse",
      latent: 3,
      factor: 1.5,
      removalFactor: 1,
      pushFactor: 2,
      arms: [
        {
          arm: "finetuned − latents",
          controls: 0,
          called: { shown: 1, prompts: 2 },
          notCalled: { shown: 0, prompts: 2 },
          degenerate: 0,
        },
      ],
    },
  ],
  seconds: 1.5,
};

test("what is written is read again, NaN included", async () => {
  const folder = freshFolder();
  expect(await readCausal(folder)).toBeUndefined();
  await writeCausal(folder, RECORD);
  expect(await readCausal(folder)).toEqual(RECORD);
  const nothing: CausalRecord = { ...RECORD, patching: null, effects: null, splice: null, behaviours: null };
  await writeCausal(folder, nothing);
  expect(await readCausal(folder)).toEqual(nothing);
});

test("parts are done for the same dictionary, store and options in any order, and for no others", async () => {
  const folder = freshFolder();
  const doneOf = async (inputs: CausalRecord): Promise<string[]> => (await findDone(folder, inputs)).done;
  expect(await findDone(folder, RECORD)).toEqual({ record: undefined, done: [] });
  await writeCausal(folder, RECORD);
  // The table of single latents is not there.
  expect(await doneOf(RECORD)).toEqual(["patching", "splice"]);
  await writeEffects(folder, []);
  expect(await doneOf(RECORD)).toEqual(["patching", "effects", "splice"]);
  const reordered = Object.fromEntries(Object.entries(RECORD.asked.patching ?? {}).reverse());
  expect(await doneOf({ ...RECORD, asked: { ...RECORD.asked, patching: reordered } })).toContain("patching");
  const other = { ...RECORD, asked: { ...RECORD.asked, patching: { ...reordered, most: 5 } } };
  expect(await doneOf(other)).toEqual(["effects", "splice"]);
  expect((await findDone(folder, other)).record).toEqual(RECORD);
  expect(await doneOf({ ...RECORD, storeId: "another" })).toEqual([]);
  expect(await doneOf({ ...RECORD, dictionarySha256: "b".repeat(64) })).toEqual([]);
});

test("an infinite number is refused and the old file stays", async () => {
  const folder = freshFolder();
  await writeCausal(folder, RECORD);
  const endless = { ...RECORD, splice: { base: splice, finetuned: { ...splice, kl: Infinity } } };
  await expect(writeCausal(folder, endless)).rejects.toThrow(NumericsError);
  await expect(writeCausal(folder, endless)).rejects.toThrow(/causal\.json: kl: .*got Infinity/);
  await expect(writeCausal(folder, { ...RECORD, storeId: "" })).rejects.toThrow(/storeId/);
  expect(await readCausal(folder)).toEqual(RECORD);
});

test("a file that is no record is refused by its first wrong field, and counts as not done", async () => {
  const folder = freshFolder();
  const path = causalPath(folder);
  mkdirSync(dirname(path), { recursive: true });
  const change = (edit: (value: Record<string, unknown>) => void): string => {
    const value = structuredClone(RECORD) as unknown as Record<string, unknown>;
    edit(value);
    return JSON.stringify(value);
  };
  const cases: [string, RegExp][] = [
    ["{", /causal\.json: expected JSON/],
    ["[]", /top level/],
    [change((value) => Object.assign(value, { schemaVersion: 2 })), /schemaVersion/],
    [change((value) => Object.assign(value, { more: 1 })), /more/],
    [
      change(({ patching }) => Object.assign(patching as object, { outcomes: [{}] })),
      /patching\.outcomes\.0/,
    ],
    [change(({ splice: both }) => Object.assign(both as object, { base: null })), /splice\.base/],
  ];
  for (const [source, message] of cases) {
    writeFileSync(path, source);
    await expect(readCausal(folder)).rejects.toThrow(FormatError);
    await expect(readCausal(folder)).rejects.toThrow(message);
    expect(await findDone(folder, RECORD)).toEqual({ record: undefined, done: [] });
    expect(readFileSync(path, "utf8")).toBe(source);
  }
});
