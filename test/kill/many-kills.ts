// Kills trainings as often as asked and prints what came of it: npx tsx test/kill/many-kills.ts --kills 300 [--shards 3] [--seed 0]
//
// Ends with status 1 when any run ended with other bytes than one that was never killed; its folder is kept then.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  addTally,
  type KillTally,
  killMany,
  killsOf,
  noKills,
  outcomeOf,
  requireTelling,
  runChild,
} from "./kill-run.ts";
import { writeJobStore } from "./train-job.ts";

const LANES = 2;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "300" },
      shards: { type: "string", default: "3" },
      seed: { type: "string", default: "0" },
    },
  });
  const [kills, shards, seed] = [values.kills, values.shards, values.seed].map((text) => {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number < 0) throw new Error(`expected a whole number, got ${text}`);
    return number;
  });
  const parent = await mkdtemp(join(tmpdir(), "tunediff-kills-"));
  const started = performance.now();
  const task = (name: string) => ({ store: join(parent, "store"), folder: join(parent, name), shards });
  await writeJobStore(join(parent, "store"));
  const first = await runChild(task("straight"));
  if (first.code !== 0) throw new Error(`the run that is not killed failed: ${first.stderr}`);
  const straight = await outcomeOf(join(parent, "straight"));
  requireTelling(straight, shards);

  let tally = noKills();
  const onFolder = (one: KillTally): void => {
    tally = addTally(tally, one);
    process.stderr.write(`${killsOf(tally)} kills, ${tally.divergences.length} divergences\n`);
  };
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    killMany({
      kills: Math.floor((kills + lane) / LANES),
      seed: 1000 * seed + lane,
      stride: LANES,
      taskOf: (folderSeed) => task(`killed-${folderSeed}`),
      straight,
      onFolder,
    }),
  );
  await Promise.all(lanes);

  const rows: [string, number][] = [
    ["runs finished", tally.folders],
    ["kills", killsOf(tally)],
    ["  by the clock, inside a commit", tally.kills.inCommit],
    ["  by the clock, elsewhere", tally.kills.betweenCommits],
    ["  at a file-system call", tally.kills.atCall],
    ["resumes", tally.resumes],
    ["shards", shards],
    ["seconds", Math.round((performance.now() - started) / 1000)],
    ["divergences", tally.divergences.length],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(34)}${String(value).padStart(7)}\n`);
  for (const divergence of tally.divergences) process.stdout.write(`${divergence}\n`);
  if (tally.divergences.length > 0) return 1;
  await rm(parent, { recursive: true });
  return 0;
}

process.exitCode = await main();
