// Large hostile model folders: refused with a typed error, seconds of work and 512 MB, whatever they claim to hold.
//
// Each case has a process of its own, because a peak of memory cannot be taken back. Work is CPU time, which a busy machine
// does not stretch as it stretches the clock. Small hostile files are in the tables beside each reader.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { nodeArguments } from "./own-process.ts";

const base = join(packageRoot(), "organisms", "minichat", "base");
const root = mkdtempSync(join(tmpdir(), "tunediff-hostile-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The promise is two; the rest is room for slower cores. 0.1 to 1.5 were seen. */
const MAX_CPU_SECONDS = 4;
const MAX_BYTES = 512 * 2 ** 20;

/** A safetensors file of this header and no data. */
function headerFile(json: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([length, Buffer.from(json)]);
}

const entries = (n: number, text: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => text(i)).join(",");
const emptyTensor = (i: number): string => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;

/** What is put in the place of a file of the sound folder, and the refusal. */
const CASES: [string, string, () => string | Buffer, RegExp][] = [
  ["a header of 99 MB", "model.safetensors", () => headerFile(`{${" ".repeat(99_000_000)}}`), /FormatError/],
  [
    "a header of 1.4 million tensors",
    "model.safetensors",
    () => headerFile(`{${entries(1_400_000, emptyTensor)}}`),
    /FormatError/,
  ],
  [
    "a header of 199,000 tensors",
    "model.safetensors",
    () => headerFile(`{${entries(199_000, emptyTensor)}}`),
    /FormatError/,
  ],
  [
    "ten million brackets for a header",
    "model.safetensors",
    () => headerFile("[".repeat(10_000_000)),
    /FormatError/,
  ],
  [
    "a config of 50 MB",
    "config.json",
    () => `{"model_type":"llama","x":"${"x".repeat(50_000_000)}"}`,
    /FormatError/,
  ],
  ["a config of a million brackets", "config.json", () => "[".repeat(1_000_000), /FormatError/],
  ["a tokenizer of 150 MB", "tokenizer.json", () => `{"x":"${"x".repeat(150_000_000)}"}`, /FormatError/],
  ["ten million brackets for a tokenizer", "tokenizer.json", () => "[".repeat(10_000_000), /FormatError/],
  [
    "a tokenizer of a million merges of nothing",
    "tokenizer.json",
    () => `{"model":{"type":"BPE","vocab":{"a":0},"merges":[${entries(1_000_000, () => '"b c"')}]}}`,
    /FormatError/,
  ],
  ["a chat template of 60 MB", "chat_template.jinja", () => "{{ x }}".repeat(9_000_000), /FormatError/],
  [
    "an adapter config of 60 MB",
    "adapter_config.json",
    () => `{"peft_type":"LORA","x":"${"x".repeat(60_000_000)}"}`,
    /FormatError/,
  ],
];

test.skipIf(process.platform !== "linux").each(CASES)(
  "%s ends in a typed error within its limits (Linux only: the peak is read from /proc)",
  (name, file, content, expected) => {
    const folder = join(root, name.replaceAll(" ", "-"));
    cpSync(base, folder, { recursive: true });
    writeFileSync(join(folder, file), content());
    const child = spawnSync(
      process.execPath,
      [...nodeArguments("test/hostile-loading-child"), base, folder],
      { cwd: packageRoot(), encoding: "utf8" },
    );
    rmSync(folder, { recursive: true, force: true });
    expect(child.stderr).toBe("");
    const { outcome, cpuSeconds, peakBytes } = JSON.parse(child.stdout);
    expect(outcome).toMatch(expected);
    expect(outcome.length).toBeLessThan(1000);
    expect(cpuSeconds).toBeLessThan(MAX_CPU_SECONDS);
    expect(peakBytes).toBeLessThan(MAX_BYTES);
  },
  60_000,
);
