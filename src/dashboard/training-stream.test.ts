import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { METRICS_FILE } from "../training/metrics.ts";
import type { TrainingLine } from "./api-contract.ts";
import { followTraining, readTrainingLines } from "./training-stream.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-training-"));
  path = join(folder, METRICS_FILE);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const line = (step: number): string =>
  `${JSON.stringify({ step, loss: 1 / step, l0: 4, dead: 1, fve: { "base-L1": 0.5, "finetuned-L1": 0.6, total: 0.55 } })}\n`;

test("lines of training batches are given, those of validation and a torn end are not", async () => {
  expect(await readTrainingLines(folder)).toEqual([]);
  await writeFile(
    path,
    `${line(1)}${JSON.stringify({ kind: "validation", step: 1 })}\n${line(2)}{"step":3,"lo`,
  );
  expect(await readTrainingLines(folder)).toEqual([
    { step: 1, loss: 1, l0: 4, dead: 1, fve: { base: 0.5, finetuned: 0.6, total: 0.55 } },
    { step: 2, loss: 0.5, l0: 4, dead: 1, fve: { base: 0.5, finetuned: 0.6, total: 0.55 } },
  ]);
});

test("a run that goes on, is torn in a line, and is resumed with a shorter log gives every step once", async () => {
  const stop = new AbortController();
  const stream = followTraining(folder, { signal: stop.signal, pollMs: 5 });
  const next = async (): Promise<number[]> => {
    const { value } = await stream.next();
    return ((value ?? []) as TrainingLine[]).map(({ step }) => step);
  };
  expect(await next()).toEqual([]);
  await writeFile(path, line(1) + line(2).slice(0, 9));
  expect(await next()).toEqual([1]);
  await appendFile(path, line(2).slice(9) + line(3));
  expect(await next()).toEqual([2, 3]);
  await writeFile(path, line(1) + line(2)); // resumed after step 2
  const waiting = next();
  await new Promise((resolve) => setTimeout(resolve, 40)); // several polls of the shorter file
  await appendFile(path, line(3) + line(4));
  expect(await waiting).toEqual([4]);
  const last = stream.next();
  stop.abort();
  expect((await last).done).toBe(true);
});
