// The package as its user gets it: packed, installed into an empty folder, the demo run there, the contract held.

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";

const run = promisify(execFile);
const MEGABYTE = 2 ** 20;
const NOT_SOURCES = [".git", "node_modules", "dist", "kernels/build", "coverage", "tunediff-demo"];
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-package-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the packed package installs into an empty folder and its demo keeps the contract", async () => {
  // In a copy of the sources, so that this build does not replace the one that other tests are using.
  const sources = join(folder, "sources");
  await cp(packageRoot(), sources, {
    recursive: true,
    filter: (path) => !NOT_SOURCES.includes(relative(packageRoot(), path)),
  });
  await symlink(join(packageRoot(), "node_modules"), join(sources, "node_modules"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: sources, maxBuffer: 64 * MEGABYTE });
  const tarball = (await readdir(folder)).find((file) => file.endsWith(".tgz"))!;
  expect((await stat(join(folder, tarball))).size).toBeLessThan(12 * MEGABYTE);
  await writeFile(join(folder, "package.json"), '{"name":"empty","private":true}');
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip", NO_COLOR: "1" };
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`], {
    cwd: folder,
    env,
    maxBuffer: 64 * MEGABYTE,
  });

  const { stdout, stderr } = await run(
    "npx",
    ["tunediff", "demo", "--out", "study", "--seed", "0", "--json"],
    {
      cwd: folder,
      env,
      maxBuffer: 64 * MEGABYTE,
    },
  );
  expect(stderr).toContain("What the fine-tune changed");
  const result = JSON.parse(stdout);
  const figure = expect.any(Number);
  expect(result).toMatchObject({
    schemaVersion: 1,
    seed: 0,
    fve: { base: figure, finetuned: figure, total: figure },
    l0: figure,
    deadFraction: figure,
    nLatents: figure,
    counts: {
      baseOnly: figure,
      finetunedOnly: figure,
      shared: figure,
      other: figure,
      finetunedSpecific: figure,
      baseSpecific: figure,
    },
    truth: {
      conceptsPlanted: figure,
      conceptsFound: figure,
      recall: figure,
      recallAnyLatent: figure,
      precision: figure,
      precisionWithTemplate: figure,
      permutedRecall: figure,
    },
    causal: { conversations: figure, predictedTokens: figure },
    seconds: {
      ...{ harvest: figure, train: figure, measure: figure },
      ...{ glance: figure, causal: figure, report: figure, total: figure },
    },
    peakRssBytes: figure,
  });
  for (const concept of result.truth.concepts) {
    expect(Object.keys(concept)).toEqual(
      expect.arrayContaining([
        "name",
        "latent",
        "turnF1",
        "turnAuroc",
        "tokenF1",
        "deltaNorm",
        "nuReconstruction",
        "nuError",
        "probeBase",
        "probeFinetuned",
        "found",
      ]),
    );
  }
  expect(result.fve.base).toBeGreaterThanOrEqual(0.85);
  expect(result.fve.finetuned).toBeGreaterThanOrEqual(0.85);
  expect(result.l0).toBeLessThanOrEqual(32);
  expect(result.deadFraction).toBeLessThanOrEqual(0.15);
  expect(result.truth.permutedRecall).toBeLessThanOrEqual(0.1);
  expect(result.truth.recall).toBeGreaterThanOrEqual(0.5);
  expect(result.truth.precisionWithTemplate).toBeGreaterThanOrEqual(0.7);
  const html = await readFile(result.report, "utf8");
  expect(html).toContain("<!doctype html>");
}, 600_000);
