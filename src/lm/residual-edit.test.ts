// Residual edits in full forwards, in prefix and suffix, and while generating, against the slow twin with the same edit.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { rightPad } from "./batch.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { readFamilyGolden } from "./family-golden.test.data.ts";
import { createGenerator } from "./generate.ts";
import { writeGenerationFolder } from "./generation-golden.test.data.ts";
import { referenceForward } from "./reference-forward.ts";
import { createFullModel, createPrefix, createSuffix, type FullModel, type ResidualEdit } from "./runner.ts";
import { tinySpecs, worstRowError } from "./tiny-llama.test.data.ts";

// f32 sums of 32 terms in another order, relative to the row.
const TOLERANCE = 1e-5;
const SEQUENCES = [
  [7, 8, 9, 10, 11, 12, 13],
  [99, 3, 50],
  [5, 1, 4, 20, 21],
];

let folder: string;
let checkpoint: Checkpoint;
let full: FullModel;
let dModel: number;
let vocabSize: number;
beforeAll(async () => {
  folder = await writeGenerationFolder("mistral", 1);
  checkpoint = await openCheckpoint(folder);
  full = await createFullModel(checkpoint, { layers: [0, 1, 2], threads: 1, editLayers: [0, 1] });
  ({ dModel, vocabSize } = full);
});
afterAll(async () => {
  await full.dispose();
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

const vectors = (count: number, purpose: string): Float32Array => {
  const rng = createRng(1, purpose);
  return Float32Array.from({ length: count * dModel }, (_, i) => 2 * rng.normal(0, i));
};

/** Real rows of one sequence of [batch, length, width]. */
function rowsOf(values: Float32Array, sequence: number, width: number): Float32Array {
  const { length, lengths } = rightPad(SEQUENCES);
  return values.subarray(sequence * length * width, (sequence * length + lengths[sequence]) * width);
}

/** What an edit puts at a place, looked up by its description alone; undefined: nothing. */
function valueAt(edit: ResidualEdit, sequence: number, position: number): Float32Array | undefined {
  const vector = (row: number): Float32Array => edit.values.subarray(row * dModel, (row + 1) * dModel);
  const { positions, per } = edit;
  const before = (counts: number[]): number => counts.slice(0, sequence).reduce((a, b) => a + b, 0);
  if (typeof positions === "string") {
    if (per === "row") return vector(before(SEQUENCES.map(({ length }) => length)) + position);
    return vector(per === "batch" ? 0 : sequence);
  }
  const at = Array.from(positions[sequence]).indexOf(position);
  if (at < 0) return undefined;
  if (per === "row") return vector(before(positions.map(({ length }) => length)) + at);
  return vector(per === "batch" ? 0 : sequence);
}

const EDITS: Record<string, () => ResidualEdit[]> = {
  "one vector added everywhere": () => [
    { layer: 1, kind: "add", positions: "all", per: "batch", values: vectors(1, "a") },
  ],
  "one vector a sequence, in place of listed positions": () => [
    { layer: 0, kind: "replace", positions: [[6, 0], [], [2]], per: "sequence", values: vectors(3, "b") },
  ],
  "one vector a row, added to listed positions": () => [
    { layer: 1, kind: "add", positions: [[1, 5, 2], [2], []], per: "row", values: vectors(4, "c") },
  ],
  "one vector a prompt token": () => [
    { layer: 0, kind: "add", positions: "prompt", per: "row", values: vectors(15, "d") },
  ],
  "two layers at once, and two edits of one layer in their order": () => [
    { layer: 0, kind: "add", positions: "all", per: "batch", values: vectors(1, "e") },
    { layer: 1, kind: "add", positions: [[0, 1], [1], [4]], per: "batch", values: vectors(1, "f") },
    { layer: 1, kind: "replace", positions: [[1], [], []], per: "batch", values: vectors(1, "g") },
    { layer: 1, kind: "add", positions: [[1, 3], [], [0]], per: "batch", values: vectors(1, "h") },
  ],
};

describe("a full forward, a padded batch", () => {
  test.each(Object.keys(EDITS))("computes what the loops of the slow twin compute: %s", async (name) => {
    const edits = EDITS[name]();
    const batch = rightPad(SEQUENCES);
    const got = await full.run({ ...batch, edits });
    const weights = new Map<string, Float32Array>();
    const { architecture, head } = checkpoint;
    const names = tinySpecs(readFamilyGolden("mistral").config);
    for (const spec of names) weights.set(spec.name, await checkpoint.readTensor(spec.name, spec.shape));
    for (const [sequence, tokenIds] of SEQUENCES.entries()) {
      const slow = referenceForward(architecture, {
        tokenIds,
        read: (key) => weights.get(key) ?? new Float32Array(),
        headName: head.name,
        edit(residual, { layer, position }) {
          let edited = residual;
          for (const edit of edits.filter((one) => one.layer === layer)) {
            const value = valueAt(edit, sequence, position);
            if (value) edited = edited.map((x, i) => (edit.kind === "add" ? x + value[i] : value[i]));
          }
          return edited;
        },
      });
      for (const layer of [0, 1, 2]) {
        const rows = rowsOf(got.residuals[layer], sequence, dModel);
        expect(worstRowError(rows, slow.residuals[layer], dModel)).toBeLessThan(TOLERANCE);
      }
      const logits = rowsOf(got.logits, sequence, vocabSize);
      expect(worstRowError(logits, slow.logits, vocabSize)).toBeLessThan(TOLERANCE);
    }
    // The edit does something that a wrong one could not hide behind.
    const plain = await full.run(batch);
    expect(worstRowError(plain.logits, got.logits, vocabSize)).toBeGreaterThan(1e-2);
  });

  test("adding zero, and replacing every residual by itself, change no bit", async () => {
    const batch = rightPad(SEQUENCES);
    const plainModel = await createFullModel(checkpoint, { threads: 1, layers: [1] });
    const plain = await plainModel.run(batch);
    await plainModel.dispose();
    const zero = { layer: 1, kind: "add", positions: "all", per: "batch" } as const;
    const added = await full.run({ ...batch, edits: [{ ...zero, values: new Float32Array(dModel) }] });
    expect(added.logits).toEqual(plain.logits);
    expect((await full.run(batch)).logits).toEqual(plain.logits);
    const own = Float32Array.from(
      SEQUENCES.flatMap((_, sequence) => [...rowsOf(plain.residuals[0], sequence, dModel)]),
    );
    const replaced = await full.run({
      ...batch,
      edits: [{ layer: 1, kind: "replace", positions: "prompt", per: "row", values: own }],
    });
    expect(rowsOf(replaced.logits, 0, vocabSize)).toEqual(rowsOf(plain.logits, 0, vocabSize));
    expect(
      worstRowError(rowsOf(replaced.logits, 1, vocabSize), rowsOf(plain.logits, 1, vocabSize), vocabSize),
    ).toBe(0);
  });

  test("promptLengths says which tokens count as prompt", async () => {
    const batch = rightPad(SEQUENCES);
    const values = vectors(1, "p");
    const edit = { layer: 0, kind: "add", per: "batch", values } as const;
    const promptLengths = Int32Array.of(4, 3, 1);
    const listed = [[0, 1, 2, 3], [0, 1, 2], [0]];
    const rest = [[4, 5, 6], [], [1, 2, 3, 4]];
    for (const [positions, list] of [
      ["prompt", listed],
      ["generated", rest],
    ] as const) {
      const named = await full.run({ ...batch, promptLengths, edits: [{ ...edit, positions }] });
      const spelled = await full.run({ ...batch, edits: [{ ...edit, positions: list }] });
      expect(named.logits).toEqual(spelled.logits);
    }
  });
});

describe("prefix and suffix", () => {
  test("an edited prefix into a plain suffix is the edited full forward, at and before the cut", async () => {
    const batch = rightPad(SEQUENCES);
    const suffix = await createSuffix(checkpoint, { layer: 1, threads: 1 });
    const prefix = await createPrefix(checkpoint, { layers: [1], editLayers: [0, 1], threads: 1 });
    for (const name of Object.keys(EDITS)) {
      const edits = EDITS[name]();
      const expected = await full.run({ ...batch, edits });
      const [residual] = await prefix.run({ ...batch, edits });
      expect(await suffix.run({ ...batch, residual })).toEqual(expected.logits);
    }
    await prefix.dispose();
    await suffix.dispose();
  });

  test("replacing after layer L in a full forward is a suffix from L fed with the values", async () => {
    const batch = rightPad(SEQUENCES);
    const values = vectors(15, "s");
    const got = await full.run({
      ...batch,
      edits: [{ layer: 1, kind: "replace", positions: "prompt", per: "row", values }],
    });
    const residual = new Float32Array(3 * batch.length * dModel);
    let at = 0;
    SEQUENCES.forEach(({ length }, sequence) => {
      residual.set(values.subarray(at * dModel, (at + length) * dModel), sequence * batch.length * dModel);
      at += length;
    });
    const suffix = await createSuffix(checkpoint, { layer: 1, threads: 1 });
    const logits = await suffix.run({ ...batch, residual });
    for (const i of [0, 1, 2]) {
      expect(worstRowError(rowsOf(logits, i, vocabSize), rowsOf(got.logits, i, vocabSize), vocabSize)).toBe(
        0,
      );
    }
    await suffix.dispose();
  });

  test("one residual under many edits in one suffix batch, each sequence its own", async () => {
    const tokens = rightPad([SEQUENCES[0]]);
    const prefix = await createPrefix(checkpoint, { layers: [1], threads: 1 });
    const [residual] = await prefix.run(tokens);
    await prefix.dispose();
    const suffix = await createSuffix(checkpoint, { layer: 1, editLayers: [1], threads: 1 });
    const values = vectors(4, "many");
    const edit = { layer: 1, kind: "add", positions: "all" } as const;
    const repeated = new Float32Array(4 * residual.length);
    for (let i = 0; i < 4; i += 1) repeated.set(residual, i * residual.length);
    const logits = await suffix.run({
      residual: repeated,
      batch: 4,
      length: 7,
      lengths: Int32Array.of(7, 7, 7, 7),
      edits: [{ ...edit, per: "sequence", values }],
    });
    for (let i = 0; i < 4; i += 1) {
      const own = values.subarray(i * dModel, (i + 1) * dModel);
      const alone = await suffix.run({
        ...tokens,
        residual,
        edits: [{ ...edit, per: "batch", values: own }],
      });
      const size = 7 * vocabSize;
      // f32, another batch shape
      expect(worstRowError(logits.subarray(i * size, (i + 1) * size), alone, vocabSize)).toBeLessThan(1e-6);
    }
    await suffix.dispose();
  });
});

describe("while generating", () => {
  const generatedEdits: Record<string, () => ResidualEdit[]> = {
    all: () => [{ layer: 1, kind: "add", positions: "all", per: "batch", values: vectors(1, "all") }],
    prompt: () => [{ layer: 1, kind: "add", positions: "prompt", per: "sequence", values: vectors(3, "pr") }],
    generated: () => [
      { layer: 0, kind: "add", positions: "generated", per: "sequence", values: vectors(3, "ge") },
    ],
    "listed, of prompt and generated": () => [
      {
        layer: 1,
        kind: "replace",
        positions: [[2, 9, 12], [], [0, 5]],
        per: "row",
        values: vectors(5, "li"),
      },
      { layer: 0, kind: "add", positions: [[], [4], []], per: "batch", values: vectors(1, "lj") },
    ],
  };

  test.each(Object.keys(generatedEdits))(
    "the tokens are those of a full edited forward for every token: %s",
    async (name) => {
      const edits = generatedEdits[name]();
      const generator = await createGenerator(checkpoint, { threads: 1, editLayers: [0, 1] });
      const got = await generator.generate({ prompts: SEQUENCES, maxNewTokens: 10, edits });
      const plain = await generator.generate({ prompts: SEQUENCES, maxNewTokens: 10 });
      await generator.dispose();
      const promptLengths = Int32Array.from(SEQUENCES, ({ length }) => length);
      let sequences = SEQUENCES;
      for (let step = 0; step < 10; step += 1) {
        const batch = rightPad(sequences);
        const { logits } = await full.run({ ...batch, promptLengths, edits });
        sequences = sequences.map((tokens, i) => {
          const row = logits
            .subarray((i * batch.length + tokens.length - 1) * vocabSize)
            .subarray(0, vocabSize);
          return [...tokens, row.indexOf(Math.max(...row))];
        });
      }
      expect(got.map(({ tokenIds }, i) => [...SEQUENCES[i], ...tokenIds])).toEqual(sequences);
      expect(got).not.toEqual(plain);
    },
  );
});

describe("refused by name", () => {
  const good = { layer: 1, kind: "add", positions: "all", per: "batch" } as const;
  test.each<[string, () => Partial<ResidualEdit>, RegExp]>([
    ["a layer the graph cannot edit", () => ({ layer: 2 }), /named in editLayers \(0, 1\), got 2/],
    [
      "values of another width",
      () => ({ values: new Float32Array(3) }),
      /expected values of 1 × \d+ numbers, got 3/,
    ],
    ["a vector too few", () => ({ per: "sequence" }), /expected values of 3 × /],
    [
      "rows for positions that are not listed",
      () => ({ per: "row" }),
      /expected listed positions or "prompt"/,
    ],
    [
      "lists for other sequences",
      () => ({ positions: [[0]] }),
      /expected positions of 3 sequences, got 1 lists/,
    ],
    [
      "a position twice",
      () => ({ positions: [[1, 1], [], []] }),
      /sequence 0: expected different whole positions/,
    ],
    ["a position before the first", () => ({ positions: [[], [-1], []] }), /sequence 1: .* got -1/],
  ])("%s", async (_, change, message) => {
    const edit: ResidualEdit = { ...good, values: vectors(1, "r"), ...change() };
    await expect(full.run({ ...rightPad(SEQUENCES), edits: [edit] })).rejects.toThrow(message);
  });

  test("edits of a runner made without editLayers, and editLayers outside the cut", async () => {
    const prefix = await createPrefix(checkpoint, { layers: [1], threads: 1 });
    const edits = [{ ...good, values: vectors(1, "r") }];
    await expect(prefix.run({ ...rightPad(SEQUENCES), edits })).rejects.toThrow(/\(none\), got 1/);
    await prefix.dispose();
    await expect(createPrefix(checkpoint, { layers: [1], editLayers: [2] })).rejects.toThrow(ConfigError);
    await expect(createSuffix(checkpoint, { layer: 1, editLayers: [0] })).rejects.toThrow(
      /editLayers: .* got 0/,
    );
    await expect(createFullModel(checkpoint, { editLayers: [3] })).rejects.toThrow(ConfigError);
    const short = { ...rightPad(SEQUENCES), promptLengths: Int32Array.of(1) };
    await expect(full.run(short)).rejects.toThrow(ShapeError);
  });
});
