// Things that several test files need and that take seconds to make: made by the first that asks in a run, for all of it.
//
// Test files run in processes of their own, so the place is a folder of the run (test/global-setup.ts), and who makes it is whoever
// can make a folder beside it. What is shared is only read; a test that writes takes a copy.

import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const LOOK_EVERY_MS = 50;
/** The one that makes it has died or hangs. */
const DEADLINE_MS = 110_000;

/**
 * Path of the folder that `make` has filled, in this run of the tests. make is given an empty folder, which stays where it is; when
 * it fails, all who wait fail with its words.
 */
export async function madeOnce(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const run = process.env.TUNEDIFF_TEST_RUN;
  if (run === undefined)
    throw new Error("TUNEDIFF_TEST_RUN is not set: expected test/global-setup.ts to be run");
  const folder = join(run, name);
  try {
    await mkdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    await waitFor(folder);
    return folder;
  }
  try {
    await make(folder);
  } catch (error) {
    await writeFile(`${folder}.failed`, String(error));
    throw error;
  }
  await writeFile(`${folder}.done`, "");
  return folder;
}

async function waitFor(folder: string): Promise<void> {
  for (let waited = 0; waited < DEADLINE_MS; waited += LOOK_EVERY_MS) {
    if (existsSync(`${folder}.done`)) return;
    if (existsSync(`${folder}.failed`))
      throw new Error(`${folder} was not made: ${await readFile(`${folder}.failed`, "utf8")}`);
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`${folder} was not made within ${DEADLINE_MS / 1000} s`);
}
