// config.json of strangers: what is read, what is ignored, what is refused and how the refusal reads.

import { describe, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { describeArchitecture } from "./config.ts";
import { TINY_CONFIG } from "./tiny-llama.test.data.ts";

const describeTiny = (change: object) => describeArchitecture({ ...TINY_CONFIG, ...change }, "m/config.json");

function refusal(raw: unknown): FormatError {
  try {
    describeArchitecture(raw, "m/config.json");
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("accepted");
}

test("sizes are read, absent ones take transformers' defaults", () => {
  const { config, headIsTied, ropes } = describeTiny({});
  expect(config).toMatchObject({
    modelType: "llama",
    vocabSize: 97,
    dModel: 32,
    nLayers: 3,
    maxPositions: 512,
  });
  expect({ headIsTied, ropes }).toMatchObject({
    headIsTied: false,
    ropes: { main: { kind: "default", dim: 16 } },
  });
  const { head_dim, num_key_value_heads, rms_norm_eps, max_position_embeddings, ...bare } = TINY_CONFIG;
  expect(describeArchitecture(bare, "config.json").config).toMatchObject({
    headDim: 8,
    nKvHeads: 4,
    normEpsilon: 1e-6,
    maxPositions: 2048,
  });
});

test("keys that are not on the list are never looked at", () => {
  const odd = {
    _attn_implementation_internal: "evil/kernel",
    _name_or_path: 7,
    trust_remote_code: true,
    x: [[]],
  };
  expect(describeTiny(odd).config).toEqual(describeTiny({}).config);
});

describe("refused by key", () => {
  test.each<[string, object]>([
    ["auto_map", { auto_map: { AutoModel: "code.Model" } }],
    ["quantization_config", { quantization_config: { quant_method: "gptq" } }],
    ["model_type", { model_type: "mamba" }],
    ["model_type", { model_type: undefined }],
    ["model_type", { model_type: "__proto__" }],
    ["vocab_size", { vocab_size: undefined }],
    ["vocab_size", { vocab_size: 0 }],
    ["vocab_size", { vocab_size: 2 ** 21 + 1 }],
    ["hidden_size", { hidden_size: -32 }],
    ["hidden_size", { hidden_size: 32.5 }],
    ["hidden_size", { hidden_size: "32" }],
    ["hidden_size", { hidden_size: 1e9 }],
    ["num_hidden_layers", { num_hidden_layers: 1e9 }],
    ["num_hidden_layers", { num_hidden_layers: 0 }],
    ["num_attention_heads", { num_attention_heads: null }],
    ["num_key_value_heads", { num_key_value_heads: 3 }],
    ["num_key_value_heads", { num_key_value_heads: 0 }],
    ["head_dim", { head_dim: 0 }],
    ["head_dim", { head_dim: 7 }],
    ["head_dim", { head_dim: undefined, num_attention_heads: 5, num_key_value_heads: 5 }],
    ["intermediate_size", { intermediate_size: true }],
    ["hidden_act", { hidden_act: "gelu" }],
    ["rms_norm_eps", { rms_norm_eps: "1e-5" }],
    ["rms_norm_eps", { rms_norm_eps: -1 }],
    ["rms_norm_eps", { rms_norm_eps: Number.NaN }],
    ["max_position_embeddings", { max_position_embeddings: 0 }],
    ["tie_word_embeddings", { tie_word_embeddings: "yes" }],
    ["attention_bias", { attention_bias: 1 }],
    ["rope_theta", { rope_theta: Number.POSITIVE_INFINITY }],
  ])("%s %j", (key, change) => {
    const { message, hint, exitCode } = refusal({ ...TINY_CONFIG, ...change });
    expect(message).toContain(`m/config.json: ${key}: expected `);
    expect(message).toContain(", got ");
    expect(hint).toBeTruthy();
    expect(exitCode).toBe(3);
  });

  test.each([[[]], [null], ["llama"], [7]])("a document that is %j", (raw) => {
    expect(refusal(raw).message).toContain("expected an object");
  });
});

test("a long value is cut in the message", () => {
  const { message } = refusal({ ...TINY_CONFIG, hidden_size: "x".repeat(10_000) });
  expect(message.length).toBeLessThan(200);
});
