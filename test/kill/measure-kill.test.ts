// Real SIGKILLs of a measuring pass: killed at seeded places and started again, it ends with the files of one never killed.

import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../../src/dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../../src/dictionary/dictionary-file.ts";
import { randomDocuments, writeDiskStore } from "../../src/measure/disk-store.test.helper.ts";
import { openExamples } from "../../src/measure/measure.ts";
import { createRng } from "../../src/numerics/rng.ts";
import { nodeArguments } from "../own-process.ts";

const N_LATENTS = 24;
const KILLS = Number(process.env.TUNEDIFF_MEASURE_KILLS ?? 3);
let root: string;
const storeFolder = () => join(root, "store");

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-measure-kill-"));
  const dictionary = randomDictionary({ widths: [6, 6], nLatents: N_LATENTS });
  await saveDictionary(join(root, "made"), dictionary);
  await writeDiskStore(storeFolder(), dictionary.sites, randomDocuments(12, 100));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** killAfter: reports of progress after which the process is killed; undefined: never. Resolves to whether it ended by itself. */
function runChild(folder: string, killAfter?: number): Promise<{ finished: boolean; firstDone: number }> {
  const script = nodeArguments("test/kill/measure-child");
  const child = spawn(process.execPath, [...script, storeFolder(), folder]);
  let stderr = "";
  let reports = 0;
  let firstDone = 0;
  child.stderr.on("data", (data: Buffer) => {
    stderr += data;
  });
  child.stdout.on("data", (data: Buffer) => {
    const lines = data.toString().trim().split("\n");
    if (reports === 0) firstDone = Number(lines[0]);
    reports += lines.length;
    if (killAfter !== undefined && reports >= killAfter) child.kill("SIGKILL");
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve({ finished: code === 0, firstDone });
      else reject(new Error(`exit code ${code}: ${stderr}`));
    });
  });
}

/** Bytes of the tables, and every example (SQLite's own bytes hold counters of its own). */
async function outcomeOf(folder: string): Promise<object> {
  const read = (name: string) => readFile(join(folder, "tables", name));
  const examples = openExamples(folder);
  try {
    return {
      table: (await read("measure.parquet")).toString("base64"),
      summary: (await read("measure.json")).toString(),
      examples: Array.from({ length: N_LATENTS }, (_, latent) => [
        examples.ofLatent(latent, 99),
        examples.sampleOfLatent(latent),
      ]),
      left: (await readdir(folder)).sort(),
    };
  } finally {
    examples.close();
  }
}

test(`${KILLS} kills at seeded places: every measurement ends with the files of one never killed`, async () => {
  const copy = async (name: string): Promise<string> => {
    await cp(join(root, "made"), join(root, name), { recursive: true });
    return join(root, name);
  };
  const straight = await copy("straight");
  expect(await runChild(straight)).toMatchObject({ finished: true });
  const expected = await outcomeOf(straight);

  const rng = createRng(1, "measure kills");
  let resumedPart = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const folder = await copy(`killed-${kill}`);
    await runChild(folder, 2 + Math.floor(17 * rng.uniform(0, kill)));
    const { finished, firstDone } = await runChild(folder);
    expect(finished).toBe(true);
    if (firstDone > 150) resumedPart += 1;
    expect(await outcomeOf(folder)).toEqual(expected);
  }
  expect(resumedPart).toBeGreaterThan(0); // some went on with what was committed before the kill
}, 240_000);
