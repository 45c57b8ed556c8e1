// Child of hostile-loading.test.ts: opens one folder as the fine-tune of a sound base and reports what it took.

import { readFileSync } from "node:fs";
import { inspectPair } from "../src/harvest/inspect-pair.ts";
import { openModel } from "../src/lm/adapter.ts";

const [base, finetuned] = process.argv.slice(2);

/** Peak resident bytes since the process began (Linux), which no later release can hide. */
function peakBytes(): number {
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}

const idle = peakBytes();
const before = process.cpuUsage();
let outcome = "opened";
try {
  await inspectPair({ base, finetuned });
  const checkpoint = await openModel(finetuned, { base });
  await checkpoint.close();
} catch (error) {
  outcome = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
const { user, system } = process.cpuUsage(before);
process.stdout.write(
  JSON.stringify({ outcome, cpuSeconds: (user + system) / 1e6, peakBytes: peakBytes(), idle }),
);
