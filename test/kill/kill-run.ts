// Kills a training again and again on one folder and says whether it ended as if it had never been killed.

import { spawn } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createRng } from "../../src/numerics/rng.ts";
import { packageRoot } from "../../src/package-root.ts";
import { nodeArguments } from "../own-process.ts";
import type { ChildTask } from "./train-child.ts";
import { trainJob } from "./train-job.ts";

/** How a process is ended. */
export type Kill =
  /** SIGKILL from here, so many milliseconds after it said it had made so many steps (of this process). */
  | { kind: "time"; steps: number; delayMs: number }
  /** SIGKILL of itself at its n-th file-system call on the folder. */
  | { kind: "call"; call: number; torn: boolean };

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** First and last step it reported; 0 when none. */
  firstStep: number;
  lastStep: number;
  stderr: string;
}

/** A child that is silent for so long is a hang. */
const DEADLINE_MS = 120_000;

/** Runs the child until it ends. onStep: after each reported step, with the child, e.g. to send it a signal. */
export function runChild(
  task: ChildTask,
  onStep: (steps: number, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<ChildResult> {
  const child = spawn(process.execPath, [...nodeArguments("test/kill/train-child"), JSON.stringify(task)], {
    cwd: packageRoot(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const result: ChildResult = { code: null, signal: null, firstStep: 0, lastStep: 0, stderr: "" };
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const step = Number(/^step (\d+)$/.exec(line)?.[1]);
      if (!(step > 0)) continue;
      if (result.firstStep === 0) result.firstStep = step;
      result.lastStep = step;
      onStep(step - result.firstStep + 1, (signal) => child.kill(signal));
    }
  });
  child.stderr.on("data", (chunk: Buffer) => {
    result.stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${task.folder}: the training did not end within ${DEADLINE_MS / 1000} s`));
    }, DEADLINE_MS);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(deadline);
      resolve({ ...result, code, signal });
    });
  });
}

/** Starts a child and ends it as told. It may finish first: then its signal is null. */
export function killOnce(task: ChildTask, kill: Kill): Promise<ChildResult> {
  if (kill.kind === "call") return runChild({ ...task, suicide: kill });
  let aimed = false;
  return runChild(task, (steps, send) => {
    if (aimed || steps < kill.steps) return;
    aimed = true;
    setTimeout(() => send("SIGKILL"), kill.delayMs);
  });
}

/**
 * The kills of one folder, decided by the seed. Every other one by the clock, 1 to 12 steps after the start and up to 12 ms
 * later; the others at a file-system call on the folder: within the load of the last checkpoint and the opening of the log
 * (some 60 calls), the commits after it (some 45 each), or what comes after the last step.
 */
export function planKills(seed: number, kills: number): Kill[] {
  const rng = createRng(seed, "kills");
  return Array.from({ length: kills }, (_, i): Kill => {
    const [torn, a, b] = [rng.uniform(i, 0) < 0.5, rng.uniform(i, 1), rng.uniform(i, 2)];
    if ((i + seed) % 2 === 0)
      return { kind: "time", steps: 1 + Math.floor(12 * a), delayMs: Math.floor(12 * b) };
    return { kind: "call", call: Math.floor(200 * a), torn };
  });
}

export interface KillTally {
  /** Runs that were killed at least once and then finished, each on a folder of its own. */
  folders: number;
  /** Children that died of SIGKILL, by where; one that finished before its kill does not count. */
  kills: { inCommit: number; betweenCommits: number; atCall: number };
  /** Children that went on from a checkpoint. */
  resumes: number;
  /** What differed from the straight run, or went wrong; empty: nothing. */
  divergences: string[];
}

export const noKills = (): KillTally => ({
  folders: 0,
  kills: { inCommit: 0, betweenCommits: 0, atCall: 0 },
  resumes: 0,
  divergences: [],
});

export const killsOf = ({ kills }: KillTally): number => kills.inCommit + kills.betweenCommits + kills.atCall;

export function addTally(a: KillTally, b: KillTally): KillTally {
  return {
    folders: a.folders + b.folders,
    kills: {
      inCommit: a.kills.inCommit + b.kills.inCommit,
      betweenCommits: a.kills.betweenCommits + b.kills.betweenCommits,
      atCall: a.kills.atCall + b.kills.atCall,
    },
    resumes: a.resumes + b.resumes,
    divergences: [...a.divergences, ...b.divergences],
  };
}

/** Kills as planned on one folder, lets the run finish, compares what it left with `straight`, and removes it if equal. */
export async function killAndFinish(
  task: ChildTask,
  { plan, straight }: { plan: Kill[]; straight: Map<string, string> },
): Promise<KillTally> {
  const tally = noKills();
  const seen = ({ code, signal, firstStep, stderr }: ChildResult): void => {
    if (firstStep > 1) tally.resumes += 1;
    if (code !== 0 && signal !== "SIGKILL")
      tally.divergences.push(`${task.folder}: exit ${code ?? signal}: ${stderr.trim()}`);
  };
  for (const kill of plan) {
    const result = await startOver(() => killOnce(task, kill));
    seen(result);
    if (result.signal !== "SIGKILL") break; // It finished first.
    const inCommit =
      kill.kind === "time" && (await readNames(join(task.folder, "checkpoints"))).some(isTemporary);
    tally.kills[kill.kind === "call" ? "atCall" : inCommit ? "inCommit" : "betweenCommits"] += 1;
  }
  seen(await startOver(() => runChild(task)));
  for (const difference of differences(straight, await outcomeOf(task.folder)))
    tally.divergences.push(`${task.folder}: ${difference} (${JSON.stringify(plan)})`);
  tally.folders = 1;
  if (tally.divergences.length === 0) await rm(task.folder, { recursive: true });
  return tally;
}

/** Starts again, as a person would, while a lock without an owner in it is there: it is believed to be in use for 10 s. */
async function startOver(start: () => Promise<ChildResult>): Promise<ChildResult> {
  for (let tries = 0; ; tries += 1) {
    const result = await start();
    if (tries === 20 || !result.stderr.includes("a process that is just starting holds the lock"))
      return result;
    await sleep(1000);
  }
}

const isTemporary = (name: string): boolean => name.includes(".tmp-");

/** Names in a folder; none when it is not there yet. */
const readNames = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const KILLS_A_FOLDER = 5;

/** At least so many kills, on as many folders as that takes, one after another. Seeds count up from `seed` by `stride`. */
export async function killMany(options: {
  kills: number;
  seed: number;
  stride: number;
  taskOf: (seed: number) => ChildTask;
  straight: Map<string, string>;
  onFolder?: (tally: KillTally) => void;
}): Promise<KillTally> {
  const { kills, seed, stride, taskOf, straight, onFolder = () => {} } = options;
  let tally = noKills();
  for (let folderSeed = seed; killsOf(tally) < kills; folderSeed += stride) {
    const plan = planKills(folderSeed, Math.min(KILLS_A_FOLDER, kills - killsOf(tally)));
    const one = await killAndFinish(taskOf(folderSeed), { plan, straight });
    tally = addTally(tally, one);
    onFolder(one);
  }
  return tally;
}

/** Keys that hold times, or which process did what part. */
const NOT_COMPARED = new Set(["rowsPerSecond", "seconds", "resumedFromStep"]);

/** What a run left: every file below the folder, as text that is equal for equal results. */
export async function outcomeOf(folder: string): Promise<Map<string, string>> {
  const outcome = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const withoutTimes = (text: string): string =>
      JSON.stringify(JSON.parse(text), (key, value) => (NOT_COMPARED.has(key) ? undefined : value));
    const text =
      entry.name === "training.json"
        ? withoutTimes(bytes.toString())
        : entry.name === "metrics.jsonl"
          ? bytes.toString().trimEnd().split("\n").map(withoutTimes).join("\n")
          : bytes.toString("latin1");
    outcome.set(path.slice(folder.length + 1), text);
  }
  return outcome;
}

/** One line for every file that is missing, new or different. */
export function differences(expected: Map<string, string>, got: Map<string, string>): string[] {
  const names = [...new Set([...expected.keys(), ...got.keys()])].sort();
  return names.flatMap((name) => {
    const [a, b] = [expected.get(name), got.get(name)];
    if (a === b) return [];
    if (a === undefined) return [`${name}: expected no such file`];
    if (b === undefined) return [`${name}: expected a file, found none`];
    const at = [...a].findIndex((character, i) => character !== b[i]);
    return [`${name}: differs from character ${at === -1 ? a.length : at} of ${a.length}`];
  });
}

/** Facts without which a kill proves little; throws when the straight run lacks one. */
export function requireTelling(straight: Map<string, string>, shards: number): void {
  const lines = (straight.get("metrics.jsonl") ?? "").split("\n").map((line) => JSON.parse(line));
  const record = JSON.parse(straight.get("training.json") ?? "{}");
  const { steps, batchRows } = trainJob(shards);
  const stepsPerEpoch = Math.floor(record.rows.trained / batchRows);
  const withAuxiliaryLoss = lines.filter(({ auxLoss }) => auxLoss > 0).length;
  if (!(withAuxiliaryLoss > steps / 2))
    throw new Error(`expected the auxiliary loss to act, it did in ${withAuxiliaryLoss} of ${steps} steps`);
  if (!(stepsPerEpoch > 5 && 2 * stepsPerEpoch < steps))
    throw new Error(`expected two epoch boundaries within ${steps} steps, an epoch is ${stepsPerEpoch}`);
}
