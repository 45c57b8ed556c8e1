// The training log of a dictionary: all its lines, and those that come while a run goes on. Read-only; the trainer never notices.
//
// A trainer that is resumed writes its log anew and shorter (training/metrics.ts): the stream then begins again from the first step it has
// not sent. A torn last line waits for its end.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, readFully } from "../formats/disk.ts";
import { isTrainingLine, METRICS_FILE, type MetricsEntry } from "../training/metrics.ts";
import type { TrainingLine } from "./api-contract.ts";

export const TRAINING_STREAM = {
  pollMs: 1000,
} as const;

/** All whole lines of metrics.jsonl that are of training batches; empty where there is none. */
export async function readTrainingLines(dictionaryFolder: string): Promise<TrainingLine[]> {
  return (await readFrom(join(dictionaryFolder, METRICS_FILE), 0)).lines;
}

/** Those lines, then new ones in batches until the signal is aborted. */
export async function* followTraining(
  dictionaryFolder: string,
  { signal, pollMs = TRAINING_STREAM.pollMs }: { signal: AbortSignal; pollMs?: number },
): AsyncGenerator<TrainingLine[]> {
  const path = join(dictionaryFolder, METRICS_FILE);
  let position = 0;
  let lastStep = -1;
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const read = await readFrom(path, position);
    position = read.position;
    const lines = read.lines.filter(({ step }) => step > lastStep);
    lastStep = lines.at(-1)?.step ?? lastStep;
    if (isFirst || lines.length > 0) yield lines;
    await sleep(pollMs, undefined, { signal, ref: false }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** Lines that begin at `position` or, in a file that is shorter by now, at its start; and where the next one begins. */
async function readFrom(
  path: string,
  position: number,
): Promise<{ lines: TrainingLine[]; position: number }> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      const from = size < position ? 0 : position;
      const bytes = new Uint8Array(size - from);
      const text = Buffer.from(bytes.subarray(0, await readFully(handle, bytes, from)));
      const end = text.lastIndexOf(10) + 1;
      return { lines: linesOf(text.subarray(0, end).toString("utf8")), position: from + end };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { lines: [], position: 0 };
    throw error;
  }
}

function linesOf(text: string): TrainingLine[] {
  return text.split("\n").flatMap((line) => {
    if (line === "") return [];
    let entry: MetricsEntry;
    try {
      entry = JSON.parse(line) as MetricsEntry;
    } catch {
      return []; // a line that a crash left torn
    }
    if (!isTrainingLine(entry)) return [];
    const { step, loss, fve, l0, dead } = entry;
    return [{ step, loss, l0, dead, fve: fveOf(fve) }];
  });
}

/** By site name ("base-L4"), pooled under "total". */
function fveOf(fve: Record<string, number>): TrainingLine["fve"] {
  const of = (side: string): number =>
    Object.entries(fve).find(([name]) => name.startsWith(side))?.[1] ?? Number.NaN;
  return { base: of("base"), finetuned: of("finetuned"), total: fve.total };
}
