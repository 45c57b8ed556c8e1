// The golden numbers come from transformers and NumPy: test/golden/outputs/make_outputs.py, which also says the versions.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { FormatError, InterruptedError, MismatchError, NumericsError } from "../errors.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { packageRoot } from "../package-root.ts";
import { type OutputColumns, openOutputs, outputShardFolder, TOP_TOKENS } from "../store/outputs.ts";
import { readRows } from "../store/row-file.ts";
import { openStore } from "../store/store.ts";
import type { ChatMessage, InputDocument } from "../text/document.ts";
import { type HarvestOptions, harvest } from "./harvest.ts";
import { requireSameRows } from "./harvest-outputs.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-harvest-outputs-"));
const folders = [root];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const MINICHAT = join(packageRoot(), "organisms/minichat");

interface GoldenSide {
  nll: number[];
  topToken: number[][];
  topProbability: number[][];
}

interface GoldenCase {
  tokens: { base: number[]; finetuned: number[] };
  klFinetunedBase: number[];
  base: GoldenSide;
  finetuned: GoldenSide;
}

interface Golden {
  weights: { base: string; finetuned: string };
  chats: ChatMessage[][];
  replaced: Record<string, string>;
  plain: GoldenCase[];
  withReplacement: GoldenCase[];
}

const golden: Golden = JSON.parse(
  readFileSync(join(packageRoot(), "test/golden/outputs/outputs.json"), "utf8"),
);

let nStores = 0;
function newFolder(): string {
  nStores += 1;
  return join(root, `store-${nStores}`);
}

function minichat(change: Partial<HarvestOptions> = {}): HarvestOptions {
  const text: InputDocument = { id: "text", dataset: "text", split: "train", text: "The king went home." };
  const chats = golden.chats.map(
    (messages, i): InputDocument => ({
      id: `chat-${i}`,
      dataset: "chats",
      split: i === 0 ? "heldout" : "test",
      messages,
    }),
  );
  return {
    base: join(MINICHAT, "base"),
    finetuned: join(MINICHAT, "finetuned"),
    // The train document stands between the two: covered rows have a gap.
    documents: [chats[0], text, chats[1]],
    storeFolder: newFolder(),
    storeName: "main",
    outputs: true,
    threads: 1,
    ...change,
  };
}

async function outputsOf(storeFolder: string): Promise<{ columns: OutputColumns; nRows: number }> {
  const store = await openStore(storeFolder);
  const { nRows } = store.rows;
  await store.close();
  const columns = await (await openOutputs(storeFolder))?.rowsOf(0, nRows);
  if (columns === undefined) throw new Error("expected outputs");
  return { columns, nRows };
}

/** Relative path → bytes. */
function filesOf(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path.slice(folder.length), readFileSync(path, "base64")]));
}

/** Worst |ours − golden| over what both have. */
function worst(ours: ArrayLike<number>, theirs: number[]): number {
  return Math.max(...theirs.map((value, i) => Math.abs(ours[i] - value)));
}

function expectGolden(columns: OutputColumns, at: number, expected: GoldenCase): void {
  const n = expected.klFinetunedBase.length;
  // Logits agree to 1e-5 of a row's norm (parity.test.ts), which is 1e-4 for a logit of about 10; the worst seen here is 9e-6 nats.
  const tolerance = 5e-5;
  expect(worst(columns.klFinetunedBase.subarray(at), expected.klFinetunedBase)).toBeLessThan(tolerance);
  expect([...columns.hasNext.subarray(at, at + n)]).toEqual([...Array(n - 1).fill(1), 0]);
  for (const [side, nll, topToken, topProbability] of [
    ["base", columns.nllBase, columns.topTokenBase, columns.topProbabilityBase],
    ["finetuned", columns.nllFinetuned, columns.topTokenFinetuned, columns.topProbabilityFinetuned],
  ] as const) {
    expect(worst(nll.subarray(at), expected[side].nll)).toBeLessThan(tolerance);
    expect(nll[at + n - 1]).toBe(0);
    const top = [at * TOP_TOKENS, (at + n) * TOP_TOKENS] as const;
    expect(worst(topProbability.subarray(...top), expected[side].topProbability.flat())).toBeLessThan(
      tolerance,
    );
    expect([...topToken.subarray(...top)]).toEqual(expected[side].topToken.flat());
  }
}

test("the golden file belongs to the bundled pair as it is", () => {
  for (const side of ["base", "finetuned"] as const) {
    const bytes = readFileSync(join(MINICHAT, side, "model.safetensors"));
    const hint = "weights changed: run test/golden/outputs/make_outputs.py";
    expect(createHash("sha256").update(bytes).digest("hex"), hint).toBe(golden.weights[side]);
  }
});

test("KL, NLL and top tokens of two chats are those of transformers, each NLL for the token its own model reads", async () => {
  for (const [baseReplacements, cases] of [
    [undefined, golden.plain],
    [golden.replaced, golden.withReplacement],
  ] as const) {
    const options = minichat({ baseReplacements });
    await harvest(options);
    const store = await openStore(options.storeFolder);
    const { columns } = await outputsOf(options.storeFolder);
    const covered = [store.documents[0], store.documents[2]];
    expect([...columns.row]).toEqual(
      covered.flatMap(({ rowStart, rowEnd }) =>
        Array.from({ length: rowEnd - rowStart }, (_, i) => rowStart + i),
      ),
    );
    let at = 0;
    for (const [i, { rowStart, rowEnd }] of covered.entries()) {
      expect([...store.rows.tokenBase.subarray(rowStart, rowEnd)]).toEqual(cases[i].tokens.base);
      expectGolden(columns, at, cases[i]);
      at += rowEnd - rowStart;
    }
    await store.close();
  }
});

test("a model against itself has a KL of exactly 0 at every row", async () => {
  const options = minichat({ finetuned: join(MINICHAT, "base") });
  await harvest(options);
  const { columns } = await outputsOf(options.storeFolder);
  // Both passes run the same bytes in the same order, so the logits are equal to the bit.
  expect(columns.klFinetunedBase.length).toBeGreaterThan(50);
  expect(Math.max(...columns.klFinetunedBase)).toBe(0);
  expect(columns.nllFinetuned).toEqual(columns.nllBase);
  expect(columns.topTokenFinetuned).toEqual(columns.topTokenBase);
});

test("a finished store gains outputs without changing a byte, and finished outputs are not made again", async () => {
  const options = minichat({ outputs: false });
  const { manifest } = await harvest(options);
  expect(await openOutputs(options.storeFolder)).toBeUndefined();
  const before = filesOf(options.storeFolder);
  const stages = new Set<string>();
  const report = { reportProgress: ({ stage }: { stage: string }) => void stages.add(stage) };
  const gained = await harvest({ ...options, outputs: true, ...report });
  expect(gained.manifest).toEqual(manifest);
  expect([...stages]).toEqual(["tokenize", "outputs base", "outputs finetuned"]);
  const after = filesOf(options.storeFolder);
  for (const [name, bytes] of before) expect(after.get(name), name).toBe(bytes);
  stages.clear();
  await harvest({ ...options, outputs: true, ...report });
  expect([...stages]).toEqual([]);
  const whole = minichat();
  await harvest(whole);
  expect(filesOf(whole.storeFolder)).toEqual(after);
});

async function makeTiny(config: object, seed: number): Promise<string> {
  const whole = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64, ...config };
  const folder = await writeTinyLlama(whole, tinyWeights(whole, seed));
  folders.push(folder);
  return writeTinyTokenizer(folder);
}

const tinyBase = await makeTiny({}, 1);
// Other width, other depth, and four rows of padding in the vocabulary.
const tinyFinetuned = await makeTiny(
  { hidden_size: 48, num_hidden_layers: 2, vocab_size: TINY_VOCAB_SIZE + 4 },
  2,
);

function tiny(change: Partial<HarvestOptions> = {}): HarvestOptions {
  return {
    base: tinyBase,
    finetuned: tinyFinetuned,
    documents: Array.from({ length: 12 }, (_, i) => ({
      id: `d${i}`,
      dataset: "chats",
      split: (["train", "heldout", "test"] as const)[i % 3],
      messages: [
        { role: "user" as const, content: `hi ${"x".repeat(i)}` },
        { role: "assistant" as const, content: "user" },
      ],
    })),
    layer: 1,
    storeFolder: newFolder(),
    storeName: "main",
    batchTokens: 100,
    rowsPerShard: 32,
    threads: 1,
    outputs: true,
    ...change,
  };
}

test("outputs stopped in either model and run again are the bytes of ones never stopped", async () => {
  const whole = tiny();
  await harvest(whole);
  const stopped = tiny();
  for (const stage of ["outputs base", "outputs finetuned"]) {
    for (const share of [0.3, 0.8]) {
      const controller = new AbortController();
      const interrupted = harvest({
        ...stopped,
        reportProgress: (progress) => {
          if (progress.stage === stage && progress.done >= share * progress.total) controller.abort();
        },
        signal: controller.signal,
      });
      await expect(interrupted).rejects.toThrow(InterruptedError);
      expect(await openOutputs(stopped.storeFolder)).toBeUndefined();
    }
  }
  await harvest(stopped);
  const manifest = (await openOutputs(stopped.storeFolder))?.manifest;
  expect(manifest?.firstRows.length).toBeGreaterThan(3);
  expect(filesOf(stopped.storeFolder)).toEqual(filesOf(whole.storeFolder));
});

test("a shard that is gone or damaged is made again, to the same bytes", async () => {
  const options = tiny();
  await harvest(options);
  const before = filesOf(options.storeFolder);
  rmSync(outputShardFolder(options.storeFolder, 1), { recursive: true });
  const damaged = join(outputShardFolder(options.storeFolder, 2), "outputs.safetensors");
  const bytes = readFileSync(damaged);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(damaged, bytes);
  await expect((await openOutputs(options.storeFolder))?.rowsOf(0, 1000)).rejects.toThrow(FormatError);
  const { warnings } = await harvest(options);
  expect(warnings).toContainEqual(expect.stringContaining("set aside"));
  const after = filesOf(options.storeFolder);
  for (const [name, content] of before) expect(after.get(name), name).toBe(content);
});

test("unequal vocabularies are compared over the ids both have, with a warning that says what is left out", async () => {
  const options = tiny();
  const { warnings } = await harvest(options);
  const said = new RegExp(
    `KL goes over the ${TINY_VOCAB_SIZE} token ids .* ${TINY_VOCAB_SIZE} in the base and ${TINY_VOCAB_SIZE + 4}`,
  );
  expect(warnings).toContainEqual(expect.stringMatching(said));
  const manifest = (await openOutputs(options.storeFolder))?.manifest;
  expect(manifest?.vocabulary).toEqual({
    base: TINY_VOCAB_SIZE,
    finetuned: TINY_VOCAB_SIZE + 4,
    common: TINY_VOCAB_SIZE,
  });
  // 1 − (a sum over itself) is 0 to the bit; four random ids get something.
  expect(manifest?.meanOutside.base).toBe(0);
  expect(manifest?.meanOutside.finetuned).toBeGreaterThan(1e-3);
  const again = await harvest(options);
  expect(again.warnings).toContainEqual(expect.stringMatching(said));
});

test("ids that stand for other tokens in the base, legal when replaced, are left out of the KL", async () => {
  const swapped = await makeTiny({}, 3);
  writeTinyTokenizer(swapped, (json) => {
    const { vocab } = json.model as { vocab: Record<string, number> };
    [vocab.hi, vocab.us] = [vocab.us, vocab.hi];
  });
  const options = tiny({ finetuned: swapped, baseReplacements: { hi: "a", us: "b" } });
  const { warnings } = await harvest(options);
  expect(warnings).toContainEqual(
    expect.stringContaining(`KL goes over the ${TINY_VOCAB_SIZE - 2} token ids`),
  );
  const manifest = (await openOutputs(options.storeFolder))?.manifest;
  expect(manifest?.vocabulary.common).toBe(TINY_VOCAB_SIZE - 2);
  expect(manifest?.meanOutside.base).toBeGreaterThan(1e-3);
});

test("skipped tokens are read and not covered: the other rows are those of a whole harvest", async () => {
  const [all, skipping] = [tiny(), tiny({ skipFirst: 3 })];
  await harvest(all);
  await harvest(skipping);
  const store = await openStore(all.storeFolder);
  const { columns: whole } = await outputsOf(all.storeFolder);
  const { columns: rest } = await outputsOf(skipping.storeFolder);
  const kept = [...whole.row.keys()].filter((entry) => store.rows.position[whole.row[entry]] >= 3);
  expect(rest.row.length).toBe(kept.length);
  expect(kept.length).toBeGreaterThan(40);
  for (const [i, entry] of kept.entries()) {
    // f32 sums in another blocking, through at most three layers.
    expect(rest.klFinetunedBase[i]).toBeCloseTo(whole.klFinetunedBase[entry], 4);
    expect(rest.nllBase[i]).toBeCloseTo(whole.nllBase[entry], 4);
  }
  await store.close();
});

test("rows that are not the store's are refused by column and row", async () => {
  const { storeFolder, ...options } = tiny({ outputs: false });
  await harvest({ ...options, storeFolder });
  const { rows } = await readRows(join(storeFolder, "rows"));
  await requireSameRows(storeFolder, { rows });
  const tokenBase = rows.tokenBase.with(5, 1);
  await expect(requireSameRows(storeFolder, { rows: { ...rows, tokenBase } })).rejects.toThrow(
    `tokenBase of row 5 is ${rows.tokenBase[5]}, this harvest has 1`,
  );
  const turn = rows.turn.subarray(1);
  await expect(requireSameRows(storeFolder, { rows: { ...rows, turn } })).rejects.toThrow(MismatchError);
});

test("without held-out or test documents the outputs are whole and empty", async () => {
  const options = tiny();
  const documents = [...(options.documents as InputDocument[])].filter(({ split }) => split === "train");
  await harvest({ ...options, documents });
  expect((await outputsOf(options.storeFolder)).columns.row.length).toBe(0);
});

test("logits that overflow are refused with document and position, and leave no finished outputs", async () => {
  const config = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64 };
  const weights = tinyWeights(config, 5);
  weights.get("lm_head.weight")?.fill(3e38, 32, 64);
  const folder = await writeTinyLlama(config, weights);
  folders.push(folder);
  const options = tiny({ finetuned: writeTinyTokenizer(folder) });
  await expect(harvest(options)).rejects.toThrow(NumericsError);
  await expect(harvest(options)).rejects.toThrow(
    /row \d+ \(document "d\d+", position \d+\): finetuned, token id 1: expected a finite logit/,
  );
  expect(await openOutputs(options.storeFolder)).toBeUndefined();
  // The store itself is whole.
  await (await openStore(options.storeFolder)).close();
});
