// What the flags of `compare` say, and what they refuse.

import { expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { LLAMA_3_BASE_REPLACEMENTS } from "../text/token-replacement.ts";
import { parseLayer, parseNumberOption, parseReplacements, studyConfigInput } from "./compare.ts";

test("--layer is one block or base:finetuned", () => {
  expect(parseLayer("13")).toBe(13);
  expect(parseLayer("13:16")).toEqual({ base: 13, finetuned: 16 });
  for (const text of ["", "-1", "1.5", "1:", ":2", "1:2:3", "middle"]) {
    expect(() => parseLayer(text), text).toThrow(ConfigError);
  }
});

test("--base-token takes any token, an = inside it too, and the paper's set by name", () => {
  expect(parseReplacements(undefined)).toBeUndefined();
  expect(parseReplacements(["<|eot_id|>=####", "a=b=c"])).toEqual({ "<|eot_id|>": "####", "a=b": "c" });
  expect(parseReplacements(["llama-3", "<|eot_id|>=x"])).toEqual({
    ...LLAMA_3_BASE_REPLACEMENTS,
    "<|eot_id|>": "x",
  });
  for (const text of ["", "=", "a=", "=b", "word"]) {
    expect(() => parseReplacements([text]), text).toThrow(/--base-token/);
  }
});

test("a flag that is no number is refused by its name", () => {
  expect(parseNumberOption("--k", undefined)).toBeUndefined();
  expect(parseNumberOption("--k", "16")).toBe(16);
  for (const text of ["", " ", "x", "1e999", "NaN"]) {
    expect(() => parseNumberOption("--k", text), text).toThrow(/--k: expected a number/);
  }
});

test("flags that were not given leave the study's defaults alone", () => {
  const input = studyConfigInput("b", "f", { data: "d.jsonl", out: "o", device: "webgpu", skipFirst: "25" });
  expect(input.device).toBe("webgpu");
  expect(input.store).toEqual({
    dtype: undefined,
    maxTokens: undefined,
    baseReplacements: undefined,
    skipFirst: 25,
  });
  expect(studyConfigInput("b", "f", { data: "d", out: "o", outputs: true }).store?.outputs).toBe(true);
  expect(() => studyConfigInput("b", "f", { data: "d", out: "o", device: "tpu" })).toThrow(/--device.*tpu/);
});
