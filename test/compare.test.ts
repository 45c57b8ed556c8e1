// The whole comparison through the command line on a small slice of text: contract, resume, interruption.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { startCli } from "./run-cli.ts";
import { writeSmallCorpus } from "./small-corpus.ts";

const pair = join(packageRoot(), "organisms", "minichat");
const SETTINGS = ["--layer", "3", "--latents", "128", "--k", "8", "--steps", "60", "--seed", "3"];
let folder = "";
let data = "";

function compareArguments(out: string): string[] {
  return [
    "compare",
    join(pair, "base"),
    join(pair, "finetuned"),
    "--data",
    data,
    "--out",
    out,
    ...SETTINGS,
    "--json",
  ];
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-compare-"));
  data = join(folder, "corpus.jsonl");
  await writeSmallCorpus(data);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("compare prints the contract's object, writes the study, and a second run redoes nothing", async () => {
  const out = join(folder, "study");
  const first = await startCli(compareArguments(out));
  expect(first.stderr).toContain("finetuned-specific");
  expect(first.code).toBe(0);
  const result = JSON.parse(first.stdout);
  expect(Object.keys(result)).toEqual(
    expect.arrayContaining([
      "schemaVersion",
      "seed",
      "fve",
      "l0",
      "deadFraction",
      "nLatents",
      "counts",
      "truth",
      "seconds",
      "peakRssBytes",
      "report",
    ]),
  );
  expect(result).toMatchObject({ schemaVersion: 1, seed: 3, nLatents: 128 });
  const { counts } = result;
  expect(counts.baseOnly + counts.finetunedOnly + counts.shared + counts.other).toBe(128);
  expect(result.fve.base).toBeGreaterThan(0); // better than the mean, though barely trained
  expect(result.truth.concepts.length).toBe(result.truth.conceptsPlanted);
  for (const file of [
    "study.yaml",
    "study.lock.json",
    "journal.jsonl",
    "report.html",
    "stores/main/manifest.json",
    "dictionaries/main/model.safetensors",
  ]) {
    expect(existsSync(join(out, file)), file).toBe(true);
  }

  const before = await stat(join(out, "dictionaries/main/model.safetensors"));
  const second = await startCli(compareArguments(out));
  expect(second.code).toBe(0);
  expect(second.stderr).toContain("already done, not repeated: harvest, train, measure, lens, truth, report");
  expect((await stat(join(out, "dictionaries/main/model.safetensors"))).mtimeMs).toBe(before.mtimeMs);
  const again = JSON.parse(second.stdout);
  expect({ ...again, peakRssBytes: 0 }).toEqual({ ...result, peakRssBytes: 0 });

  const verdict = await startCli(["verify", out, "--json"]);
  expect(verdict.code).toBe(0);
  expect(JSON.parse(verdict.stdout).ok).toBe(true);
}, 180_000);

test("Ctrl-C exits with 130 and the next run ends with the bytes of a run never interrupted", async () => {
  const reference = join(folder, "study");
  const out = join(folder, "interrupted");
  let sent = 0;
  const interrupted = await startCli(compareArguments(out), {
    onStderr: (text, child) => {
      if (sent === 0 && text.includes("harvest")) {
        sent += 1;
        child.kill("SIGINT");
      }
    },
  });
  expect(sent).toBe(1);
  expect(interrupted.code).toBe(130);
  expect(interrupted.stderr).toContain("InterruptedError");
  const resumed = await startCli(compareArguments(out));
  expect(resumed.code).toBe(0);
  const leftovers = ((await readdir(out, { recursive: true })) as string[]).filter((name) =>
    /\.tmp-|\.lock$/.test(name),
  );
  expect(leftovers).toEqual([]);
  if (existsSync(join(reference, "dictionaries/main/model.safetensors"))) {
    const [a, b] = await Promise.all(
      [reference, out].map((study) => readFile(join(study, "dictionaries/main/model.safetensors"))),
    );
    expect(a.equals(b)).toBe(true);
  }
}, 180_000);

test("run takes a TopK dictionary from study.yaml, and either engine trains it", async () => {
  const found: { l0: number; fve: Record<string, number> }[] = [];
  for (const engine of ["fast", "reference"]) {
    const out = join(folder, `topk-${engine}`);
    await mkdir(out);
    const study = [
      `base: ${join(pair, "base")}`,
      `finetuned: ${join(pair, "finetuned")}`,
      `data: ${data}`,
      "layer: 3",
      `dictionary: { nLatents: 32, k: 4, steps: 8, batchRows: 64, sparsity: { kind: topK }, engine: ${engine} }`,
    ];
    await writeFile(join(out, "study.yaml"), study.join("\n"));
    const run = await startCli(["run", join(out, "study.yaml"), "--json"]);
    expect(run.stderr).toContain("finetuned-specific");
    expect(run.code).toBe(0);
    found.push(JSON.parse(run.stdout));
    expect(found[found.length - 1].l0).toBeLessThanOrEqual(4);
  }
  // Eight steps apart by rounding only.
  expect(found[0].fve.total).toBeCloseTo(found[1].fve.total, 2);
}, 180_000);
