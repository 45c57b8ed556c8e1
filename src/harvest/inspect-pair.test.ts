// What is said of a pair before any compute: from its small files alone, and, for weights and texts, when it is harvested.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import { TINY_CONFIG, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { openStore } from "../store/store.ts";
import { harvest } from "./harvest.ts";
import { inspectPair, resolveLayer } from "./inspect-pair.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-inspect-"));
const made: string[] = [root];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

const CONFIG = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64 };
type TokenizerEdit = Parameters<typeof writeTinyTokenizer>[1];

/** A folder without weights: all that inspecting may look at. */
function folderWith(
  name: string,
  { config = {}, edit }: { config?: object; edit?: TokenizerEdit } = {},
): string {
  const folder = writeTinyTokenizer(join(root, name), edit);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...CONFIG, ...config }));
  return folder;
}

const addToken =
  (id: number): TokenizerEdit =>
  (json) => {
    const added = json.added_tokens as object[];
    added.push({ ...added[0], id, content: "<tool>" });
  };

const base = folderWith("base", { config: { torch_dtype: "float32" } });

test("no weights are looked at: folders without any are inspected, and what differs in config.json is said", async () => {
  const finetuned = folderWith("changed", {
    config: {
      torch_dtype: "bfloat16",
      rope_parameters: { rope_type: "default", rope_theta: 500000 },
      max_position_embeddings: 128,
      hidden_size: 48,
      num_hidden_layers: 6,
    },
  });
  const { warnings, members, layer } = await inspectPair({ base, finetuned });
  expect(layer).toEqual({ base: 1, finetuned: 3 }); // the middle of each
  expect(warnings).toEqual([
    "shapes differ: base 3 blocks of width 32, finetuned 6 blocks of width 48; layers 1 and 3 are compared",
    expect.stringMatching(/^rope settings differ: base .*10000.*finetuned .*500000/),
    expect.stringMatching(/^dtypes of the weights differ: base float32, finetuned bfloat16/),
  ]);
  expect(members.finetuned).toMatchObject({ dModel: 48, nLayers: 6, maxPositions: 128, isTied: false });
});

test("one folder twice is a null pair, and a refusal comes without weights too", async () => {
  expect((await inspectPair({ base, finetuned: base })).warnings).toEqual([
    expect.stringContaining("null pair"),
  ]);
  await expect(inspectPair({ base, finetuned: base, layer: 3 })).rejects.toThrow(ConfigError);
  await expect(inspectPair({ base, finetuned: base, layer: { base: 0, finetuned: 7 } })).rejects.toThrow(
    /layer of finetuned: expected 0 to 2 .* got 7/,
  );
  const other = folderWith("other", {
    edit: (json) => {
      (json.model as { merges: unknown[] }).merges = [];
    },
  });
  await expect(inspectPair({ base, finetuned: other })).rejects.toThrow(MismatchError);
});

test("a layer is one number for both, one each, or the middle of each", () => {
  const nLayers = { base: 12, finetuned: 7 };
  expect(resolveLayer(undefined, nLayers)).toEqual({ base: 6, finetuned: 3 });
  expect(resolveLayer(5, nLayers)).toEqual({ base: 5, finetuned: 5 });
  expect(resolveLayer({ base: 1, finetuned: 2 }, nLayers)).toEqual({ base: 1, finetuned: 2 });
});

test("an adapter takes config and tokenizer of its base, and only LoRA is let through", async () => {
  const adapter = join(root, "adapter");
  const describe = (config: object): void => {
    mkdirSync(adapter, { recursive: true });
    writeFileSync(join(adapter, "adapter_config.json"), JSON.stringify(config));
  };
  describe({ peft_type: "LORA", base_model_name_or_path: "hub/base" });
  const { members, warnings, tokenizer } = await inspectPair({ base, finetuned: adapter });
  expect(members.finetuned).toMatchObject({ dModel: 32, adapter: { kind: "LORA", baseName: "hub/base" } });
  expect(tokenizer.folder).toBe(base);
  expect(warnings).toEqual([expect.stringContaining("base has one, finetuned has none")]);
  describe({ peft_type: "IA3" });
  await expect(inspectPair({ base, finetuned: adapter })).rejects.toThrow(/expected LORA, got IA3/);
  await expect(inspectPair({ base: adapter, finetuned: base })).rejects.toThrow(FormatError);
});

test("a text that uses an id without a row is refused before weights run; replaced for the base it is harvested", async () => {
  const models = await Promise.all([writeTinyLlama(CONFIG), writeTinyLlama({ ...CONFIG, vocab_size: 300 })]);
  made.push(...models);
  const [small, grown] = models;
  writeTinyTokenizer(small);
  writeTinyTokenizer(grown, addToken(TINY_VOCAB_SIZE));
  // The control token comes from the template; in content it would be neutralised.
  writeFileSync(
    join(grown, "chat_template.jinja"),
    "<bos>{% for m in messages %}<tool>{{ m.content }}{% endfor %}",
  );
  const chats = [0, 1, 2].map((i) => ({
    id: `d${i}`,
    dataset: "chats",
    split: "train" as const,
    messages: [{ role: "user" as const, content: `hi ${i}` }],
  }));
  const question = {
    base: small,
    finetuned: grown,
    layer: 1,
    storeName: "main",
    threads: 1,
    documents: chats,
  };

  const refused = { ...question, storeFolder: join(root, "refused") };
  await expect(harvest(refused)).rejects.toThrow(
    /document d0, position 1: expected token ids below 267, the embedding rows of base .* got 267 and 2 more/,
  );
  const { warnings } = await harvest({
    ...question,
    storeFolder: join(root, "replaced"),
    baseReplacements: { "<tool>": "user" },
  });
  expect(warnings).toContainEqual("3 tokens replaced for the base model");
  expect(warnings).not.toContainEqual(expect.stringContaining("only in the fine-tune"));
  const store = await openStore(join(root, "replaced"));
  const { tokenBase, tokenFinetuned } = store.rows;
  expect([tokenFinetuned[1], tokenBase[1]]).toEqual([267, TINY_VOCAB_SIZE - 2]); // "user" is the fifth merge
  expect(tokenBase.filter((id, row) => id !== tokenFinetuned[row])).toHaveLength(3);
  await store.close();
});

test("two folders with the same weights are called a null pair", async () => {
  const folder = writeTinyTokenizer(await writeTinyLlama(CONFIG));
  const copy = join(root, "copy");
  made.push(folder);
  cpSync(folder, copy, { recursive: true });
  const { warnings } = await harvest({
    base: folder,
    finetuned: copy,
    layer: 1,
    storeFolder: join(root, "null"),
    storeName: "main",
    threads: 1,
    documents: [{ id: "d", dataset: "x", split: "train", text: "hi user" }],
  });
  expect(warnings).toContainEqual(expect.stringMatching(/hold the same weights: a null pair/));
});
