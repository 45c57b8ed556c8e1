// LoRA adapters over a base: PEFT's own merge as the measure, and every way in which an adapter can be unfit.

import { cp, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ConfigError, FormatError, MismatchError, NumericsError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { createRng } from "../numerics/rng.ts";
import { packageRoot } from "../package-root.ts";
import { addLowRank, openAdapter, openModel } from "./adapter.ts";
import { parseAdapterConfig } from "./adapter-config.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { createFullModel } from "./runner.ts";
import { worstRowError } from "./tiny-llama.test.data.ts";

const GOLDEN = join(packageRoot(), "test", "golden", "adapters");
const base = (name: string): string => join(GOLDEN, `base-${name}`);
const adapter = (name: string): string => join(GOLDEN, `adapter-${name}`);

const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

/** A copy of a golden folder, to be damaged. */
async function copyOf(folder: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "tunediff-adapter-"));
  folders.push(copy);
  await cp(folder, copy, { recursive: true });
  return copy;
}

async function withConfig(change: object, name = "patterns"): Promise<string> {
  const folder = await copyOf(adapter(name));
  const path = join(folder, "adapter_config.json");
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...change }));
  return folder;
}

async function withTensors(
  change: (tensors: TensorToWrite[]) => TensorToWrite[],
  name = "patterns",
): Promise<string> {
  const folder = await copyOf(adapter(name));
  const path = join(folder, "adapter_model.safetensors");
  const file = await openSafetensors(path);
  const tensors: TensorToWrite[] = [];
  for (const { name: tensor, shape } of file.tensors.values()) {
    tensors.push({ name: tensor, dtype: "F32", shape: [...shape], data: await file.readFloat32(tensor) });
  }
  await file.close();
  await writeSafetensors(path, change(tensors));
  return folder;
}

async function refusal(adapterFolder: string, baseFolder = base("patterns")): Promise<Error> {
  return openAdapter(baseFolder, adapterFolder).then(
    async (checkpoint) => {
      await checkpoint.close();
      return new Error("accepted");
    },
    (reason: unknown) => reason as Error,
  );
}

describe("merged as PEFT merges", () => {
  // patterns: rank_pattern, alpha_pattern, a head saved whole. embedding: lora_embedding_A/B, a base_layer beside it.
  // conv1d: weights [in, out], square ones too, all biases. tied-head: only the head changes.
  test.each(["patterns", "embedding", "tied-head", "conv1d"])("%s: tensors and logits", async (name) => {
    const expected = await openSafetensors(join(GOLDEN, `merged-${name}.safetensors`));
    const checkpoint = await openAdapter(base(name), adapter(name));
    let nCompared = 0;
    for (const { name: stored, shape } of expected.tensors.values()) {
      if (stored === "logits" || stored === "tokens") continue;
      const canonical = stored.replace(/^transformer\./, "");
      if (canonical === "lm_head.weight" && name === "conv1d") continue; // tied and unchanged
      const merged = await checkpoint.readTensor(canonical, shape);
      // f32: one product of at most 5 terms, its order of summation the only difference.
      expect(worstRowError(merged, await expected.readFloat32(stored), merged.length)).toBeLessThan(1e-6);
      nCompared += 1;
    }
    expect(nCompared).toBe(expected.tensors.size - (name === "conv1d" ? 3 : 2));

    const tokenIds = Int32Array.from(await expected.readBytes("tokens").then(asInt64), Number);
    const model = await createFullModel(checkpoint, { threads: 1 });
    const { logits } = await model.run({
      tokenIds,
      batch: 1,
      length: tokenIds.length,
      lengths: Int32Array.of(tokenIds.length),
    });
    // f32 through two blocks, as for the models without an adapter.
    expect(worstRowError(logits, await expected.readFloat32("logits"), 31)).toBeLessThan(1e-5);
    await model.dispose();
    await checkpoint.close();
    await expected.close();
  });

  test("without the adapter the same comparison fails", async () => {
    const expected = await openSafetensors(join(GOLDEN, "merged-patterns.safetensors"));
    const plain = await openModel(base("patterns"));
    const name = "model.layers.1.mlp.down_proj.weight";
    const [got, want] = [await plain.readTensor(name, [16, 24]), await expected.readFloat32(name)];
    expect(worstRowError(got, want, got.length)).toBeGreaterThan(0.1);
    await Promise.all([plain.close(), expected.close()]);
  });

  test("the product of many blocks equals the sum written out, for both layouts and odd sizes", async () => {
    const normals = (name: string, n: number): Float32Array => {
      const rng = createRng(3, name);
      return Float32Array.from({ length: n }, (_, i) => rng.normal(0, i));
    };
    for (const [nOut, nIn, rank] of [
      [1, 1, 1],
      [5, 3, 7],
      [2100, 2003, 2], // more than one block of 2²² numbers
    ]) {
      for (const isTransposed of [false, true]) {
        const [a, b] = [normals("a", rank * nIn), normals("b", nOut * rank)];
        const target = new Float32Array(nOut * nIn).fill(0.25);
        await addLowRank(target, { a, b, change: { rank, scale: 1.5, isTransposed } });
        let worst = 0;
        for (let o = 0; o < nOut; o += 1) {
          for (let i = 0; i < nIn; i += 1) {
            let sum = 0;
            for (let r = 0; r < rank; r += 1) sum += b[o * rank + r] * a[r * nIn + i];
            const got = target[isTransposed ? i * nOut + o : o * nIn + i];
            worst = Math.max(worst, Math.abs(got - (0.25 + 1.5 * sum)));
          }
        }
        expect(worst).toBeLessThan(1e-5); // f32 numbers of size up to 50
      }
    }
  });
});

function asInt64(bytes: Uint8Array): BigInt64Array {
  return new BigInt64Array(bytes.buffer, 0, bytes.length / 8);
}

describe("an opened adapter", () => {
  const hashOf = async (opening: Promise<Checkpoint>): Promise<string> => {
    const checkpoint = await opening;
    await checkpoint.close();
    return checkpoint.hash;
  };

  test("is hashed over the base and itself", async () => {
    const own = await hashOf(openAdapter(base("patterns"), adapter("patterns")));
    expect(await hashOf(openAdapter(await copyOf(base("patterns")), await withTensors((t) => t)))).not.toBe(
      own,
    );
    const otherBase = await copyOf(base("patterns"));
    await writeFile(join(otherBase, "config.json"), `${await readFile(join(otherBase, "config.json"))} `);
    expect(await hashOf(openAdapter(otherBase, adapter("patterns")))).not.toBe(own);
    expect(await hashOf(openAdapter(await copyOf(base("patterns")), await copyOf(adapter("patterns"))))).toBe(
      own,
    );
    expect(await hashOf(openModel(base("patterns")))).not.toBe(own);
  });

  test("says what it merged, and warns when its config names another base", async () => {
    const silent = await openModel(adapter("patterns"), { base: base("patterns") });
    expect(silent.adapter).toMatchObject({ nModules: 8, nReplaced: 1, baseName: undefined });
    expect(silent.warnings).toEqual([]);
    await silent.close();
    const named = await openAdapter(
      base("patterns"),
      await withConfig({ base_model_name_or_path: "org/other" }),
    );
    expect(named.warnings.join()).toContain("trained over other");
    await named.close();
    const right = await withConfig({ base_model_name_or_path: "org/base-patterns" });
    const fitting = await openAdapter(base("patterns"), right);
    expect(fitting.warnings).toEqual([]);
    await fitting.close();
  });

  test("finds its modules whether it was made over the language model or the bare trunk", async () => {
    const name = "model.layers.1.mlp.up_proj.weight";
    const trunk = await withTensors(
      (tensors) =>
        tensors.map((t) => ({ ...t, name: t.name.replace("base_model.model.model.", "base_model.model.") })),
      "tied-head",
    );
    const [one, other] = [
      await openAdapter(base("tied-head"), adapter("tied-head")),
      await openAdapter(base("tied-head"), trunk),
    ];
    expect(await other.readTensor(name, [24, 16])).toEqual(await one.readTensor(name, [24, 16]));
    await Promise.all([one.close(), other.close()]);
  });

  test("needs a base, which is no adapter itself", async () => {
    await expect(openCheckpoint(adapter("patterns"))).rejects.toThrow("found a LoRA adapter");
    await expect(openModel(adapter("patterns"))).rejects.toThrow(ConfigError);
    expect(await refusal(adapter("patterns"), adapter("patterns"))).toBeInstanceOf(ConfigError);
  });
});

describe("refused", () => {
  test.each<[string, object]>([
    ["peft_type", { peft_type: "IA3" }],
    ["peft_type", { peft_type: undefined }],
    ["task_type", { task_type: "SEQ_CLS" }],
    ["use_dora", { use_dora: true }],
    ["lora_bias", { lora_bias: true }],
    ["layer_replication", { layer_replication: [[0, 1]] }],
    ["trainable_token_indices", { trainable_token_indices: [1] }],
    ["alora_invocation_tokens", { alora_invocation_tokens: [1, 2] }],
    ["target_parameters", { target_parameters: ["x"] }],
    ["init_lora_weights", { init_lora_weights: "pissa" }],
    ["a_key_of_tomorrow", { a_key_of_tomorrow: 1 }],
    ["r", { r: 0 }],
    ["r", { r: 1.5 }],
    ["lora_alpha", { lora_alpha: "x" }],
    ["lora_alpha", { lora_alpha: null }],
    ["rank_pattern: q_proj", { rank_pattern: { q_proj: 0 } }],
    ["rank_pattern", { rank_pattern: { "(q+)+": 2 } }],
    ["rank_pattern", { rank_pattern: { ".*.*.*proj": 2 } }],
    ["alpha_pattern", { alpha_pattern: { "[": 2 } }],
    ["target_modules", { target_modules: ["q_proj"] }],
  ])("%s in adapter_config.json: %j", async (key, change) => {
    const error = await refusal(await withConfig(change));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(`adapter_config.json: ${key}`);
    expect(error.message).toMatch(/expected .*got/);
  });

  test("an adapter_config.json that is no object, no JSON, missing or far too large", async () => {
    expect(() => parseAdapterConfig([], "x")).toThrow(FormatError);
    const folder = await copyOf(adapter("patterns"));
    const path = join(folder, "adapter_config.json");
    await writeFile(path, "{ cut");
    expect((await refusal(folder)).message).toContain("expected JSON");
    await truncate(path, 2 ** 20 + 1);
    expect((await refusal(folder)).message).toContain("bytes");
    await rm(path);
    expect(await refusal(folder)).toBeInstanceOf(FormatError);
  });

  test("weights that are missing, a pickle, cut short or a link elsewhere", async () => {
    const folder = await copyOf(adapter("patterns"));
    const path = join(folder, "adapter_model.safetensors");
    await truncate(path, 3000);
    expect(await refusal(folder)).toBeInstanceOf(FormatError);
    await rm(path);
    expect((await refusal(folder)).message).toContain("no such file");
    await symlink(join(adapter("patterns"), "adapter_model.safetensors"), path);
    expect((await refusal(folder)).message).toContain("link");
    await rename(path, join(folder, "adapter_model.bin"));
    expect((await refusal(folder)).message).toContain("pickle");
  });

  const Q = "base_model.model.model.layers.0.self_attn.q_proj";

  test("another rank than the config says", async () => {
    const error = await refusal(await withConfig({ rank_pattern: {} }));
    expect(error).toBeInstanceOf(MismatchError);
    expect(error.message).toMatch(/expected shape \[4, 16\].*got \[2, 16\]/);
  });

  test("the adapter of a wider, deeper or other model, with both values", async () => {
    const wide = await withTensors((tensors) =>
      tensors.map((t) => (t.name === `${Q}.lora_A.weight` ? { ...t, shape: [4, 8] } : t)),
    );
    expect((await refusal(wide)).message).toMatch(/expected shape \[2, 16\].*got \[4, 8\]/);
    const deep = await withTensors((tensors) =>
      tensors.map((t) => ({ ...t, name: t.name.replace("layers.1.", "layers.7.") })),
    );
    const error = await refusal(deep);
    expect(error).toBeInstanceOf(MismatchError);
    expect(error.message).toMatch(/llama with 2 layers .* got model\.layers\.7\./);
    expect(await refusal(adapter("conv1d"))).toBeInstanceOf(MismatchError);
  });

  test("a tensor without its other half, or of a kind that is not merged", async () => {
    const half = await withTensors((tensors) => tensors.filter((t) => t.name !== `${Q}.lora_B.weight`));
    expect((await refusal(half)).message).toContain("expected lora_A and lora_B");
    for (const name of [`${Q}.lora_magnitude_vector`, `${Q}.lora_B.bias`, "something.weight"]) {
      const odd: TensorToWrite = { name, dtype: "F32", shape: [16], data: new Float32Array(16) };
      const error = await refusal(await withTensors((tensors) => [...tensors, odd]));
      expect(error).toBeInstanceOf(FormatError);
      expect(error.message).toContain(name);
    }
  });

  test("a changed embedding whose head is tied to it", async () => {
    const folder = await withTensors(
      (tensors) => [
        ...tensors.filter(({ name }) => !name.includes("lm_head")),
        {
          name: "base_model.model.model.embed_tokens.weight",
          dtype: "F32",
          shape: [31, 16],
          data: new Float32Array(31 * 16),
        },
      ],
      "tied-head",
    );
    expect((await refusal(folder, base("tied-head"))).message).toContain("the base ties the two");
  });

  test("a number that is not finite, when its tensor is read", async () => {
    const folder = await withTensors((tensors) =>
      tensors.map((t) =>
        t.name === `${Q}.lora_B.weight` ? { ...t, data: new Float32Array(32).fill(Infinity) } : t,
      ),
    );
    const checkpoint = await openAdapter(base("patterns"), folder);
    await expect(checkpoint.readTensor("model.layers.0.self_attn.q_proj.weight", [16, 16])).rejects.toThrow(
      NumericsError,
    );
    await checkpoint.close();
  });
});
