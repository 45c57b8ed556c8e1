// Asks the guarded process, and kills it when it stops answering.
//
// One process for the whole program, started when first needed (about 70 ms) and again after a kill; it never keeps
// the program alive. A worker thread would be cheaper to start but cannot stand in: native code in a thread can be neither
// interrupted nor kept from ending the program, and a thread's heap limit does not bind what is outside the heap.
// What is asked is chat-template.ts's and encode-engine.ts's business.

import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { FormatError, StorageError } from "../errors.ts";
import { ownModule } from "../own-module.ts";
import type { GuardJob, GuardReply } from "./guard-protocol.ts";

export interface GuardLimits {
  /** Longest silence before an item counts as hung, milliseconds. */
  deadlineMs: number;
}

/** Room for a busy machine above the milliseconds that a chat takes, and below the two seconds promised. */
export const DEFAULT_DEADLINE_MS = 1500;
const START_DEADLINE_MS = 60_000;
const MAX_HEAP_MIB = 224;

interface Waiting {
  number: number;
  job: GuardJob;
  limits: GuardLimits;
  results: unknown[];
  timer?: NodeJS.Timeout;
  resolve(results: unknown[]): void;
  reject(error: Error): void;
}

let child: ChildProcess | undefined;
let ready: Promise<void> | undefined;
/** Engines that the running process has been sent. */
let sentEngines = new Set<string>();
let current: Waiting | undefined;
let last: Promise<unknown> = Promise.resolve();
let nJobs = 0;
/** Jobs that the running process has finished: what it ran out of may be their leavings. */
let nFinished = 0;

/** The process ended under a job for want of memory or a fault in native code. */
class GuardEndedError extends FormatError {
  /** Whether the process had done other jobs before this one. */
  isInherited = false;
}

function startChild(): { child: ChildProcess; ready: Promise<void> } {
  const { url, needsLoader } = ownModule(new URL("./guard-child", import.meta.url));
  const path = fileURLToPath(url);
  const loader = needsLoader
    ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
    : [];
  const { PATH, SystemRoot, TMPDIR } = process.env;
  const started = fork(path, [], {
    execArgv: [...loader, `--max-old-space-size=${MAX_HEAP_MIB}`],
    env: Object.fromEntries(
      Object.entries({ PATH, SystemRoot, TMPDIR }).filter(([, value]) => value !== undefined),
    ),
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    serialization: "advanced",
  });
  const isReady = new Promise<void>((resolve, reject) => {
    const fail = (reason: string) =>
      reject(new StorageError(`${path}: expected a helper process, got ${reason}`));
    const timer = setTimeout(() => fail("no sign of life"), START_DEADLINE_MS);
    started.on("message", (message: GuardReply) => {
      if (message.kind === "ready") {
        clearTimeout(timer);
        resolve();
      } else if (child === started) hear(message);
    });
    started.on("error", (cause) => fail(cause.message));
    started.on("exit", (code, signal) => {
      clearTimeout(timer);
      fail(`exit ${signal ?? code}`);
      if (child !== started) return;
      settle(
        new GuardEndedError(
          `the guarded process ended (${signal ?? `exit ${code}`}): out of memory or a fault in native code`,
        ),
      );
      forget();
    });
  });
  return { child: started, ready: isReady };
}

function forget(): void {
  child = undefined;
  ready = undefined;
  sentEngines = new Set();
  nFinished = 0;
}

/** While nobody waits, neither the process nor its channel keeps the program running. */
function hold(isHeld: boolean): void {
  if (child === undefined) return;
  const { channel } = child as ChildProcess & { channel?: { ref(): void; unref(): void } | null };
  if (isHeld) {
    child.ref();
    channel?.ref();
  } else {
    child.unref();
    channel?.unref();
  }
}

/** Answers whoever waits; before forget(), which loses count. */
function settle(error: Error | undefined): void {
  const waiting = current;
  if (waiting === undefined) return;
  current = undefined;
  clearTimeout(waiting.timer);
  if (error === undefined) {
    nFinished += 1;
    waiting.resolve(waiting.results);
    return;
  }
  if (error instanceof GuardEndedError) error.isInherited = nFinished > 0;
  waiting.reject(error);
}

function kill(error: Error): void {
  child?.kill("SIGKILL");
  settle(error);
  forget();
}

function restartTimer(waiting: Waiting): void {
  clearTimeout(waiting.timer);
  const { deadlineMs } = waiting.limits;
  waiting.timer = setTimeout(
    () => kill(new FormatError(`expected an answer within ${Math.round(deadlineMs)} ms, got none`)),
    deadlineMs,
  );
}

function hear(message: GuardReply): void {
  if (message.kind === "ready" || current === undefined) return;
  if (message.kind === "tooMuchMemory") {
    kill(new GuardEndedError("expected to stay within 450 MiB of memory, got more"));
    return;
  }
  if (message.job !== current.number) return;
  if (message.kind === "failed") {
    settle(new FormatError(message.reason));
    return;
  }
  current.results.push(message.result);
  if (current.results.length === current.job.items.length) settle(undefined);
  else restartTimer(current);
}

async function runJob(job: GuardJob, limits: GuardLimits): Promise<unknown[]> {
  if (job.items.length === 0) return [];
  if (child === undefined) {
    const started = startChild();
    child = started.child;
    ready = started.ready;
  }
  hold(true);
  try {
    await ready?.catch((cause: unknown) => {
      forget();
      throw cause;
    });
    let sent = job;
    if (job.kind !== "render") {
      const { engineJson: _, ...known } = job;
      if (sentEngines.has(job.engineKey)) sent = known;
      sentEngines.add(job.engineKey);
    }
    return await new Promise<unknown[]>((resolve, reject) => {
      nJobs += 1;
      const waiting: Waiting = { number: nJobs, job, limits, results: [], resolve, reject };
      current = waiting;
      restartTimer(waiting);
      child!.send({ number: waiting.number, job: sent }, (error) => {
        if (error && current === waiting)
          kill(new GuardEndedError(`expected a process that listens, got: ${error.message}`));
      });
    });
  } finally {
    hold(false);
  }
}

/**
 * Runs a job in the guarded process, one at a time; one result an item, in order.
 *
 * Throws FormatError (no place in its message: the caller knows whose fault it is) when an item takes longer than
 * deadlineMs, memory runs out, native code fails, or the template or tokenizer is bad. The process is new afterwards.
 */
export function askGuard(job: GuardJob, limits: GuardLimits): Promise<unknown[]> {
  const next = last.then(async () => {
    try {
      return await runJob(job, limits);
    } catch (cause) {
      // Memory that an earlier job used up is not this one's fault: once more, in a new process.
      if (cause instanceof GuardEndedError && cause.isInherited) return runJob(job, limits);
      throw cause;
    }
  });
  last = next.catch(() => undefined);
  return next;
}
