import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFileMemo } from "./file-memo.ts";

let folder: string;
let path: string;
let reads: number;
let closed: number[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-memo-"));
  path = join(folder, "a");
  reads = 0;
  closed = [];
  await writeFile(path, "one");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const kept = () => ({
  key: "a",
  paths: [path],
  read: async () => {
    reads += 1;
    const value = reads;
    return { value, close: () => void closed.push(value) };
  },
});
const replace = async (text: string): Promise<void> => {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
};

test("a value is read once until its file is replaced, even by one of the same size", async () => {
  const memo = createFileMemo();
  const both = await Promise.all([memo.use(kept(), (value) => value), memo.use(kept(), (value) => value)]);
  expect(both).toEqual([1, 1]);
  await replace("two");
  expect(await memo.use(kept(), (value) => value)).toBe(2);
  expect(closed).toEqual([1]);
  await rm(path);
  expect(await memo.use(kept(), (value) => value)).toBe(3);
});

test("a value in use is closed only when its last user is done", async () => {
  const memo = createFileMemo();
  let finish = (): void => {};
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  // Its user has the value before the file is replaced: until then it would rightly get the new one.
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const long = memo.use(kept(), () => {
    begin();
    return held;
  });
  await begun;
  await memo.use(kept(), () => undefined);
  await replace("two");
  expect(await memo.use(kept(), (value) => value)).toBe(2);
  await memo.clear();
  expect(closed).toEqual([2]);
  finish();
  await long;
  expect(closed).toEqual([2, 1]);
});

test("a reading that fails is not kept", async () => {
  const memo = createFileMemo();
  const failing = { ...kept(), read: () => Promise.reject(new Error("bad")) };
  await expect(memo.use(failing, () => 0)).rejects.toThrow("bad");
  expect(await memo.use(kept(), (value) => value)).toBe(1);
});
