// tunediff activations through the command line: what it writes, and that it needs no tokenizer when ids are given.

import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSafetensors } from "../src/formats/safetensors.ts";
import { packageRoot } from "../src/package-root.ts";
import { startCli } from "./run-cli.ts";

const golden = join(packageRoot(), "test", "golden", "lm");
const base = join(packageRoot(), "organisms", "minichat", "base");
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-activations-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The largest distance between two rows of the same index, relative to the second's norm. */
function worstRow(a: Float32Array, b: Float32Array, width: number): number {
  let worst = 0;
  for (let row = 0; row < b.length / width; row += 1) {
    let [difference, norm] = [0, 0];
    for (let i = row * width; i < (row + 1) * width; i += 1) {
      difference += (a[i] - b[i]) ** 2;
      norm += b[i] ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / norm));
  }
  return worst;
}

test("ids on a folder without tokenizer files give transformers' residuals and logits", async () => {
  const bare = join(folder, "bare");
  await mkdir(bare);
  for (const name of await readdir(base)) {
    if (!name.includes("token") && !name.includes("template"))
      await copyFile(join(base, name), join(bare, name));
  }
  const { sequences, kept } = JSON.parse(await readFile(join(golden, "minichat-base.json"), "utf8"));
  const ids = join(folder, "ids.json");
  await writeFile(ids, JSON.stringify(sequences[0]));
  const out = join(folder, "out.safetensors");
  const run = await startCli([
    "activations",
    bare,
    "--layer",
    "3",
    "--tokens",
    ids,
    "--logits",
    "--out",
    out,
  ]);
  expect(run.stderr).toContain("after block 3");
  expect(run.code).toBe(0);

  const written = await openSafetensors(out);
  const reference = await openSafetensors(join(golden, "minichat-base.safetensors"));
  const positions: number[] = kept[0];
  for (const [name, referenceName, at] of [
    ["residual", "residuals", 3],
    ["logits", "logits", 0],
  ] as const) {
    const [nTokens, width] = written.tensors.get(name)?.shape ?? [];
    expect(nTokens).toBe(sequences[0].length);
    const values = await written.readFloat32(name);
    const all = await reference.readFloat32(referenceName);
    const nKept = kept.flat().length;
    // Golden rows: [layer, kept row, width]; the first sequence's come first.
    const wanted = all.subarray(at * nKept * width, (at * nKept + positions.length) * width);
    const rows = positions.map((position) => values.subarray(position * width, (position + 1) * width));
    const got = new Float32Array(positions.length * width);
    rows.forEach((row, i) => {
      got.set(row, i * width);
    });
    // Both f32, summed in different orders: the project's parity bound.
    expect(worstRow(got, wanted, width)).toBeLessThan(1e-5);
  }
  await Promise.all([written.close(), reference.close()]);
});

test("text goes through the folder's tokenizer, a BOS first", async () => {
  const out = join(folder, "text.safetensors");
  const run = await startCli([
    "activations",
    base,
    "--layer",
    "2",
    "--text",
    "the old mill",
    "--out",
    out,
    "--json",
  ]);
  expect(run.stderr).toContain("after block 2");
  expect(run.code).toBe(0);
  const result = JSON.parse(run.stdout);
  expect(result).toMatchObject({ schemaVersion: 1, layer: 2, dModel: 128 });
  const file = await openSafetensors(out);
  expect([...file.tensors.keys()].sort()).toEqual(["residual", "tokens"]);
  expect(file.tensors.get("residual")?.shape).toEqual([result.nTokens, 128]);
  const tokens = new BigInt64Array((await file.readBytes("tokens")).buffer);
  expect(Number(tokens[0])).toBe(1);
  await file.close();
});

test.each([
  ["both inputs", ["--text", "a", "--tokens", "x.json"], "expected one of --text and --tokens", 2],
  ["no input", [], "expected one of --text and --tokens", 2],
  ["a layer out of range", ["--text", "a", "--layer", "99"], "from 0 to 4", 2],
])("%s: one line that says so", async (_, flags, message, code) => {
  const run = await startCli([
    "activations",
    base,
    "--layer",
    "1",
    "--out",
    join(folder, "no.safetensors"),
    ...flags,
  ]);
  expect(run.stderr).toContain(message);
  expect(run.code).toBe(code);
});

test.each([
  ["not JSON", "[1, 2", "not JSON"],
  ["not an array", '{"ids": [1]}', "JSON array"],
  ["a fraction", "[1, 2.5]", "entry 1"],
  ["an id outside the vocabulary", "[1, 5000]", "5000"],
])("ids that are %s are refused, and nothing is written", async (name, text, message) => {
  const ids = join(folder, `${name}.json`);
  await writeFile(ids, text);
  const out = join(folder, "refused.safetensors");
  const run = await startCli(["activations", base, "--layer", "1", "--tokens", ids, "--out", out]);
  expect(run.stderr).toContain(message);
  expect(run.code).toBe(3);
  expect(await readdir(folder)).not.toContain("refused.safetensors");
});
