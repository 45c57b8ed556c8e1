// config.json of every family: both dialects say the same, odd but honest ones are read, hostile ones refused by key.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { describeArchitecture, readArchitecture } from "./config.ts";
import { FAMILY_GOLDENS, readFamilyGolden } from "./family-golden.test.data.ts";

const describeRaw = (raw: unknown): Architecture => describeArchitecture(raw, "config.json");
const golden = (name: string): Record<string, unknown> => readFamilyGolden(name).config;

/** Everything that decides what is computed, as data (functions drop out; the names of rows stay). */
function facts(architecture: Architecture): unknown {
  const blocks = Array.from({ length: architecture.config.nLayers }, (_, layer) => architecture.block(layer));
  return JSON.parse(JSON.stringify({ ...architecture, blocks }));
}

type Rope = Record<string, unknown>;

/** A config of transformers 5 as version 4 would have written it. */
function inOlderDialect(config: Record<string, unknown>): Record<string, unknown> {
  const { rope_parameters, dtype, layer_types, ...rest } = config;
  const older: Record<string, unknown> = { ...rest, torch_dtype: dtype };
  if (!rope_parameters) return older;
  const nested = rope_parameters as { full_attention?: Rope; sliding_attention?: Rope };
  const rope = nested.full_attention ?? (rope_parameters as Rope);
  const { rope_theta, partial_rotary_factor, rope_type, ...scaling } = rope;
  older.rope_scaling = rope_type === "default" ? null : { type: rope_type, ...scaling };
  if (nested.sliding_attention) older.rope_local_base_freq = nested.sliding_attention.rope_theta;
  if (config.model_type === "gpt_neox") {
    return { ...older, rotary_pct: partial_rotary_factor, rotary_emb_base: rope_theta };
  }
  return { ...older, rope_theta, partial_rotary_factor };
}

test.each(FAMILY_GOLDENS)("%s: both dialects of config.json describe the same model", (name) => {
  const config = golden(name);
  const older = inOlderDialect(config);
  expect(older).not.toHaveProperty("rope_parameters");
  expect(facts(describeRaw(older))).toEqual(facts(describeRaw(config)));
});

describe("odd but honest", () => {
  test("su and yarn are phi3's older names of longrope", () => {
    const config = inOlderDialect(golden("phi3-longrope"));
    const expected = facts(describeRaw(config));
    for (const type of ["su", "yarn"]) {
      const renamed = { ...config, rope_scaling: { ...(config.rope_scaling as object), type } };
      expect(facts(describeRaw(renamed))).toEqual(expected);
    }
  });

  test("longrope's amplitude is √(1 + ln(max/original)/ln original), 1 when nothing is stretched", () => {
    const amplitude = (change: object): unknown =>
      (describeRaw({ ...golden("phi3-longrope"), ...change }).ropes.main as { amplitude?: number }).amplitude;
    expect(amplitude({})).toBeCloseTo(Math.sqrt(1 + Math.log(8) / Math.log(8)), 12);
    expect(amplitude({ max_position_embeddings: 8 })).toBe(1);
  });

  test("Gemma's early configs name the wrong GELU: the tanh form is used, with a warning", () => {
    const { hidden_act, ...config } = golden("gemma");
    expect(hidden_act).toBe("gelu_pytorch_tanh");
    const odd = describeRaw({ ...config, hidden_act: "gelu", hidden_activation: null });
    expect(odd.block(0).mlp.activation).toBe("geluTanh");
    expect(odd.warnings).toHaveLength(1);
    expect(describeRaw(golden("gemma")).warnings).toEqual([]);
  });

  test("a multimodal Gemma 3 is read by its text part, its sizes defaulting to the published ones", () => {
    const text = golden("gemma3");
    const whole = describeRaw({
      model_type: "gemma3",
      text_config: text,
      vision_config: { hidden_size: 9 },
    });
    const { namePrefixes, ignoredTensorPattern } = whole;
    expect(facts({ ...describeRaw(text), namePrefixes, ignoredTensorPattern })).toEqual(facts(whole));
    expect(namePrefixes).toContain("language_model.");
    expect("vision_tower.encoder.layers.0.weight").toMatch(ignoredTensorPattern);
    expect("model.layers.0.mlp.up_proj.weight").not.toMatch(ignoredTensorPattern);
    const published = { model_type: "gemma3", text_config: { hidden_size: 2560, num_hidden_layers: 34 } };
    expect(describeRaw(published).config).toMatchObject({ nHeads: 8, nKvHeads: 4, headDim: 256 });
  });

  test("windows: all layers of mistral, those from max_window_layers of qwen2, even ones of gemma2, five in six of gemma3", () => {
    const windows = (raw: object): (number | undefined)[] => {
      const { config, block } = describeRaw(raw);
      return Array.from({ length: config.nLayers }, (_, layer) => block(layer).attention.window);
    };
    expect(windows({ ...golden("mistral"), layer_types: undefined })).toEqual([5, 5, 5]);
    expect(windows({ ...golden("mistral"), sliding_window: null })).toEqual(Array(3).fill(undefined));
    expect(windows({ ...golden("qwen2"), layer_types: null })).toEqual([undefined, 5, 5]);
    expect(windows({ ...golden("qwen2"), layer_types: null, use_sliding_window: false })).toEqual(
      Array(3).fill(undefined),
    );
    expect(windows({ ...golden("gemma2"), layer_types: null })).toEqual([5, undefined, 5]);
    const six = { ...golden("gemma3"), layer_types: null, num_hidden_layers: 7, sliding_window_pattern: 6 };
    expect(windows(six)).toEqual([5, 5, 5, 5, 5, undefined, 5]);
    const stated = ["full_attention", "sliding_attention", "full_attention"];
    expect(windows({ ...golden("gemma2"), layer_types: stated })).toEqual([undefined, 5, undefined]);
  });
});

const LONG = golden("phi3-longrope").rope_parameters as object;
const NESTED = golden("gemma3").rope_parameters as Record<string, object>;

describe("hostile configs are refused by key, at once", () => {
  test.each<[string, string, object]>([
    ["gpt2", "n_embd", { n_embd: 0 }],
    ["gpt2", "n_embd", { n_embd: 1e12 }],
    ["gpt2", "n_head", { n_head: -1 }],
    ["gpt2", "head_dim", { n_head: 5 }],
    ["gpt2", "n_layer", { n_layer: 2.5 }],
    ["gpt2", "n_positions", { n_positions: 1e300 }],
    ["gpt2", "n_inner", { n_inner: "4x" }],
    ["gpt2", "activation_function", { activation_function: "swiglu" }],
    ["gpt2", "activation_function", { activation_function: "__proto__" }],
    ["gpt2", "layer_norm_epsilon", { layer_norm_epsilon: null }],
    ["gpt2", "add_cross_attention", { add_cross_attention: true }],
    ["gpt2", "scale_attn_weights", { scale_attn_weights: "yes" }],
    ["gpt2", "scale_attn_by_inverse_layer_idx", { scale_attn_by_inverse_layer_idx: 1 }],
    ["gpt-neox", "rotary_pct", { rope_parameters: null, rotary_pct: 2 }],
    ["gpt-neox", "partial_rotary_factor", { rope_parameters: null, rotary_pct: 0.01 }],
    ["gpt-neox", "rotary_emb_base", { rope_parameters: null, rotary_emb_base: 0 }],
    ["gpt-neox", "use_parallel_residual", { use_parallel_residual: null }],
    ["gpt-neox", "hidden_act", { hidden_act: "relu" }],
    ["gpt-neox", "intermediate_size", { intermediate_size: undefined }],
    ["llama-llama3", "partial_rotary_factor", { rope_parameters: null, partial_rotary_factor: 0.5 }],
    ["llama-llama3", "rope_parameters: full_attention", { rope_parameters: NESTED }],
    ["llama-llama3", "rope_parameters: rope_type", { rope_parameters: { rope_type: "dynamic" } }],
    ["llama-llama3", "rope_parameters: rope_type", { rope_parameters: { rope_type: ["default"] } }],
    ["llama-llama3", "rope_parameters", { rope_parameters: "default" }],
    ["llama-linear-bias-tied", "rope_parameters: factor", { rope_parameters: { rope_type: "linear" } }],
    [
      "llama-linear-bias-tied",
      "rope_parameters: factor",
      { rope_parameters: { rope_type: "linear", factor: 0 } },
    ],
    ["mistral", "sliding_window", { sliding_window: 0 }],
    ["mistral", "sliding_window", { sliding_window: -5 }],
    ["mistral", "sliding_window", { sliding_window: "4096" }],
    ["mistral", "head_dim", { head_dim: 12 }],
    ["mistral", "hidden_act", { hidden_act: { $ref: "silu" } }],
    ["qwen2", "use_sliding_window", { use_sliding_window: "false" }],
    ["qwen2", "max_window_layers", { max_window_layers: -1 }],
    ["qwen2", "layer_types", { layer_types: [] }],
    ["qwen2", "layer_types", { layer_types: ["full_attention"] }],
    ["qwen2", "layer_types.1", { layer_types: ["full_attention", "linear_attention", "full_attention"] }],
    ["qwen2", "sliding_window", { sliding_window: null, layer_types: Array(3).fill("sliding_attention") }],
    ["qwen3", "head_dim", { head_dim: 1e9 }],
    ["qwen3", "num_key_value_heads", { num_key_value_heads: 3 }],
    ["qwen3", "rope_scaling: rope_type", { rope_parameters: null, rope_scaling: { rope_type: "yarn" } }],
    ["gemma", "hidden_activation", { hidden_activation: "silu" }],
    ["gemma", "use_bidirectional_attention", { use_bidirectional_attention: true }],
    ["gemma2", "attn_logit_softcapping", { attn_logit_softcapping: 0 }],
    ["gemma2", "attn_logit_softcapping", { attn_logit_softcapping: [50] }],
    ["gemma2", "final_logit_softcapping", { final_logit_softcapping: -30 }],
    ["gemma2", "query_pre_attn_scalar", { query_pre_attn_scalar: 0 }],
    ["gemma2", "query_pre_attn_scalar", { query_pre_attn_scalar: null }],
    ["gemma2", "hidden_activation", { hidden_activation: "gelu" }],
    ["gemma2", "sliding_window", { sliding_window: null }],
    ["gemma2", "head_dim", { head_dim: 12 }],
    ["gemma3", "rope_parameters", { rope_parameters: "x" }],
    ["gemma3", "rope_parameters.sliding_attention", { rope_parameters: { full_attention: {} } }],
    [
      "gemma3",
      "rope_parameters.full_attention: rope_type",
      { rope_parameters: { ...NESTED, full_attention: { rope_type: "ntk" } } },
    ],
    ["gemma3", "rope_local_base_freq", { rope_parameters: null, rope_local_base_freq: -1 }],
    ["gemma3", "sliding_window_pattern", { sliding_window_pattern: 0 }],
    ["gemma3", "use_bidirectional_attention", { use_bidirectional_attention: "yes" }],
    ["olmo2", "attention_bias", { attention_bias: {} }],
    ["olmo2", "vocab_size", { vocab_size: "50304" }],
    ["phi3", "partial_rotary_factor", { rope_parameters: null, partial_rotary_factor: -0.5 }],
    ["phi3-longrope", "rope_parameters: short_factor", { rope_parameters: { ...LONG, short_factor: [1] } }],
    ["phi3-longrope", "rope_parameters: long_factor", { rope_parameters: { ...LONG, long_factor: "1,2" } }],
    [
      "phi3-longrope",
      "rope_parameters: long_factor.2",
      { rope_parameters: { ...LONG, long_factor: [1, 1, 0, 1] } },
    ],
    [
      "phi3-longrope",
      "rope_parameters: original_max_position_embeddings",
      { rope_parameters: { ...LONG, original_max_position_embeddings: -1 } },
    ],
    ["phi3-longrope", "rope_parameters: rope_type", { rope_parameters: { ...LONG, rope_type: "llama-4" } }],
  ])("%s: %s %j", { timeout: 2000 }, (name, key, change) => {
    const attempt = (): unknown => describeRaw({ ...golden(name), ...change });
    expect(attempt).toThrow(FormatError);
    expect(attempt).toThrow(new RegExp(`^config\\.json: ${key.replaceAll(".", "\\.")}: expected .*, got `));
  });

  test.each<[string, unknown]>([
    ["text_config", { model_type: "gemma3" }],
    ["text_config", { model_type: "gemma3", text_config: [1] }],
    ["hidden_size", { model_type: "gemma3", text_config: { hidden_size: {} } }],
    ["model_type", { model_type: ["llama"] }],
    ["model_type", { model_type: "gemma4" }],
    ["model_type", { model_type: "constructor" }],
    ["auto_map", { ...golden("qwen2"), auto_map: {} }],
    ["quantization_config", { ...golden("mistral"), quantization_config: { load_in_4bit: true } }],
  ])("%s in %j", { timeout: 2000 }, (key, raw) => {
    expect(() => describeRaw(raw)).toThrow(FormatError);
    expect(() => describeRaw(raw)).toThrow(`${key}: expected `);
  });
});

describe("hostile files", () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));
  const deep = 400_000;
  test.each<[string, string]>([
    ["nothing", ""],
    ["half an object", '{"model_type": "llama", '],
    ["NaN", '{"model_type": "llama", "vocab_size": NaN}'],
    ["a number too large for a double", '{"model_type": "llama", "vocab_size": 1e999}'],
    [
      "an array half a million deep",
      `{"model_type": "llama", "vocab_size": ${"[".repeat(deep)}${"]".repeat(deep)}}`,
    ],
    ["a model type half a million deep", `{"model_type": ${"[".repeat(deep)}${"]".repeat(deep)}}`],
    ["more than a megabyte", `{"model_type": "${"x".repeat(2 ** 20)}"}`],
    ["a prototype", '{"__proto__": {"model_type": "llama", "vocab_size": 5}}'],
    ["fields in a prototype", '{"model_type": "llama", "__proto__": {"vocab_size": 5}}'],
  ])("%s is a FormatError that names the file", { timeout: 2000 }, async (_, text) => {
    const folder = await mkdtemp(join(tmpdir(), "tunediff-config-"));
    folders.push(folder);
    await writeFile(join(folder, "config.json"), text);
    const error = await readArchitecture(folder).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toContain(join(folder, "config.json"));
    expect((error as FormatError).message.length).toBeLessThan(600);
  });
});
