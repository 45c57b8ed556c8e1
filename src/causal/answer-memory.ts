// Answers of a long steering job that were made already, in a JSONL file: a stopped job goes on from them.
//
// The first line names everything that the answers depend on besides their keys; a file of another job is begun anew.

import { rm } from "node:fs/promises";
import { FormatError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { appendJsonLine, readJsonLines } from "../formats/jsonl.ts";
import type { ModelAnswer } from "./steered-model.ts";

export interface AnswerMemory {
  get(key: string): ModelAnswer[] | undefined;
  put(key: string, answers: ModelAnswer[]): Promise<void>;
}

interface MemoryLine {
  key: string;
  answers: ModelAnswer[];
}

/** identity: hashes of models, dictionary and prompts, and the options. Remove the file when the job's result is written. */
export async function openAnswerMemory(path: string, identity: object): Promise<AnswerMemory> {
  const known = await readKnown(path, identity);
  if (known === undefined) {
    await rm(path, { force: true });
    await appendJsonLine(path, { identity });
  }
  const answers = known ?? new Map<string, ModelAnswer[]>();
  return {
    get: (key) => answers.get(key),
    async put(key, made) {
      answers.set(key, made);
      await appendJsonLine(path, { key, answers: made } satisfies MemoryLine);
    },
  };
}

/** Undefined: there is no file, or it is of another job or damaged; answers are derived data and can be made again. */
async function readKnown(path: string, identity: object): Promise<Map<string, ModelAnswer[]> | undefined> {
  const answers = new Map<string, ModelAnswer[]>();
  try {
    let isOwn = false;
    for await (const { line, value } of readJsonLines(path, { tolerateTornEnd: true })) {
      if (line === 1) {
        isOwn = canonicalJson((value as { identity?: unknown }).identity ?? null) === canonicalJson(identity);
        if (!isOwn) return undefined;
      } else {
        const { key, answers: made } = value as MemoryLine;
        answers.set(key, made);
      }
    }
    return isOwn ? answers : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
