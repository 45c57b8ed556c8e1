// The folders whose test files run one after another in one process: nothing there outlives a file or reaches another.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { LONGEST, SHARED_FOLDERS } from "./run-order.ts";

/** A memo of what is always the same may stay. */
const MEMOS = ["src/compute/kernels.ts: let compiled"];
const STATE = /^(?:export )?(?:let \w+|const \w+(?::[^=]+)? = (?:new (?:Weak)?(?:Map|Set)\b|\[\]|\{\};))/gm;
const COMMON =
  /\bvi\.|\bprocess\.(?:env\.\w+ =|chdir|on\(|once\()|\bglobalThis\.\w+ =|Object\.assign\(disk|\bdisk\.\w+ =/g;

const files = SHARED_FOLDERS.flatMap((folder) =>
  (readdirSync(join(packageRoot(), folder), { recursive: true }) as string[])
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${folder}/${file}`),
);
const textOf = (file: string): string => readFileSync(join(packageRoot(), file), "utf8");

test("no module of a folder that shares a process keeps anything between calls", () => {
  const kept = files
    .filter((file) => !file.endsWith(".test.ts"))
    .flatMap((file) => (textOf(file).match(STATE) ?? []).map((line) => `${file}: ${line}`));
  expect(kept).toEqual(MEMOS);
});

test("no test of a folder that shares a process changes what is common to it", () => {
  const changed = files.flatMap((file) =>
    (textOf(file).match(COMMON) ?? []).map((line) => `${file}: ${line}`),
  );
  expect(changed).toEqual([]);
  expect(files.filter((file) => file.endsWith(".test.ts")).length).toBeGreaterThan(60);
});

test("the files that start first exist", () => {
  expect(LONGEST.filter((file) => !existsSync(join(packageRoot(), file)))).toEqual([]);
});
