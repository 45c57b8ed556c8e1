// A SmolLM-135M-shaped Llama with random weights, written for a bench and deleted by it: real sizes, no meaning.

import { once } from "node:events";
import { createWriteStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { blockTensors, outerTensors } from "../src/lm/architecture.ts";
import { describeArchitecture } from "../src/lm/config.ts";

export const SMOLLM_SHAPE = {
  model_type: "llama",
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
};

/** Writes the checkpoint tensor by tensor: it need not fit in memory. */
export async function writeSmolLmShaped(folder: string, dtype: "F32" | "BF16"): Promise<void> {
  const architecture = describeArchitecture(SMOLLM_SHAPE, "config.json");
  const tensors = [
    ...outerTensors(architecture),
    ...Array.from({ length: SMOLLM_SHAPE.num_hidden_layers }, (_, layer) =>
      blockTensors(architecture, layer),
    ).flat(),
  ];
  const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const bytesPerNumber = dtype === "F32" ? 4 : 2;
  let begin = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, shape }) => {
      const end = begin + size(shape) * bytesPerNumber;
      const entry = { dtype, shape, data_offsets: [begin, end] };
      begin = end;
      return [name, entry];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(join(folder, "config.json"), JSON.stringify(SMOLLM_SHAPE));
  const out = createWriteStream(join(folder, "model.safetensors"));
  out.write(length);
  out.write(json);
  let state = 1;
  for (const { name, shape } of tensors) {
    const values = new Float32Array(size(shape));
    for (let i = 0; i < values.length; i += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      values[i] = /norm/.test(name) ? 1 : state * 2 ** -36;
    }
    const words = new Uint16Array(values.buffer);
    const data = dtype === "F32" ? words : words.filter((_, i) => i % 2 === 1);
    if (!out.write(new Uint8Array(data.buffer))) await once(out, "drain");
  }
  out.end();
  await finished(out);
}
