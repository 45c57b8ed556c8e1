import { expect, test } from "vitest";
import type { StudyEntry, TrainingEvent, TrainingFacts } from "../../../src/dashboard/api-contract.ts";
import { API_LIMITS } from "../../../src/dashboard/api-contract.ts";
import { factRows } from "./facts-table.tsx";
import { ago, stateWords } from "./states.tsx";
import { joinEvent, type TrainingLogs } from "./training-log.ts";
import { MOST_RUNS, type Run, runsOf, viewOf, withRun } from "./training-query.ts";

const fve = { base: 0.5, finetuned: 0.5, total: 0.5 };
const line = (step: number) => ({ step, loss: 1, l0: 4, dead: 0, fve, rowsPerSecond: 100 });
const event = (dictionary: string, more: Partial<TrainingEvent>): TrainingEvent => ({
  ...{ study: 0, dictionary, state: { kind: "live", changed: null }, reset: false },
  ...{ lines: [], nLines: 0, validations: [], passedSteps: [], ...more },
});

test("events join the log of their dictionary, and a reset begins it anew", () => {
  let logs: TrainingLogs = new Map();
  const steps = (name: string) => logs.get(`0/${name}`)?.lines.map(({ step }) => step);
  logs = joinEvent(logs, event("a", { reset: true, lines: [line(1)] }));
  logs = joinEvent(logs, event("b", { reset: true, lines: [line(7)] }));
  logs = joinEvent(logs, event("a", { lines: [line(2)], passedSteps: [9] }));
  expect([steps("a"), steps("b")]).toEqual([[1, 2], [7]]);
  logs = joinEvent(logs, event("a", { reset: true, lines: [line(1)], nLines: 1 }));
  expect(logs.get("0/a")).toMatchObject({ lines: [line(1)], passedSteps: [], nLines: 1 });
});

const studies = [0, 1].map((id) => ({
  ...{ id, title: `pair ${id}`, base: "b", finetuned: "f", layer: { base: 1, finetuned: 2 }, running: null },
  dictionaries: Array.from({ length: 6 }, (_, i) => ({
    ...{ name: `d${i}`, nLatents: 8, sparsity: "", isMain: i === 0, measured: false },
  })),
})) satisfies StudyEntry[];
const place = { study: 0, dictionary: "d1" };

test("the address names the dictionaries beside the first; unknown ones and those beyond the bound are passed over", () => {
  expect(MOST_RUNS).toBe(API_LIMITS.dictionariesFollowed);
  let query = new URLSearchParams();
  expect(runsOf(query, place, []).map(({ key }) => key)).toEqual(["0/d1"]);
  for (const key of ["1/d3", "0/d0", "0/d1", "5/x"]) query = withRun(query, key, true);
  const runs = runsOf(query, place, studies);
  expect(runs.map(({ key, title }) => [key, title])).toEqual([
    ["0/d1", "d1"],
    ["0/d0", "d0"],
    ["1/d3", "d3, study 1"],
  ]);
  expect(runs[2].detail).toBe("pair 1, layer 2");
  query = withRun(query, "0/d0", false);
  expect(runsOf(query, place, studies).map(({ key }) => key)).toEqual(["0/d1", "1/d3"]);
  for (const { id, dictionaries } of studies)
    for (const { name } of dictionaries) query = withRun(query, `${id}/${name}`, true);
  expect(runsOf(query, place, studies)).toHaveLength(MOST_RUNS);
});

test("a view that the address does not say, or says wrongly, is the plain one", () => {
  const plain = { axis: "step", isLog: false, smoothing: 0, onlyDifferent: false };
  expect(viewOf(new URLSearchParams())).toEqual(plain);
  expect(viewOf(new URLSearchParams("x=hours&y=cubic&smooth=7&facts=all"))).toEqual(plain);
  expect(viewOf(new URLSearchParams("x=tokens&y=log&smooth=5&facts=different"))).toEqual({
    ...{ axis: "tokens", isLog: true, smoothing: 5, onlyDifferent: true },
  });
});

test("the state of a training says how far it is, what is left, and since when it stands", () => {
  const changed = "2026-01-01T00:00:00Z";
  const now = Date.parse(changed) + 5 * 60_000;
  const facts: TrainingFacts = {
    ...{ plan: { steps: 100, batchRows: 20 }, checkpoints: [{ step: 25, made: changed }] },
    record: { state: "missing", words: "", command: "" },
  };
  const words = (kind: "none" | "live" | "finished" | "stopped", lines = [line(50)]) =>
    stateWords({
      ...{ facts, now },
      log: { state: { kind, changed }, lines, nLines: 1, validations: [], passedSteps: [] },
    });
  expect(words("live")).toBe("live, step 50 of 100 (50\u202f%), 100 tokens a second, about 10 seconds left");
  expect(words("live", [])).toBe("live, no line yet");
  expect(words("finished")).toBe("finished, step 50 of 100, 5 minutes ago");
  expect(words("stopped")).toBe(
    "stopped 5 minutes ago at step 50 of 100; the same command goes on from the checkpoint at step 25",
  );
  expect(words("none", [])).toBe("nothing has been logged yet");
  expect(
    [0, 59, 60, 7200, 200_000].map((seconds) => ago(changed, Date.parse(changed) + seconds * 1000)),
  ).toEqual([
    "less than a minute ago",
    "less than a minute ago",
    "1 minute ago",
    "2 hours ago",
    "2 days ago",
  ]);
});

test("a fact differs when two records say otherwise or one has it not; a training without a record does not count", () => {
  const of = (...facts: [string, number][]): TrainingFacts => ({
    ...{ plan: { steps: null, batchRows: null }, checkpoints: [] },
    record: {
      state: "made",
      value: { warnings: [], facts: facts.map(([name, value]) => ({ group: "g", name, value })) },
    },
  });
  const missing: TrainingFacts = { ...of(), record: { state: "missing", words: "", command: "" } };
  const run = (key: string): Run => ({ key, title: key, detail: "", place, look: 1 });
  const runs = [of(["k", 4], ["seed", 0]), missing, of(["k", 4], ["seed", 1], ["penalty", 2])];
  const rows = factRows(runs.map((facts, i) => ({ run: run(String(i)), facts, isLive: false })));
  expect(rows.map(({ name, values, differs }) => [name, values, differs])).toEqual([
    ["k", [4, undefined, 4], false],
    ["seed", [0, undefined, 1], true],
    ["penalty", [undefined, undefined, 2], true],
  ]);
});
