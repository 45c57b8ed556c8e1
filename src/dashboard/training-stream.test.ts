import { appendFile, mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ownIdentity } from "../formats/process-identity.ts";
import { METRICS_FILE, openMetricsLog } from "../training/metrics.ts";
import { RECORD_FILE } from "../training/training-record.ts";
import type { TrainingEvent } from "./api-contract.ts";
import { MOST_LINES } from "./thin-lines.ts";
import { readTrainingState, TRAINING_STATE } from "./training-state.ts";
import { followTrainings, readTrainingLines } from "./training-stream.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-training-"));
  path = join(folder, METRICS_FILE);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const line = (step: number, more: object = {}): string =>
  `${JSON.stringify({ step, loss: 1 / step, l0: 4, dead: 1, fve: { "base-L1": 0.5, "finetuned-L1": 0.6, total: 0.55 }, ...more })}\n`;
const shown = (step: number) => ({
  ...{ step, loss: 1 / step, l0: 4, dead: 1 },
  fve: { base: 0.5, finetuned: 0.6, total: 0.55 },
});

/** A stream of one folder, and its next event that holds a line or is a reset. */
function follow(pollMs = 5) {
  const stop = new AbortController();
  const stream = followTrainings([{ study: 0, dictionary: "main", folder }], { signal: stop.signal, pollMs });
  const event = async (): Promise<TrainingEvent> => (await stream.next()).value as TrainingEvent;
  const steps = async (): Promise<number[]> => {
    for (;;) {
      const { lines, reset } = await event();
      if (reset || lines.length > 0) return lines.map(({ step }) => step);
    }
  };
  return { stop, stream, event, steps };
}

test("lines of training batches are given, those of validation and a torn end are not", async () => {
  expect(await readTrainingLines(folder)).toEqual([]);
  await writeFile(
    path,
    `${line(1)}${JSON.stringify({ kind: "validation", step: 1 })}\n${line(2)}{"step":3,"lo`,
  );
  expect(await readTrainingLines(folder)).toEqual([shown(1), shown(2)]);
});

test("every quantity of a line is given, and what is not finite is null", async () => {
  const more = {
    ...{ auxLoss: 0.1, threshold: 0.2, gradientNorm: 3, learningRate: 1e-3, k: 4, rowsPerSecond: 5000 },
    ...{ loss: "NaN", penalty: 0.5, penaltyLoss: "Infinity", foreign: "x" },
  };
  await writeFile(path, `null\n[]\n${line(1, more)}`);
  const { foreign: _, ...known } = more;
  expect(await readTrainingLines(folder)).toEqual([{ ...shown(1), ...known, loss: null, penaltyLoss: null }]);
});

test("a run that goes on, is torn in a line, and is resumed with a shorter log gives every step once", async () => {
  const { stop, stream, steps } = follow();
  expect(await steps()).toEqual([]);
  await writeFile(path, line(1) + line(2).slice(0, 9));
  expect(await steps()).toEqual([1]);
  await appendFile(path, line(2).slice(9) + line(3));
  expect(await steps()).toEqual([2, 3]);
  await writeFile(path, line(1) + line(2)); // resumed after step 2
  const waiting = steps();
  await new Promise((resolve) => setTimeout(resolve, 40)); // several polls of the shorter file
  await appendFile(path, line(3) + line(4));
  expect(await waiting).toEqual([4]);
  const last = stream.next();
  stop.abort();
  expect((await last).done).toBe(true);
});

test("a resume that replaces the file between two looks, already longer, goes on after the last step", async () => {
  await writeFile(path, line(1) + line(2));
  const { stop, event } = follow();
  expect(await event()).toMatchObject({ reset: true, nLines: 2 });
  await writeFile(`${path}.new`, line(1) + line(2) + line(3) + line(4));
  await rename(`${path}.new`, path);
  expect(await event()).toMatchObject({ reset: false, nLines: 4, lines: [{ step: 3 }, { step: 4 }] });
  stop.abort();
});

test("another training in the same folder is given from its start, as a reset", async () => {
  await writeFile(path, line(1) + line(2) + line(3));
  const { stop, event } = follow();
  expect((await event()).lines).toHaveLength(3);
  await rm(path);
  expect(await event()).toMatchObject({ reset: true, lines: [], nLines: 0 });
  await writeFile(path, line(1, { rowsPerSecond: 7 }));
  expect(await event()).toMatchObject({ lines: [{ step: 1, rowsPerSecond: 7 }], nLines: 1 });
  await writeFile(`${path}.new`, line(1, { rowsPerSecond: 8 }) + line(2));
  await rename(`${path}.new`, path);
  expect(await event()).toMatchObject({ reset: true, lines: [{ rowsPerSecond: 8 }, { step: 2 }], nLines: 2 });
  stop.abort();
});

test("held-out figures and steps gone past come between the lines, each once", async () => {
  const validation = { kind: "validation", step: 2, threshold: 0.1, l0: 3, deadFraction: 0.2 };
  const fve = { "base-L1": 0.1, "finetuned-L1": 0.2, total: 0.15 };
  const passed = { kind: "nonFinite", step: 1, policy: "skip", batchStep: 1, loss: "NaN" };
  const log = [passed, { ...validation, calibrated: false, fve }, { ...validation, calibrated: true, fve }];
  await writeFile(path, line(1) + log.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const { stop, event } = follow();
  const first = await event();
  expect(first.passedSteps).toEqual([1]);
  expect(first.validations.map(({ calibrated }) => calibrated)).toEqual([false, true]);
  expect(first.validations[1]).toEqual({
    ...{ step: 2, calibrated: true, threshold: 0.1, l0: 3, deadFraction: 0.2 },
    fve: { base: 0.1, finetuned: 0.2, total: 0.15 },
  });
  await appendFile(path, line(3));
  expect(await event()).toMatchObject({ validations: [], passedSteps: [], lines: [{ step: 3 }], nLines: 2 });
  stop.abort();
});

test("a long log with a line that never ends in it is read whole, bounded, with its spike", async () => {
  const all = Array.from({ length: 12_000 }, (_, i) => line(i + 1, i === 4321 ? { loss: 1e6 } : {}));
  all.splice(8000, 0, `${"x".repeat(2_500_000)}\n`);
  await writeFile(path, all.join(""));
  const lines = await readTrainingLines(folder);
  expect(lines.length).toBeLessThanOrEqual(MOST_LINES);
  expect(lines.find(({ loss }) => loss === 1e6)?.step).toBe(4322);
  expect([lines[0].step, lines.at(-1)?.step]).toEqual([1, 12_000]);
});

test("two readers follow one trainer that is writing: both have every step once, and its log is whole", async () => {
  const log = await openMetricsLog(folder, 0);
  const followers = [follow(1), follow(2)];
  const nSteps = 120;
  const collected = followers.map(async ({ steps }) => {
    const seen: number[] = [];
    while (seen.at(-1) !== nSteps) seen.push(...(await steps()));
    return seen;
  });
  for (let step = 1; step <= nSteps; step += 1) await log.append(JSON.parse(line(step)));
  const expected = Array.from({ length: nSteps }, (_, i) => i + 1);
  expect(await Promise.all(collected)).toEqual([expected, expected]);
  for (const { stop } of followers) stop.abort();
  expect((await openMetricsLog(folder, nSteps)).last?.step).toBe(nSteps);
});

test("a training is live while it is held or its log grows, then stopped, and finished with its record", async () => {
  const kind = async (now?: number): Promise<string> =>
    (await readTrainingState(folder, now === undefined ? {} : { now })).kind;
  expect(await readTrainingState(folder)).toEqual({ kind: "none", changed: null });
  await writeFile(path, line(1));
  const written = new Date("2026-01-02T03:04:05Z");
  await utimes(path, written, written);
  expect(await kind(+written + TRAINING_STATE.quietMs - 1)).toBe("live");
  expect(await readTrainingState(folder, { now: +written + TRAINING_STATE.quietMs })).toEqual({
    ...{ kind: "stopped", changed: written.toISOString() },
  });
  await writeFile(join(folder, ".lock"), JSON.stringify(ownIdentity()));
  expect(await kind()).toBe("live");
  await writeFile(join(folder, ".lock"), JSON.stringify({ ...ownIdentity(), pid: 2 ** 30 }));
  expect(await kind(+written + 1)).toBe("stopped");
  await writeFile(join(folder, RECORD_FILE), "{}");
  expect(await kind()).toBe("finished");
});
