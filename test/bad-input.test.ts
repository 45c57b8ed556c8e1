// Every kind of bad input the command line can meet: one clear line, the right exit code, nothing half-written.

import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { packageRoot } from "../src/package-root.ts";
import { startCli } from "./run-cli.ts";
import { writeSmallCorpus } from "./small-corpus.ts";

const pair = join(packageRoot(), "organisms", "minichat");
const base = join(pair, "base");
const finetuned = join(pair, "finetuned");
let folder = "";
let data = "";
let errors = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-bad-"));
  data = join(folder, "corpus.jsonl");
  await writeSmallCorpus(data);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => {
  errors = "";
  process.exitCode = 0;
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    errors += String(chunk);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

/** Runs compare in this process. Returns the exit code; the error text is in `errors`. */
async function compare(options: {
  base?: string;
  finetuned?: string;
  data?: string;
  out?: string;
  extra?: string[];
}): Promise<number> {
  const out = options.out ?? join(folder, "out");
  await main([
    "compare",
    options.base ?? base,
    options.finetuned ?? finetuned,
    "--data",
    options.data ?? data,
    "--out",
    out,
    ...(options.extra ?? []),
  ]);
  return Number(process.exitCode);
}

/** A copy of one of the bundled models with a change made to it. */
async function changedModel(
  name: string,
  source: string,
  change: (copy: string) => Promise<void>,
): Promise<string> {
  const copy = join(folder, name);
  await cp(source, copy, { recursive: true });
  await change(copy);
  return copy;
}

async function editJson(path: string, edit: (value: Record<string, unknown>) => void): Promise<void> {
  const value = JSON.parse(await readFile(path, "utf8"));
  edit(value);
  await writeFile(path, JSON.stringify(value));
}

function expectClearError(name: string, ...parts: (string | RegExp)[]): void {
  const lines = errors.trim().split("\n");
  expect(lines[0]).toContain(name);
  for (const part of parts) expect(lines[0]).toMatch(part);
  expect(lines[1]).toMatch(/^ {2}hint: \S/);
  expect(lines).toHaveLength(2);
}

test("a missing model folder is named", async () => {
  expect(await compare({ base: join(folder, "nowhere") })).toBe(3);
  expectClearError("FormatError", /nowhere/);
});

test("a missing data file is named", async () => {
  expect(await compare({ data: join(folder, "nothing.jsonl") })).toBe(3);
  expectClearError("FormatError", /nothing\.jsonl/);
});

test("an empty data file is refused", async () => {
  const empty = join(folder, "empty.jsonl");
  await writeFile(empty, "");
  expect(await compare({ data: empty, out: join(folder, "empty-out") })).toBe(3);
  expectClearError("FormatError", /empty\.jsonl/, /expected/);
});

test("a broken line of the data file is named by its number", async () => {
  const broken = join(folder, "broken.jsonl");
  await writeFile(broken, '{"text":"fine"}\n{"text": 5}\n');
  expect(await compare({ data: broken, out: join(folder, "broken-out") })).toBe(3);
  expectClearError("FormatError", /broken\.jsonl:2/);
});

test("truncated weights are refused with the file's name and sizes", async () => {
  const copy = await changedModel("truncated", base, (model) =>
    truncate(join(model, "model.safetensors"), 100_000),
  );
  expect(await compare({ base: copy })).toBe(3);
  expectClearError("FormatError", /truncated.*model\.safetensors/, /expected/);
});

test("a pickle named .safetensors is refused as a pickle", async () => {
  const copy = await changedModel("pickle", finetuned, (model) =>
    writeFile(
      join(model, "model.safetensors"),
      Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.alloc(2000)]),
    ),
  );
  expect(await compare({ finetuned: copy })).toBe(3);
  expectClearError("FormatError", /model\.safetensors/, /pickle|zip/i);
});

test("a layer out of range is refused with the range", async () => {
  expect(await compare({ extra: ["--layer", "40"] })).toBe(2);
  expectClearError("ConfigError", /layer/, /expected 0 to \d+/, /got 40/);
});

test("models with different tokenizers are refused before any compute", async () => {
  const copy = await changedModel("othertokens", finetuned, (model) =>
    editJson(join(model, "tokenizer.json"), (tokenizer) => {
      const vocabulary = (tokenizer.model as { vocab: Record<string, number> }).vocab;
      const [first, second] = Object.keys(vocabulary).slice(300, 302);
      [vocabulary[first], vocabulary[second]] = [vocabulary[second], vocabulary[first]];
    }),
  );
  expect(await compare({ finetuned: copy, out: join(folder, "othertokens-out") })).toBe(3);
  expectClearError("MismatchError", /tokenizer/);
  await expect(readdir(join(folder, "othertokens-out"))).rejects.toThrow();
});

test("a config whose width does not fit the weights is refused", async () => {
  const copy = await changedModel("otherwidth", finetuned, (model) =>
    editJson(join(model, "config.json"), (config) => {
      config.hidden_size = 64;
    }),
  );
  expect(await compare({ finetuned: copy })).toBe(3);
  expectClearError("FormatError", /otherwidth/, /expected/);
});

test("a config that asks for its own code is refused", async () => {
  const copy = await changedModel("automap", finetuned, (model) =>
    editJson(join(model, "config.json"), (config) => {
      config.auto_map = { AutoModelForCausalLM: "evil.Model" };
    }),
  );
  expect(await compare({ finetuned: copy })).toBeGreaterThanOrEqual(2);
  expect(errors).toContain("auto_map");
});

test("options that are not numbers, unknown options and missing arguments are usage errors", async () => {
  expect(await compare({ extra: ["--k", "many"] })).toBe(2);
  expectClearError("ConfigError", /--k/, /many/);
  errors = "";
  expect(await compare({ extra: ["--nonsense"] })).toBe(2);
  expect(errors).toContain("--nonsense");
  errors = "";
  await main(["compare", base]);
  expect(process.exitCode).toBe(2);
});

test("an --out that is a file is refused", async () => {
  const file = join(folder, "a-file");
  await writeFile(file, "x");
  expect(await compare({ out: file })).toBe(3);
  expect(errors).toMatch(/a-file/);
});

test("a damaged store is found by verify and by the next stage, and named", async () => {
  const out = join(folder, "damaged");
  const settings = ["--layer", "2", "--latents", "32", "--k", "4", "--steps", "5"];
  expect(await compare({ out, extra: settings })).toBe(0);
  const shard = join(out, "stores/main/sites");
  const victim = ((await readdir(shard, { recursive: true })) as string[]).find((file) =>
    file.endsWith(".safetensors"),
  )!;
  const bytes = await readFile(join(shard, victim));
  bytes[bytes.length - 10] ^= 1;
  await writeFile(join(shard, victim), bytes);
  errors = "";
  await main(["verify", out]);
  expect(process.exitCode).toBe(3);
  expect(errors).toContain("BAD");
  errors = "";
  expect(await compare({ out, extra: [...settings, "--name", "second", "--seed", "1"] })).toBe(3);
  expect(errors).toContain("FormatError");
}, 120_000);

test("another configuration under the same name is refused, and the study's record stays", async () => {
  const out = join(folder, "conflict");
  const settings = ["--layer", "2", "--latents", "32", "--k", "4"];
  expect(await compare({ out, extra: [...settings, "--steps", "5"] })).toBe(0);
  const record = await readFile(join(out, "study.yaml"), "utf8");
  errors = "";
  expect(await compare({ out, extra: [...settings, "--steps", "6"] })).toBe(3);
  expect(errors).toMatch(/MismatchError: .*training\.json/);
  expect(errors).toMatch(/hint: .*name/);
  expect(await readFile(join(out, "study.yaml"), "utf8")).toBe(record);
}, 120_000);

test("a study that another process is writing is refused", async () => {
  const out = join(folder, "locked");
  await mkdir(out, { recursive: true });
  const { acquireLock } = await import("../src/formats/atomic.ts");
  const lock = await acquireLock(join(out, ".lock"));
  expect(await compare({ out })).toBe(3);
  expectClearError("StorageError", new RegExp(String(process.pid)));
  await lock.release();
});

test.skipIf(process.platform !== "linux")(
  "a device without a driver is said so before anything is read (Linux only: the driver is hidden by a variable)",
  async () => {
    const out = join(folder, "no-driver");
    const run = await startCli(
      ["compare", base, finetuned, "--data", data, "--out", out, "--device", "webgpu"],
      { env: { VK_DRIVER_FILES: "/nonexistent", LD_LIBRARY_PATH: "" } },
    );
    expect(run.stderr).toMatch(
      /ConfigError: device: expected webgpu, got a session that could not start: .+\n {2}hint: /,
    );
    expect(run.code).toBe(2);
    await expect(readdir(out)).rejects.toThrow("ENOENT");
  },
);
