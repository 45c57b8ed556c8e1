// Another model in the fine-tune's place: the pair's rows, the base's tokens, a layer of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { addWeightNoise } from "../lm/noisy-checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { openStore } from "../store/store.ts";
import { type HarvestOptions, harvest, type StandIn } from "./harvest.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-stand-in-"));
const models: string[] = [];
afterAll(() => {
  for (const folder of [root, ...models]) rmSync(folder, { recursive: true, force: true });
});

async function makeModel(change: object, seed: number): Promise<string> {
  const config = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64, ...change };
  const folder = await writeTinyLlama(config, tinyWeights(config, seed));
  models.push(folder);
  return writeTinyTokenizer(folder);
}

const base = await makeModel({}, 1);
/** Deeper than the base, so that its layer is none of the base's. */
const finetuned = await makeModel({ num_hidden_layers: 5 }, 2);
const noisy = (scale: number): StandIn => ({
  layer: 1,
  open: async () => addWeightNoise(await openCheckpoint(base), { seed: 1, scale }),
});

let nStores = 0;
async function harvested(change: Partial<HarvestOptions>) {
  nStores += 1;
  const storeFolder = join(root, `store-${nStores}`);
  const { manifest } = await harvest({
    base,
    finetuned,
    documents: ["train", "heldout", "test"].map((split, i) => ({
      id: `d${i}`,
      dataset: "chats",
      split: split as "train",
      messages: [
        { role: "user" as const, content: `hi user ${i}` },
        { role: "assistant" as const, content: "her hush" },
      ],
    })),
    layer: { base: 1, finetuned: 4 },
    baseReplacements: { "<end_of_turn>": "hi" },
    storeFolder,
    storeName: "main",
    dtype: "f32",
    threads: 1,
    ...change,
  });
  const store = await openStore(storeFolder);
  const x = await store.read(0, manifest.nRows);
  await store.close();
  const half = (from: number): Float32Array => x.filter((_, i) => i % 64 >= from && i % 64 < from + 32);
  return { manifest, rows: store.rows, base: half(0), finetuned: half(32) };
}

test("without noise it gives the base's residuals, replaced tokens among them, over the pair's rows", async () => {
  const pair = await harvested({});
  const standIn = await harvested({ standIn: noisy(0) });
  expect(standIn.rows).toEqual(pair.rows);
  expect(pair.rows.tokenBase).not.toEqual(pair.rows.tokenFinetuned);
  expect(standIn.manifest.sites.map(({ name }) => name)).toEqual(["base-L1", "finetuned-L1"]);
  expect(standIn.base).toEqual(pair.base);
  expect(standIn.finetuned).toEqual(standIn.base);
  expect(pair.finetuned).not.toEqual(pair.base);
});

test("another noise is another store", async () => {
  const { manifest, finetuned: little } = await harvested({ standIn: noisy(0.1) });
  const other = await harvested({ standIn: noisy(0.2) });
  expect(little).not.toEqual(other.finetuned);
  expect(manifest.identity).not.toEqual(other.manifest.identity);
});
