import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { openAdapter } from "../../../src/lm/adapter.ts";
import { readPlantedAdapters } from "../../../src/truth/adapter-file.ts";

const FOLDER = import.meta.dirname;
const facts: { module: string; layer: number; adapters: { name: string }[] } = JSON.parse(
  readFileSync(join(FOLDER, "adapters.json"), "utf8"),
);
const names = facts.adapters.map(({ name }) => name);

async function factors(name: string): Promise<{ a: Float32Array; b: Float32Array }> {
  const file = await openSafetensors(join(FOLDER, name, "adapter_model.safetensors"));
  const prefix = `base_model.model.${facts.module}`;
  try {
    return {
      a: await file.readFloat32(`${prefix}.lora_A.weight`),
      b: await file.readFloat32(`${prefix}.lora_B.weight`),
    };
  } finally {
    await file.close();
  }
}

test("all/ is the adapters stacked, in the order of adapters.json", async () => {
  const all = await factors("all");
  const { layer, adapters } = await readPlantedAdapters(FOLDER);
  expect(layer).toBe(facts.layer);
  expect(adapters.map(({ name }) => name)).toEqual(names);
  for (const [i, name] of names.entries()) {
    const { a, b } = await factors(name);
    expect(all.a.subarray(i * a.length, (i + 1) * a.length)).toEqual(a);
    expect(adapters[i].direction).toEqual(b);
    expect(Math.hypot(...b)).toBeCloseTo(1, 5);
  }
});

test("over the common model it changes one module, by the sum of B_i A_i", async () => {
  const [merged, plain] = await Promise.all(
    ["all", names[0]].map((name) => openAdapter(join(FOLDER, "common"), join(FOLDER, name))),
  );
  try {
    expect(merged.adapter).toMatchObject({ nModules: 1, nReplaced: 0 });
    expect(merged.warnings).toEqual([]);
    const name = `${facts.module}.weight`;
    const shape = [128, 384];
    const [all, first] = [await merged.readTensor(name, shape), await plain.readTensor(name, shape)];
    const rest = await Promise.all(names.slice(1).map(factors));
    for (const at of [0, 383, 384 * 64 + 17, 384 * 128 - 1]) {
      const change = rest.reduce((sum, { a, b }) => sum + b[Math.floor(at / 384)] * a[at % 384], 0);
      expect(all[at] - first[at]).toBeCloseTo(change, 5); // f32 weights of size 1
    }
  } finally {
    await merged.close();
    await plain.close();
  }
});
