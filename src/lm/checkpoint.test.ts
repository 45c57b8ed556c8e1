// Checkpoint folders: whole ones, sharded ones, and every way in which a folder can be unfit.

import { mkdir, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { FormatError, NumericsError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { packageRoot } from "../package-root.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { loadUnembedding } from "./runner.ts";
import { TINY_CONFIG, tinyTensors, tinyWeights, writeTinyLlama } from "./tiny-llama.test.data.ts";

const TIED = { ...TINY_CONFIG, tie_word_embeddings: true };
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

async function tiny(config: object = TINY_CONFIG, weights = tinyWeights(config)): Promise<string> {
  const folder = await writeTinyLlama(config, weights);
  folders.push(folder);
  return folder;
}

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-lm-"));
  folders.push(folder);
  return folder;
}

async function refusal(folder: string): Promise<FormatError> {
  const error = await openCheckpoint(folder).then(
    async (checkpoint) => {
      await checkpoint.close();
      return new Error("accepted");
    },
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FormatError);
  const refused = error as FormatError;
  expect(refused.message).toMatch(/expected .*(got|found)/s);
  return refused;
}

/** The tiny model with its tensors dealt out to two shards. */
async function sharded(changeMap: (map: Record<string, string>) => void = () => {}): Promise<string> {
  const folder = await tiny();
  const tensors = tinyTensors(TINY_CONFIG, tinyWeights(TINY_CONFIG));
  const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const map: Record<string, string> = {};
  for (const [i, name] of names.entries()) {
    const own = tensors.filter((_, at) => at % 2 === i);
    for (const tensor of own) map[tensor.name] = name;
    await writeSafetensors(join(folder, name), own);
  }
  changeMap(map);
  await writeFile(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: { total_size: totalBytes(tensors) }, weight_map: map }),
  );
  await rm(join(folder, "model.safetensors"));
  return folder;
}

function totalBytes(tensors: TensorToWrite[]): number {
  return tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
}

async function rewrite(folder: string, change: (tensors: TensorToWrite[]) => TensorToWrite[]): Promise<void> {
  const tensors = tinyTensors(TINY_CONFIG, tinyWeights(TINY_CONFIG));
  await writeSafetensors(join(folder, "model.safetensors"), change(tensors));
}

describe("a whole checkpoint", () => {
  test("gives every tensor, single file or sharded", async () => {
    const weights = tinyWeights(TINY_CONFIG);
    for (const folder of [await tiny(), await sharded()]) {
      const checkpoint = await openCheckpoint(folder);
      expect(checkpoint.warnings).toEqual([]);
      for (const { name, shape } of tinyTensors(TINY_CONFIG, weights)) {
        expect(await checkpoint.readTensor(name, shape)).toEqual(weights.get(name));
      }
      await expect(checkpoint.readTensor("model.norm.weight", [31])).rejects.toThrow(FormatError);
      await expect(checkpoint.readTensor("nothing", [1])).rejects.toThrow(FormatError);
      await checkpoint.close();
    }
  });

  test("is hashed over config and weights: equal content, equal hash; one changed byte, another hash", async () => {
    const hashOf = async (folder: string): Promise<string> => {
      const checkpoint = await openCheckpoint(folder);
      await checkpoint.close();
      return checkpoint.hash;
    };
    const folder = await tiny();
    const hash = await hashOf(folder);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(await hashOf(await tiny())).toBe(hash);
    const config = await readFile(join(folder, "config.json"), "utf8");
    await writeFile(join(folder, "config.json"), `${config} `);
    expect(await hashOf(folder)).not.toBe(hash);
    const other = tinyWeights(TINY_CONFIG);
    other.get("model.norm.weight")?.fill(1, 0, 1);
    expect(await hashOf(await tiny(TINY_CONFIG, other))).not.toBe(hash);
  });

  test("may mix F32, F16 and BF16; each number is the one that was stored", async () => {
    const folder = await tiny();
    const dtypes = ["F32", "F16", "BF16"] as const;
    const stored = new Map<string, Float32Array>();
    await rewrite(folder, (tensors) =>
      tensors.map((tensor, at) => {
        const values = Float32Array.from({ length: tensor.data.byteLength / 4 }, (_, i) => (i % 9) - 4);
        stored.set(tensor.name, values);
        const dtype = dtypes[at % 3];
        // Whole numbers from −4 to 4 are exact in all three; bit patterns of f16 and bf16 by hand.
        const f16 = [0xc400, 0xc200, 0xc000, 0xbc00, 0, 0x3c00, 0x4000, 0x4200, 0x4400];
        const bf16 = [0xc080, 0xc040, 0xc000, 0xbf80, 0, 0x3f80, 0x4000, 0x4040, 0x4080];
        const bits = dtype === "F16" ? f16 : bf16;
        const data = dtype === "F32" ? values : Uint16Array.from(values, (value) => bits[value + 4]);
        return { ...tensor, dtype, data };
      }),
    );
    const checkpoint = await openCheckpoint(folder);
    for (const { name, shape } of tinyTensors(TINY_CONFIG, tinyWeights(TINY_CONFIG))) {
      expect(await checkpoint.readTensor(name, shape)).toEqual(stored.get(name));
    }
    await checkpoint.close();
  });

  test("with an index beside the single file reads the single file and says so", async () => {
    const [folder, shards] = [await tiny(), await sharded()];
    const index = "model.safetensors.index.json";
    await writeFile(join(folder, index), await readFile(join(shards, index)));
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.warnings.join()).toContain("the single file is read");
    expect(checkpoint.files.map(({ name }) => name)).toEqual(["config.json", "model.safetensors"]);
    await checkpoint.close();
  });

  test("whose index counts other bytes or more shards is read with a warning", async () => {
    const folder = await sharded();
    const path = join(folder, "model.safetensors.index.json");
    const { weight_map } = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ weight_map, metadata: { total_size: 12 } }));
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const renamed = Object.fromEntries(
      Object.entries(weight_map).map(([name, shard]) => [
        name,
        String(shard).replace("-of-00002", "-of-00003"),
      ]),
    );
    const counted = await openCheckpoint(folder);
    expect(counted.warnings.join()).toMatch(/index speaks of 12 bytes of tensors, its shards hold \d+/);
    await counted.close();
    for (const shard of shards)
      await rename(join(folder, shard), join(folder, shard.replace("-of-00002", "-of-00003")));
    await writeFile(path, JSON.stringify({ weight_map: renamed }));
    const named = await openCheckpoint(folder);
    expect(named.warnings.join()).toContain("names 2 shards, their names say 3");
    await named.close();
  });

  test("is read through a Hugging Face cache, where files are links to blobs", async () => {
    const [folder, cache] = [await tiny(), await scratch()];
    const snapshot = join(cache, "snapshots", "abc");
    await mkdir(snapshot, { recursive: true });
    await rename(folder, join(cache, "blobs"));
    for (const name of ["config.json", "model.safetensors"]) {
      await symlink(join("..", "..", "blobs", name), join(snapshot, name));
    }
    const checkpoint = await openCheckpoint(snapshot);
    expect(checkpoint.config.dModel).toBe(32);
    await checkpoint.close();
  });
});

describe("names with a prefix", () => {
  const gpt2 = (name: string): string => join(packageRoot(), "test", "golden", "adapters", name);
  const rewritten = async (change: (tensors: TensorToWrite[]) => TensorToWrite[]): Promise<string> => {
    const folder = await scratch();
    const source = await openSafetensors(join(gpt2("base-conv1d"), "model.safetensors"));
    const tensors: TensorToWrite[] = [];
    for (const { name, shape } of source.tensors.values()) {
      tensors.push({ name, dtype: "F32", shape: [...shape], data: await source.readFloat32(name) });
    }
    await source.close();
    await writeFile(join(folder, "config.json"), await readFile(join(gpt2("base-conv1d"), "config.json")));
    await writeSafetensors(join(folder, "model.safetensors"), change(tensors));
    return folder;
  };
  const withNames = (rename: (name: string) => string): Promise<string> =>
    rewritten((tensors) => tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) })));

  test("are read under the names without it, and both give the same tensors", async () => {
    const bare = await openCheckpoint(await withNames((name) => name.replace("transformer.", "")));
    const prefixed = await openCheckpoint(gpt2("base-conv1d"));
    expect(bare.warnings).toEqual([]);
    expect(prefixed.warnings).toEqual([]);
    const name = "h.1.attn.c_proj.weight";
    expect(await prefixed.readTensor(name, [16, 16])).toEqual(await bare.readTensor(name, [16, 16]));
    await Promise.all([bare.close(), prefixed.close()]);
  });

  test("are refused where some have it and some do not, with the stored name", async () => {
    for (const odd of ["transformer.h.1.ln_1.bias", "transformer.ln_f.weight"]) {
      const without = await withNames((name) => (name === odd ? name.replace("transformer.", "") : name));
      expect((await refusal(without)).message).toContain(`found ${odd.replace("transformer.", "")}`);
      const only = await withNames((name) => (name === odd ? name : name.replace("transformer.", "")));
      expect((await refusal(only)).message).toContain(`found ${odd}`);
    }
  });

  test("appear as they are stored where a tensor has no place", async () => {
    const unknown = await withNames((name) => name.replace("h.1.ln_1.bias", "h.1.ln_1.offset"));
    expect((await refusal(unknown)).message).toContain("expected tensor h.1.ln_1.bias");
    const more = (name: string): Promise<string> =>
      rewritten((tensors) => [...tensors, { name, dtype: "F32", shape: [1], data: new Float32Array(1) }]);
    const checkpoint = await openCheckpoint(await more("transformer.score"));
    expect(checkpoint.warnings.join()).toContain("tensor transformer.score is not part of gpt2");
    await checkpoint.close();
    expect((await refusal(await more("transformer.h.0.gate"))).message).toContain(
      "found transformer.h.0.gate",
    );
  });
});

describe("the head", () => {
  test("of a tied model is the embedding, stored or not", async () => {
    const weights = tinyWeights(TIED);
    const folder = await tiny(TIED, weights);
    const embedding = weights.get("model.embed_tokens.weight") ?? new Float32Array();
    for (const withHead of [false, true]) {
      if (withHead) {
        const head = { name: "lm_head.weight", dtype: "F32" as const, shape: [97, 32], data: embedding };
        await writeSafetensors(join(folder, "model.safetensors"), [...tinyTensors(TIED, weights), head]);
      }
      const checkpoint = await openCheckpoint(folder);
      const { head, finalNorm, vocab, dModel } = await loadUnembedding(checkpoint);
      await checkpoint.close();
      expect({ head, vocab, dModel }).toEqual({ head: embedding, vocab: 97, dModel: 32 });
      expect(finalNorm).toEqual(weights.get("model.norm.weight"));
      expect(checkpoint.warnings).toEqual([]);
    }
  });

  test("that is stored and differs from the embedding it should be tied to is used, with a warning", async () => {
    const weights = tinyWeights(TIED);
    const folder = await tiny(TIED, weights);
    const data = new Float32Array(97 * 32).fill(0.5);
    await writeSafetensors(join(folder, "model.safetensors"), [
      ...tinyTensors(TIED, weights),
      { name: "lm_head.weight", dtype: "F32", shape: [97, 32], data },
    ]);
    const checkpoint = await openCheckpoint(folder);
    expect((await loadUnembedding(checkpoint)).head).toEqual(data);
    expect(checkpoint.warnings.join()).toContain("lm_head.weight is stored and differs");
    await checkpoint.close();
  });
});

describe("refused", () => {
  test("a missing folder, a file in its place, an empty folder", async () => {
    const folder = await scratch();
    expect((await refusal(join(folder, "nowhere"))).message).toContain("nowhere");
    await writeFile(join(folder, "file"), "");
    expect((await refusal(join(folder, "file"))).message).toContain("found a file");
    expect((await refusal(await scratch())).message).toContain("found an empty folder");
  });

  test("weights without config.json, or with one that is no JSON or far too large", async () => {
    const folder = await tiny();
    const config = join(folder, "config.json");
    await writeFile(config, "{ cut");
    expect((await refusal(folder)).message).toContain("expected JSON");
    await truncate(config, 2 ** 20 + 1);
    expect((await refusal(folder)).message).toContain("bytes");
    await rm(config);
    expect((await refusal(folder)).message).toContain("config.json: expected a file");
  });

  test("a folder that holds only a pickle, with the way to convert it", async () => {
    const folder = await tiny();
    await rename(join(folder, "model.safetensors"), join(folder, "pytorch_model.bin"));
    const { message, hint } = await refusal(folder);
    expect(message).toContain("pytorch_model.bin");
    expect(message).toContain("pickle");
    expect(hint).toContain("save_pretrained");
  });

  test("a pickle named model.safetensors", async () => {
    const folder = await tiny();
    await writeFile(join(folder, "model.safetensors"), Buffer.from([0x50, 0x4b, 3, 4, ...Array(60).fill(1)]));
    expect((await refusal(folder)).message).toContain("zip archive");
  });

  test("a truncated weight file", async () => {
    const folder = await tiny();
    await truncate(join(folder, "model.safetensors"), 20_000);
    await refusal(folder);
  });

  test("a tensor that is missing, of another shape or another dtype, before anything is read", async () => {
    const folder = await tiny();
    const name = "model.layers.1.mlp.up_proj.weight";
    await rewrite(folder, (tensors) => tensors.filter((tensor) => tensor.name !== name));
    expect((await refusal(folder)).message).toContain(`expected tensor ${name} [40, 32], found none`);
    await rewrite(folder, (tensors) => tensors.map((t) => (t.name === name ? { ...t, shape: [32, 40] } : t)));
    expect((await refusal(folder)).message).toContain(
      `${name}: expected shape [40, 32] from config.json, got [32, 40]`,
    );
    const bytes = { dtype: "I8" as const, data: new Int8Array(40 * 32) };
    await rewrite(folder, (tensors) => tensors.map((t) => (t.name === name ? { ...t, ...bytes } : t)));
    expect((await refusal(folder)).message).toContain("I8");
  });

  test("a head that is missing though the config does not tie it", async () => {
    const folder = await tiny();
    await rewrite(folder, (tensors) => tensors.filter(({ name }) => name !== "lm_head.weight"));
    expect((await refusal(folder)).message).toContain("lm_head.weight");
  });

  test("a bias in a block that the config does not know; elsewhere an extra tensor is only a warning", async () => {
    const folder = await tiny();
    const extra = (name: string): TensorToWrite => ({
      name,
      dtype: "F32",
      shape: [2],
      data: new Float32Array(2),
    });
    await rewrite(folder, (tensors) => [...tensors, extra("model.layers.0.self_attn.q_proj.bias")]);
    expect((await refusal(folder)).message).toContain("q_proj.bias");
    await rewrite(folder, (tensors) => [
      ...tensors,
      extra("model.layers.0.self_attn.rotary_emb.inv_freq"),
      extra("score.weight"),
    ]);
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.warnings).toEqual([
      `${folder}: tensor score.weight is not part of llama and is ignored`,
    ]);
    await checkpoint.close();
  });

  test.each<[string, string]>([
    ["a path out of the folder", "../evil.safetensors"],
    ["an absolute path", "/etc/evil.safetensors"],
    ["a backslash", "a\\evil.safetensors"],
    ["a pickle", "pytorch_model-00001-of-00002.bin"],
    ["a shard that is not there", "model-00003-of-00003.safetensors"],
  ])("an index that names %s", async (_, shard) => {
    const folder = await sharded((map) => {
      map["model.norm.weight"] = shard;
    });
    const { message } = await refusal(folder);
    expect(message).toContain("model.safetensors.index.json");
  });

  test("an index whose tensor is not in the shard it names", async () => {
    const folder = await sharded((map) => {
      map["model.extra"] = "model-00001-of-00002.safetensors";
    });
    expect((await refusal(folder)).message).toContain("model.extra");
  });

  test("one tensor in two shards", async () => {
    const folder = await sharded();
    const tensors = tinyTensors(TINY_CONFIG, tinyWeights(TINY_CONFIG));
    await writeSafetensors(join(folder, "model-00002-of-00002.safetensors"), [
      ...tensors.filter((_, at) => at % 2 === 1),
      tensors[0],
    ]);
    expect((await refusal(folder)).message).toContain(`${tensors[0].name} in one shard`);
  });

  test("a shard that is cut short, a pickle, or a link to a file elsewhere", async () => {
    const [folder, elsewhere] = [await sharded(), await scratch()];
    const shard = join(folder, "model-00002-of-00002.safetensors");
    const bytes = await readFile(shard);
    await truncate(shard, bytes.length - 1);
    expect((await refusal(folder)).message).toContain("model-00002-of-00002.safetensors");
    await writeFile(shard, Buffer.from([0x80, 0x04, 0x95, ...Array(60).fill(1)]));
    expect((await refusal(folder)).message).toMatch(/pickle/i);
    await writeFile(join(elsewhere, "shard"), bytes);
    await rm(shard);
    await symlink(join(elsewhere, "shard"), shard);
    expect((await refusal(folder)).message).toContain("link");
  });

  test("an index of 250 MB, of 50 million brackets, of 20,000 shards: at once and without holding them", async () => {
    const folder = await sharded();
    const path = join(folder, "model.safetensors.index.json");
    const before = process.memoryUsage().rss;
    const started = performance.now();
    await writeFile(path, Buffer.alloc(50e6, "["));
    expect((await refusal(folder)).message).toContain("levels");
    await truncate(path, 250e6 + 1);
    expect((await refusal(folder)).message).toContain("bytes");
    const map = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`t${i}`, `model-${i}-of-20000.safetensors`]),
    );
    await writeFile(path, JSON.stringify({ weight_map: map }));
    expect((await refusal(folder)).message).toContain("at most 10000 shards");
    expect(performance.now() - started).toBeLessThan(10_000); // a parser at work takes minutes
    expect(process.memoryUsage().rss - before).toBeLessThan(512 * 2 ** 20);
  });

  test.each(["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": "x"}'])(
    "an index that reads %j",
    async (text) => {
      const folder = await sharded();
      await writeFile(join(folder, "model.safetensors.index.json"), text);
      expect((await refusal(folder)).message).toContain("model.safetensors.index.json");
    },
  );

  test("weights that are a link to a file elsewhere", async () => {
    const [folder, elsewhere] = [await tiny(), await scratch()];
    await rename(join(folder, "model.safetensors"), join(elsewhere, "model.safetensors"));
    await symlink(join(elsewhere, "model.safetensors"), join(folder, "model.safetensors"));
    expect((await refusal(folder)).message).toContain("link");
  });

  test("a weight that is not a finite number, when it is read", async () => {
    const weights = tinyWeights(TINY_CONFIG);
    weights.get("model.norm.weight")?.fill(Number.NaN, 5, 6);
    const checkpoint = await openCheckpoint(await tiny(TINY_CONFIG, weights));
    const reading = checkpoint.readTensor("model.norm.weight", [32]);
    await expect(reading).rejects.toThrow(NumericsError);
    await expect(reading).rejects.toThrow("model.norm.weight: expected finite numbers, got NaN at index 5");
    await checkpoint.close();
  });
});
