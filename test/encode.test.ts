// tunediff encode through the command line: the golden case of a reference dictionary, and how refusals look.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSafetensors } from "../src/formats/safetensors.ts";
import { packageRoot } from "../src/package-root.ts";
import { startCli } from "./run-cli.ts";

const golden = join(packageRoot(), "test", "golden", "dictionary");
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-encode-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a reference dictionary over a file: the reference's codes, JSON on stdout, the story on stderr", async () => {
  const out = join(folder, "out.safetensors");
  const activations = join(golden, "batchtopk", "case.safetensors");
  const run = await startCli([
    ...["encode", join(golden, "batchtopk"), "--activations", activations],
    ...["--out", out, "--threads", "1", "--json"],
  ]);
  expect(run.stderr).toContain("24 rows × 32 latents");
  expect(run.code).toBe(0);

  const reference = await openSafetensors(activations);
  const wanted = await reference.readFloat32("codes");
  const nonZero = wanted.filter((code) => code !== 0).length;
  expect(JSON.parse(run.stdout)).toEqual({
    schemaVersion: 1,
    out,
    nRows: 24,
    nLatents: 32,
    nonZero,
    l0: nonZero / 24,
    inferenceThreshold: 3,
    sites: [
      { model: "base", width: 10 },
      { model: "finetuned", width: 10 },
    ],
    warnings: [],
  });

  const written = await openSafetensors(out);
  const layout = Object.fromEntries(
    [...written.tensors.values()].map(({ name, dtype, shape }) => [name, [dtype, ...shape]]),
  );
  expect(layout).toEqual({
    codeRowStart: ["I64", 25],
    codeLatent: ["I64", nonZero],
    codeValue: ["F32", nonZero],
    reconstructionBase: ["F32", 24, 10],
    reconstructionFinetuned: ["F32", 24, 10],
  });
  const [got, expected] = await Promise.all([
    written.readFloat32("reconstructionFinetuned"),
    reference.readFloat32("reconstructionFinetuned"),
  ]);
  const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(worst).toBeLessThan(1e-6 * largest); // f32 sums of a few tens of terms in another order
  await Promise.all([written.close(), reference.close()]);
});

test("a dictionary that was never calibrated is warned of", async () => {
  const run = await startCli([
    ...["encode", join(golden, "compiled", "model.safetensors"), "--threads", "1"],
    ...[
      "--activations",
      join(golden, "compiled", "case.safetensors"),
      "--out",
      join(folder, "all.safetensors"),
    ],
  ]);
  expect(run.stderr).toMatch(/warning: .*not calibrated/);
  expect(run.stdout).toBe("");
  expect(run.code).toBe(0);
});

test.each([
  ["no --activations", "batchtopk", [], /--activations/, 2],
  [
    "threads that are none",
    "batchtopk",
    ["--activations", "case.safetensors", "--threads", "0"],
    /--threads/,
    2,
  ],
  [
    "activations without the tensors",
    "ours",
    ["--activations", "ours/model.safetensors"],
    /FormatError.*\n.*hint/,
    3,
  ],
  ["a folder for a file", "ours", ["--activations", "ours"], /FormatError.*found a folder\n.*hint/, 3],
])("%s: one line and its hint, exit code, no file", async (_, dictionary, flags, message, code) => {
  const args = flags.map((flag, i) => (flags[i - 1] === "--activations" ? join(golden, flag) : flag));
  const out = join(folder, "refused.safetensors");
  const run = await startCli(["encode", join(golden, dictionary), ...args, "--out", out]);
  expect(run.stderr).toMatch(message);
  expect(run.code).toBe(code);
  expect(await readdir(folder)).not.toContain("refused.safetensors");
});
