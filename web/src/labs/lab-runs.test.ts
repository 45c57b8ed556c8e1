// Runs of a lab as their events come: merged, cancelled, cut off, kept.

import { expect, test, vi } from "vitest";
import type { LabProgress, SteerEvent, SteerRequest } from "../../../src/dashboard/api-contract.ts";
import { RequestError } from "../request-error.ts";
import { LAB_FIGURES } from "./lab-limits.ts";
import { createLabRuns } from "./lab-runs.ts";
import {
  EMPTY_STEER,
  mergeSteerEvent,
  type SteerResult,
  steerCsv,
  steerJson,
  summariseArms,
} from "./steer-result.ts";

type Event = Exclude<SteerEvent, LabProgress>;
const PROGRESS: LabProgress = { kind: "progress", words: "loading", done: 0, total: 4 };
const DONE: Event = { kind: "done", warnings: ["slow"] };
const token = (arm: string, text: string): Event => ({ kind: "token", arm, prompt: 0, seed: 0, text });
const answer = (arm: string, text: string, more: object = {}): Event =>
  ({
    ...{ kind: "answer", arm, prompt: 0, seed: 0, text, tokens: 2, perplexity: 3, repetition: 0.5 },
    ...{ degenerate: "", ...more },
  }) as Event;
const REQUEST: SteerRequest = {
  latents: [{ latent: 1, factor: 1 }],
  unit: "activation",
  positions: "all",
  prompts: [{ text: '=1+"1"' }],
  temperature: 0,
  seeds: [0],
  maxNewTokens: 5,
  models: "both",
};
const merged = (events: readonly Event[]): SteerResult => events.reduce(mergeSteerEvent, EMPTY_STEER);
const texts = ({ answers }: SteerResult): string[] => [...answers.values()].map(({ text }) => text);

/** Waits for everything that has been promised by now. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

function runsOf(ask: (signal: AbortSignal) => AsyncIterable<Event | LabProgress>) {
  return createLabRuns<SteerRequest, Event, SteerResult>({
    ask: (_, signal) => ask(signal),
    empty: EMPTY_STEER,
    merge: mergeSteerEvent,
    isLast: ({ kind }) => kind === "done",
  });
}

test("pieces join to an answer, the whole answer takes their place, and later pieces change nothing", () => {
  const events = [token("base", "Pa"), token("finetuned", "x"), token("base", "ris")];
  expect(texts(merged(events))).toEqual(["Paris", "x"]);
  const whole = [...events, answer("base", "Paris."), token("base", "again")];
  expect(texts(merged(whole))).toEqual(["Paris.", "x"]);
  expect([...merged(whole).answers.values()].map(({ isWhole }) => isWhole)).toEqual([true, false]);
  expect(merged([DONE]).warnings).toEqual(["slow"]);
});

test("merging leaves what was there as it was", () => {
  const before = merged([token("base", "Pa")]);
  mergeSteerEvent(before, token("base", "ris"));
  expect(texts(before)).toEqual(["Pa"]);
});

test("the arms are counted over whole answers: changed ones against the same model untouched", () => {
  const result = merged([
    ...[answer("base", "a", { perplexity: null }), answer("base + latents", "b", { degenerate: "babble" })],
    ...[answer("finetuned", "c"), token("finetuned − latents", "c")],
  ]);
  expect(summariseArms(result, "both")).toEqual([
    { arm: "base", answers: 1, changed: null, degenerate: 0, perplexity: Number.NaN },
    { arm: "base + latents", answers: 1, changed: 1, degenerate: 1, perplexity: 3 },
    { arm: "finetuned", answers: 1, changed: null, degenerate: 0, perplexity: 3 },
    { arm: "finetuned − latents", answers: 0, changed: 0, degenerate: 0, perplexity: Number.NaN },
  ]);
  expect(summariseArms(result, "base").map(({ arm }) => arm)).toEqual(["base", "base + latents"]);
});

test("files have the answers in the order of the screen; no cell of the CSV is a formula", () => {
  const result = merged([answer("finetuned", '-a,"b"\nc'), answer("base", "@x", { perplexity: null })]);
  const [header, first, second] = steerCsv(result, REQUEST).split("\r\n");
  expect(header).toBe("prompt,asked,seed,arm,answer,whole,tokens,perplexity,repetition,degenerate");
  expect(first).toBe(`0,"'=1+""1""",0,base,'@x,yes,2,,0.5,`);
  expect(second).toBe(`0,"'=1+""1""",0,finetuned,"'-a,""b""\nc",yes,2,3,0.5,`);
  const file = JSON.parse(steerJson(result, REQUEST, { study: "s", dictionary: "d", state: "done" }));
  expect(file.request).toEqual(REQUEST);
  expect(file.answers.map(({ arm }: { arm: string }) => arm)).toEqual(["base", "finetuned"]);
  expect(file.answers[1].text).toBe('-a,"b"\nc');
});

test("a run's beginning and end are told at once, what comes between them together; every step is a new object", async () => {
  vi.useFakeTimers();
  try {
    const { drawEveryMs } = LAB_FIGURES;
    const runs = runsOf(async function* () {
      yield PROGRESS;
      yield token("base", "a");
      await new Promise((resolve) => setTimeout(resolve, 2 * drawEveryMs));
      yield token("base", "b");
      yield DONE;
    });
    const seen: string[] = [];
    const steps = new Set<object>();
    runs.subscribe(() => {
      const [run] = runs.list();
      seen.push(`${run.state} ${run.progress?.words ?? "-"} ${texts(run.result)}`);
      steps.add(run);
    });
    runs.start(REQUEST);
    expect(seen).toEqual(["running - "]);
    await vi.advanceTimersByTimeAsync(drawEveryMs - 1);
    expect(seen).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.slice(1)).toEqual(["running loading a"]);
    await vi.advanceTimersByTimeAsync(drawEveryMs);
    expect(seen.slice(2)).toEqual(["done - ab"]);
    expect(steps.size).toBe(3);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("a stream that ends early, breaks or is refused keeps what came and says which it was", async () => {
  const end = async (last: () => void): Promise<[string, string, string[]]> => {
    const runs = runsOf(async function* () {
      yield token("base", "kept");
      last();
    });
    runs.start(REQUEST);
    await settle();
    const { state, error, result } = runs.list()[0];
    return [state, error?.message ?? "", texts(result)];
  };
  const lost = "The connection was lost before everything had come.";
  expect(await end(() => undefined)).toEqual(["failed", lost, ["kept"]]);
  const broken = (): void => {
    throw new TypeError("network error");
  };
  expect(await end(broken)).toEqual(["failed", lost, ["kept"]]);
  const refused = (): void => {
    throw new RequestError(409, { error: "busy", hint: "wait" });
  };
  expect(await end(refused)).toEqual(["failed", "busy", ["kept"]]);
});

test("cancelling aborts the request, keeps what came, and takes no more", async () => {
  const signals: AbortSignal[] = [];
  let go = (): void => undefined;
  const runs = runsOf(async function* (signal) {
    signals.push(signal);
    yield token("base", "a");
    await new Promise<void>((resolve) => {
      go = resolve;
    });
    yield token("base", "b");
    yield DONE;
  });
  const id = runs.start(REQUEST);
  await settle();
  runs.cancel(id);
  go();
  await settle();
  expect(signals[0].aborted).toBe(true);
  expect([runs.list()[0].state, texts(runs.list()[0].result)]).toEqual(["cancelled", ["a"]]);
  runs.start(REQUEST);
  await settle();
  runs.start(REQUEST);
  expect(runs.list().map(({ state }) => state)).toEqual(["running", "cancelled", "cancelled"]);
});

test("the list is bounded and the newest run stands first", async () => {
  const runs = runsOf(async function* () {
    yield DONE;
  });
  for (let i = 0; i < LAB_FIGURES.keptRuns + 5; i += 1) {
    runs.start(REQUEST);
    await settle();
  }
  expect(runs.list().map(({ id }) => id)).toEqual(
    Array.from({ length: LAB_FIGURES.keptRuns }, (_, i) => LAB_FIGURES.keptRuns + 5 - i),
  );
});
