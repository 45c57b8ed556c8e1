// The ways in which published folders of a family differ from what transformers writes today: prefixes, old buffers,
// another modality beside the text model. Each reads as the plain folder does.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { rightPad } from "./batch.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { goldenWeights, readFamilyGolden } from "./family-golden.test.data.ts";
import { createFullModel } from "./runner.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

interface Variant {
  config?: object;
  rename?: (name: string) => string;
  /** Stored beside the model's own tensors, [1, 1] f32. */
  extra?: string[];
}

async function writeVariant(name: string, { config, rename = (stored) => stored, extra = [] }: Variant) {
  const golden = readFamilyGolden(name);
  const weights = goldenWeights(golden, 1);
  const folder = await mkdtemp(join(tmpdir(), "tunediff-lm-"));
  folders.push(folder);
  await writeFile(join(folder, "config.json"), JSON.stringify(config ?? golden.config));
  await writeSafetensors(join(folder, "model.safetensors"), [
    ...golden.tensors.map((tensor) => ({
      name: rename(tensor.name),
      dtype: "F32" as const,
      shape: tensor.shape,
      data: weights.get(tensor.name) ?? new Float32Array(),
    })),
    ...extra.map((stored) => ({
      name: stored,
      dtype: "F32" as const,
      shape: [1, 1],
      data: Float32Array.of(7),
    })),
  ]);
  return folder;
}

async function run(folder: string) {
  const checkpoint = await openCheckpoint(folder);
  const model = await createFullModel(checkpoint, { layers: [0, 1, 2], threads: 1 });
  const outputs = await model.run(rightPad([[5, 6, 7, 8, 9, 10, 11, 12]]));
  await model.dispose();
  await checkpoint.close();
  return { outputs, warnings: checkpoint.warnings };
}

const multimodal = { model_type: "gemma3", text_config: readFamilyGolden("gemma3").config };

test.each<[string, string, Variant]>([
  [
    "GPT-2 as first published: no prefix, mask buffers",
    "gpt2",
    {
      rename: (name) => name.replace(/^transformer\./, ""),
      extra: ["h.0.attn.bias", "h.2.attn.masked_bias"],
    },
  ],
  [
    "GPT-2 with a prefix and mask buffers",
    "gpt2",
    { extra: ["transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias"] },
  ],
  [
    "Pythia as first published: mask buffers and frequencies",
    "gpt-neox",
    {
      extra: ["bias", "masked_bias", "rotary_emb.inv_freq"].map(
        (buffer) => `gpt_neox.layers.1.attention.${buffer}`,
      ),
    },
  ],
  [
    "Gemma 3 with a vision tower",
    "gemma3",
    {
      config: multimodal,
      rename: (name) => `language_model.${name}`,
      extra: [
        "vision_tower.encoder.layers.0.layer_norm1.bias",
        "multi_modal_projector.mm_soft_emb_norm.weight",
      ],
    },
  ],
  ["Gemma 3 multimodal by config alone", "gemma3", { config: multimodal }],
  [
    "Llama with the frequencies older versions stored",
    "llama-llama3",
    { extra: ["model.layers.0.self_attn.rotary_emb.inv_freq"] },
  ],
])("%s", async (_, name, variant) => {
  const plain = await run(await writeVariant(name, {}));
  const odd = await run(await writeVariant(name, variant));
  expect(odd.outputs).toEqual(plain.outputs);
  expect(odd.warnings).toEqual([]);
});

test.each<[string, string]>([
  ["gpt2", "transformer.h.0.attn.c_attn.lora_A"],
  ["gpt-neox", "gpt_neox.layers.0.attention.query_key_value.scale"],
  ["gemma2", "model.layers.1.self_attn.q_norm.weight"],
  ["qwen3", "model.layers.0.self_attn.q_proj.bias"],
  ["llama-llama3", "model.layers.0.self_attn.q_proj.bias"],
])("%s: a tensor of a block that config.json does not speak of (%s) is refused", async (name, extra) => {
  const folder = await writeVariant(name, { extra: [extra] });
  await expect(openCheckpoint(folder)).rejects.toThrow(FormatError);
  await expect(openCheckpoint(folder)).rejects.toThrow(extra.replace(/^transformer\./, ""));
});
