// metrics.jsonl followed from outside: what it holds, and at every look what has come since. Read-only; the trainer never notices.
//
// A torn last line waits for its end. A trainer that is resumed writes its log anew and shorter (training/metrics.ts): kept lines are
// the same, so the follower goes on after the last step it has given. A log whose first line is another one is of another
// training: it is given from its start, marked as a reset.

import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { errorCode, readFully } from "../formats/disk.ts";
import {
  isTrainingLine,
  type MetricsEntry,
  type MetricsLine,
  type ValidationLine,
} from "../training/metrics.ts";
import type { TrainingLine, TrainingValidation } from "./api-contract.ts";
import { createLineThinner } from "./thin-lines.ts";

const CHUNK_BYTES = 2 ** 20;
const NEWLINE = 10;

/** What one look at a log gives. */
export interface LogNews {
  /** What was given before is not of this log. */
  reset: boolean;
  /** Thinned when many come at once. */
  lines: TrainingLine[];
  /** Of the whole log. */
  nLines: number;
  validations: TrainingValidation[];
  passedSteps: number[];
}

export interface LogFollower {
  /** What has come since the last look; the first look gives everything, as a reset. Empty where there is no log. */
  look(): Promise<LogNews>;
}

interface Progress {
  inode: bigint;
  position: number;
  firstLine: string;
  lastStep: number;
  lastValidation: number;
  lastPassed: number;
  nLines: number;
}

const START: Progress = {
  ...{ inode: -1n, position: 0, firstLine: "", lastStep: -1, lastValidation: -1, lastPassed: -1, nLines: 0 },
};

export function followLog(path: string): LogFollower {
  let at: Progress = { ...START };
  let isFirst = true;
  return {
    async look() {
      const news = await read(path, at);
      at = news.at;
      const reset = isFirst || news.reset;
      isFirst = false;
      return { ...news.news, reset };
    },
  };
}

async function read(
  path: string,
  last: Progress,
): Promise<{ at: Progress; reset: boolean; news: Omit<LogNews, "reset"> }> {
  const nothing = { lines: [], validations: [], passedSteps: [] };
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, "r");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return { at: { ...START }, reset: last.inode !== START.inode, news: { ...nothing, nLines: 0 } };
  }
  try {
    const { size, ino } = await handle.stat({ bigint: true });
    const isSame = ino === last.inode && Number(size) >= last.position;
    const at: Progress = isSame ? { ...last } : { ...last, inode: ino, position: 0, nLines: 0 };
    let reset = false;
    const thinner = createLineThinner();
    const news = { validations: [] as TrainingValidation[], passedSteps: [] as number[] };
    for await (const line of wholeLines(handle, at)) {
      if (at.firstLine !== line.text && line.start === 0) {
        reset = last.firstLine !== "";
        Object.assign(at, { ...START, inode: ino, position: at.position, firstLine: line.text });
      }
      const entry = parsed(line.text);
      if (entry === undefined) continue;
      if (isTrainingLine(entry)) {
        at.nLines += 1;
        if (entry.step > at.lastStep) thinner.add([trainingLine(entry)]);
        at.lastStep = Math.max(at.lastStep, entry.step);
      } else if (entry.kind === "validation") {
        // The one of the calibrated θ is of the same step as the one before it.
        const order = entry.step * 2 + Number(entry.calibrated);
        if (order > at.lastValidation) news.validations.push(validation(entry));
        at.lastValidation = Math.max(at.lastValidation, order);
      } else if (entry.kind === "nonFinite") {
        if (entry.batchStep > at.lastPassed) news.passedSteps.push(entry.batchStep);
        at.lastPassed = Math.max(at.lastPassed, entry.batchStep);
      }
    }
    return { at, reset, news: { lines: thinner.lines(), ...news, nLines: at.nLines } };
  } finally {
    await handle.close();
  }
}

/** Lines that have their end, from at.position, which moves with them; gives the event loop turns. */
async function* wholeLines(
  handle: Awaited<ReturnType<typeof open>>,
  at: Progress,
): AsyncGenerator<{ start: number; text: string }> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let position = at.position; ; ) {
    const bytes = chunk.subarray(0, await readFully(handle, chunk, position));
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      yield { start: position + from, text: bytes.toString("utf8", from, end) };
      from = end + 1;
    }
    const isEnd = bytes.length < CHUNK_BYTES;
    // A "line" longer than a chunk is none of ours: gone past.
    position += from === 0 && !isEnd ? bytes.length : from;
    at.position = position;
    if (isEnd) return;
    await setImmediate();
  }
}

function parsed(text: string): MetricsEntry | undefined {
  try {
    const entry = JSON.parse(text) as MetricsEntry | null;
    return typeof entry === "object" && entry !== null && Number.isFinite(entry.step) ? entry : undefined;
  } catch {
    return undefined; // a line that a crash left torn
  }
}

/** A number; null for what is not finite or not there. */
const finite = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

const OPTIONAL = [
  ...(["auxLoss", "penaltyLoss", "penalty", "threshold", "gradientNorm", "learningRate", "k"] as const),
  "rowsPerSecond",
] as const;

function trainingLine(entry: MetricsLine): TrainingLine {
  const line: TrainingLine = {
    ...{ step: entry.step, loss: finite(entry.loss), fve: fveOf(entry.fve) },
    ...{ l0: finite(entry.l0), dead: finite(entry.dead) },
  };
  for (const name of OPTIONAL) if (entry[name] !== undefined) line[name] = finite(entry[name]);
  return line;
}

function validation(entry: ValidationLine): TrainingValidation {
  const { step, calibrated, threshold } = entry;
  const figures = "fve" in entry ? entry : { fve: {}, l0: null, deadFraction: null };
  return {
    ...{ step, calibrated, threshold: finite(threshold), fve: fveOf(figures.fve) },
    ...{ l0: finite(figures.l0), deadFraction: finite(figures.deadFraction) },
  };
}

/** By site name ("base-L4"), pooled under "total". */
function fveOf(fve: Record<string, number> | undefined): TrainingLine["fve"] {
  const of = (side: string): number | null =>
    finite(Object.entries(fve ?? {}).find(([name]) => name.startsWith(side))?.[1]);
  return { base: of("base"), finetuned: of("finetuned"), total: finite(fve?.total) };
}
