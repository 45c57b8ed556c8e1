// The runners' border: what they refuse, and what they promise about padding, threads and loading.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, MismatchError, NumericsError, ShapeError } from "../errors.ts";
import { blockTensors } from "./architecture.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { planGraph } from "./graph.ts";
import { createFullModel, createPrefix, createSuffix, type Prefix } from "./runner.ts";
import { openSession } from "./session.ts";
import { TINY_CONFIG, worstRowError, writeTinyLlama } from "./tiny-llama.test.data.ts";
import { transposeInto } from "./transpose.ts";

let folder: string;
let checkpoint: Checkpoint;
let prefix: Prefix;
beforeAll(async () => {
  folder = await writeTinyLlama();
  checkpoint = await openCheckpoint(folder);
  prefix = await createPrefix(checkpoint, { layers: [2, 0], threads: 1 });
});
afterAll(async () => {
  await prefix.dispose();
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

const sequence = (ids: number[]) => ({
  tokenIds: Int32Array.from(ids),
  batch: 1,
  length: ids.length,
  lengths: Int32Array.of(ids.length),
});

test("residuals come in the order of the layers asked for, from one forward", async () => {
  const [last, first] = await prefix.run(sequence([1, 2, 3]));
  const alone = await createPrefix(checkpoint, { layers: [0], threads: 1 });
  expect((await alone.run(sequence([1, 2, 3])))[0]).toEqual(first);
  expect(last).not.toEqual(first);
  expect(prefix.layers).toEqual([2, 0]);
  await alone.dispose();
});

test("what stands in the padding changes no real row, not even an id outside the vocabulary", async () => {
  const lengths = Int32Array.of(2, 4);
  const padded = (pad: number) => ({
    tokenIds: Int32Array.of(7, 8, pad, pad, 1, 2, 3, 4),
    batch: 2,
    length: 4,
    lengths,
  });
  const [a] = await prefix.run(padded(0));
  const [b] = await prefix.run(padded(2 ** 30));
  const [alone] = await prefix.run(sequence([7, 8]));
  expect(a.subarray(0, 64)).toEqual(b.subarray(0, 64));
  expect(a.every(Number.isFinite)).toBe(true);
  expect(worstRowError(a.subarray(0, 64), alone, 32)).toBeLessThan(1e-6); // f32, other batch shape
});

test("unsigned ids and more threads give the same residuals", async () => {
  const ids = Array.from({ length: 40 }, (_, i) => (i * 37) % 97);
  const [one] = await prefix.run(sequence(ids));
  const [unsigned] = await prefix.run({ ...sequence(ids), tokenIds: Uint32Array.from(ids) });
  expect(unsigned).toEqual(one);
  const two = await createPrefix(checkpoint, { layers: [2], threads: 2 });
  expect(worstRowError((await two.run(sequence(ids)))[0], one, 32)).toBeLessThan(1e-6); // f32, sums split otherwise
  await two.dispose();
});

test("a runner outlives the checkpoint it was made from", async () => {
  const short = await openCheckpoint(folder);
  const own = await createPrefix(short, { layers: [2], threads: 1 });
  await short.close();
  expect((await own.run(sequence([5])))[0]).toEqual((await prefix.run(sequence([5])))[0]);
  await own.dispose();
});

test("only the weights between the cuts are planned", () => {
  const names = (cut: Parameters<typeof planGraph>[1]): string =>
    planGraph(checkpoint.architecture, cut)
      .weights.map(({ name }) => name)
      .join();
  const before = names({ start: "tokens", taps: [1], head: undefined });
  expect(before).toContain("embed_tokens");
  expect(before).toContain("layers.1.");
  expect(before).not.toMatch(/layers\.2\.|lm_head|model\.norm/);
  const after = names({ start: { afterLayer: 1 }, taps: [], head: checkpoint.head });
  expect(after).toMatch(/layers\.2\..*model\.norm.*lm_head/);
  expect(after).not.toMatch(/layers\.[01]\.|embed_tokens/);
  const afterLast = names({ start: { afterLayer: 2 }, taps: [], head: checkpoint.head });
  expect(afterLast).not.toContain("layers.");
});

describe("refused by name", () => {
  test.each([-1, 3, 1.5, Number.NaN])("layer %d of a model with three", async (layer) => {
    const message = /layer: expected a whole number from 0 to 2 .* got/;
    for (const make of [
      () => createPrefix(checkpoint, { layers: [layer] }),
      () => createSuffix(checkpoint, { layer }),
      () => createFullModel(checkpoint, { layers: [0, layer] }),
    ]) {
      await expect(make()).rejects.toThrow(ConfigError);
      await expect(make()).rejects.toThrow(message);
    }
    await expect(createPrefix(checkpoint, { layers: [] })).rejects.toThrow(ConfigError);
  });

  test.each([97, -1, 2 ** 31 - 1])("token id %d with a vocabulary of 97", async (id) => {
    await expect(prefix.run(sequence([1, id]))).rejects.toThrow(MismatchError);
    await expect(prefix.run(sequence([1, id]))).rejects.toThrow(
      `sequence 0, position 1: expected a token id from 0 to 96, got ${id}`,
    );
  });

  test("batches that contradict themselves", async () => {
    const good = sequence([1, 2, 3]);
    for (const bad of [
      { ...good, length: 4 },
      { ...good, batch: 0 },
      { ...good, lengths: Int32Array.of(4) },
      { ...good, lengths: Int32Array.of(0) },
      { ...good, lengths: Int32Array.of(1, 1) },
    ]) {
      await expect(prefix.run(bad)).rejects.toThrow(ShapeError);
    }
    const suffix = await createSuffix(checkpoint, { layer: 2, threads: 1 });
    const residual = new Float32Array(3 * 32 - 1);
    await expect(suffix.run({ ...good, residual })).rejects.toThrow(ShapeError);
    await suffix.dispose();
  });

  test("a sequence longer than the model's positions", async () => {
    const ids = Array.from({ length: TINY_CONFIG.max_position_embeddings + 1 }, () => 1);
    await expect(prefix.run(sequence(ids))).rejects.toThrow(ConfigError);
  });

  test("weights that this machine's memory cannot hold, before one of them is read", async () => {
    const plan = planGraph(checkpoint.architecture, { start: "tokens", taps: [0], head: undefined });
    const huge = { ...plan.weights[0], shape: [2 ** 30, 2 ** 20] };
    const read = (): never => {
      throw new Error("read");
    };
    await expect(openSession({ ...plan, weights: [huge] }, { read, place: folder })).rejects.toThrow(
      ConfigError,
    );
  });

  test("a weight of another size than was planned", async () => {
    const plan = planGraph(checkpoint.architecture, { start: "tokens", taps: [0], head: undefined });
    const read = async (): Promise<Float32Array> => new Float32Array(3);
    const weights = plan.weights.map((weight) => ({ ...weight, load: read }));
    await expect(openSession({ ...plan, weights }, { read, place: folder })).rejects.toThrow(ShapeError);
  });
});

describe("loading", () => {
  /** The checkpoint, and how often each of its tensors was read. */
  const counted = (): { reads: Map<string, number>; counting: Checkpoint } => {
    const reads = new Map<string, number>();
    const counting: Checkpoint = {
      ...checkpoint,
      readTensor(name, shape) {
        reads.set(name, (reads.get(name) ?? 0) + 1);
        return checkpoint.readTensor(name, shape);
      },
    };
    return { reads, counting };
  };
  const block = (layer: number): string[] =>
    blockTensors(checkpoint.architecture, layer).map(({ name }) => name);

  test("a prefix or suffix reads each tensor it needs once and no other", async () => {
    const before = counted();
    const own = await createPrefix(before.counting, { layers: [1, 0], threads: 1 });
    await own.dispose();
    expect([...before.reads.keys()].sort()).toEqual(
      ["model.embed_tokens.weight", ...block(0), ...block(1)].sort(),
    );
    const after = counted();
    const suffix = await createSuffix(after.counting, { layer: 1, threads: 1 });
    await suffix.dispose();
    expect([...after.reads.keys()].sort()).toEqual(
      ["lm_head.weight", "model.norm.weight", ...block(2)].sort(),
    );
    expect(new Set([...before.reads.values(), ...after.reads.values()])).toEqual(new Set([1]));
  });

  test("a tied model's embedding is its head: read once, held once", async () => {
    const tiedFolder = await writeTinyLlama({ ...TINY_CONFIG, tie_word_embeddings: true });
    const tied = await openCheckpoint(tiedFolder);
    const { weights } = planGraph(tied.architecture, { start: "tokens", taps: [], head: tied.head });
    const held = weights.filter(({ shape }) => shape.includes(TINY_CONFIG.vocab_size));
    expect(held.map(({ name }) => name)).toEqual(["model.embed_tokens.weight"]);
    await tied.close();
    await rm(tiedFolder, { recursive: true });
  });

  test("a runner that was disposed runs no more; others from the same checkpoint do", async () => {
    const own = await createPrefix(checkpoint, { layers: [0], threads: 1 });
    await own.dispose();
    await expect(own.run(sequence([1]))).rejects.toThrow();
    expect((await prefix.run(sequence([1])))[0].every(Number.isFinite)).toBe(true);
  });

  test("a tensor that cannot be read ends the loading and says which it was", async () => {
    const failing: Checkpoint = {
      ...checkpoint,
      readTensor: (name, shape) =>
        name.includes("layers.1.")
          ? Promise.reject(new NumericsError(`${name}: bad`))
          : checkpoint.readTensor(name, shape),
    };
    await expect(createPrefix(failing, { layers: [2] })).rejects.toThrow(/layers\.1\..*bad/);
  });
});

test("transposeInto fills its columns of a wider matrix and no others, for odd sizes", () => {
  for (const [nRows, nColumns] of [
    [1, 1],
    [33, 7],
    [64, 65],
    [0, 3],
  ]) {
    const source = Float32Array.from({ length: nRows * nColumns }, (_, i) => i + 1);
    const stride = nRows + 3;
    const target = new Float32Array(nColumns * stride).fill(-1);
    transposeInto(target, source, { nRows, nColumns, stride, column: 2 });
    const expected = Float32Array.from({ length: nColumns * stride }, (_, at) => {
      const [c, r] = [Math.floor(at / stride), (at % stride) - 2];
      return r >= 0 && r < nRows ? source[r * nColumns + c] : -1;
    });
    expect(target).toEqual(expected);
  }
});
