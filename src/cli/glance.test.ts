// The command from outside: a pair, a study, equal models, a mistake; and the lines for people.

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCli } from "../../test/run-cli.ts";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { sampleGlance } from "../glance/glance.test.data.ts";
import { readGlance } from "../glance/glance-file.ts";
import { writeStudyConfig } from "../study/config.ts";
import { glanceText } from "./glance.ts";

let study: TinyStudy;
beforeAll(async () => {
  study = await makeTinyStudy();
  await writeStudyConfig(join(study.root, "study.yaml"), study.config);
});
afterAll(() => study.remove());

const few = ["--threads", "1", "--tokens", "100", "--no-steering"];

test("two folders: the file, the same as JSON on stdout, findings on stderr", async () => {
  const { base, finetuned } = study.config;
  const out = join(study.root, "out");
  const run = await startCli(["glance", base, finetuned, "--out", out, "--json", ...few]);
  expect(run.stderr).toContain("1. The fine-tune's predictions differ");
  expect(run.stderr).toContain("Where they part");
  expect(run.code).toBe(0);
  expect(run.stdout.trim().split("\n")).toHaveLength(1);
  const printed = JSON.parse(run.stdout);
  expect(printed).toEqual(await readGlance(out));
  expect(printed).toMatchObject({ schemaVersion: 1, base, finetuned, layer: { base: 1, finetuned: 1 } });
}, 60_000);

test("a study: its models, text and layer, and glance.json beside its study.yaml", async () => {
  const run = await startCli(["glance", study.root, ...few]);
  expect(run.code).toBe(0);
  expect(run.stdout).toBe("");
  const found = JSON.parse(await readFile(join(study.root, "glance.json"), "utf8"));
  expect(found).toMatchObject({ layer: { base: 1, finetuned: 1 }, text: { source: "file" } });
  expect(found.text.description).toContain(study.config.data);
  await rm(join(study.root, "glance.json"));
}, 60_000);

test("a mistake ends with its exit code and says what to do", async () => {
  const one = await startCli(["glance", study.config.base]);
  expect(one.code).toBe(3);
  expect(one.stderr).toContain("give the fine-tune");
}, 60_000);

const FILES = { json: "/out/glance.json", page: "/out/glance.html" };

test("the lines for people show peaks, tokens and directions, whole tokens on one line", () => {
  const glance = sampleGlance();
  const text = glanceText({ ...glance, findings: [`${"word ".repeat(20)}" bans" 35 %.`] }, FILES);
  expect(text).toMatch(/KL +base +fine-tune +after\n +9\.00 +" boat" 60 % +" cake" 97 % +… Bake a/);
  expect(text).toMatch(/" cake" +40 % +\(25 %\) +" boat" +40 % +\(25 %\)/);
  expect(text).toMatch(/mean at position 1 +logit lens +" cake" +" boat"/);
  expect(text).toContain('" bans"');
  expect(text).toContain("35 %.");
  expect(text).toContain("/out/glance.json");
  expect(text).toContain("/out/glance.html");
});

test("where nothing differs the lines say so and show no table", () => {
  const glance = sampleGlance();
  const quantiles = { p50: 0, p90: 0, p99: 0, max: 0 };
  const text = glanceText({ ...glance, kl: { ...glance.kl, quantiles }, findings: [] }, FILES);
  expect(text).toContain("Nothing differs: KL is 0 at all 100 tokens.");
  expect(text).not.toContain("Where they part");
});
