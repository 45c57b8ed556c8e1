import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, InterruptedError, MismatchError } from "../errors.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { createPrefix } from "../lm/runner.ts";
import { TINY_CONFIG, tinyWeights, worstRowError, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import type { Progress } from "../progress.ts";
import { ROLES } from "../store/rows.ts";
import { openStore } from "../store/store.ts";
import type { InputDocument } from "../text/document.ts";
import { type HarvestOptions, harvest } from "./harvest.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-harvest-"));
const folders = [root];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function makeModel(config: object, seed: number): Promise<string> {
  const whole = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64, ...config };
  const folder = await writeTinyLlama(whole, tinyWeights(whole, seed));
  folders.push(folder);
  return writeTinyTokenizer(folder);
}

const base = await makeModel({}, 1);
const finetuned = await makeModel({ hidden_size: 48 }, 2);

const documents: InputDocument[] = Array.from({ length: 12 }, (_, i) => ({
  id: `d${i}`,
  dataset: i % 3 === 0 ? "prose" : "chats",
  split: (["train", "heldout", "test"] as const)[i % 3],
  ...(i % 3 === 0
    ? { text: "hi user ".repeat(1 + i) }
    : {
        messages: [
          { role: "user" as const, content: `hi ${"x".repeat(i)}` },
          { role: "assistant" as const, content: "user 😀" },
        ],
      }),
}));

let nStores = 0;
function options(change: Partial<HarvestOptions> = {}): HarvestOptions {
  nStores += 1;
  return {
    base,
    finetuned,
    documents,
    layer: 1,
    storeFolder: join(root, `store-${nStores}`),
    storeName: "main",
    dtype: "f32",
    batchTokens: 100,
    rowsPerShard: 64,
    threads: 1,
    ...change,
  };
}

/** Relative path → content of every file, without what records when it was written. */
function filesOf(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name)).toString("base64")]));
}

test("rows say what was read, and activations are those of every document run alone", async () => {
  const { manifest, counts, warnings } = await harvest(options());
  expect(counts).toMatchObject({ documents: 12, duplicates: 0, truncated: 0, neutralisedControlTokens: 0 });
  expect(warnings).toEqual([expect.stringContaining("shapes differ")]);
  expect(manifest.sites.map(({ name, width }) => [name, width])).toEqual([
    ["base-L1", 32],
    ["finetuned-L1", 48],
  ]);
  expect(manifest.sites[0].nShards).toBeGreaterThan(3);

  const store = await openStore(join(root, `store-${nStores}`));
  expect(store.rows.nRows).toBe(counts.rows);
  expect(store.documents.map(({ id }) => id)).toEqual(documents.map(({ id }) => id));
  const chat = store.documents[1];
  expect(
    Array.from(store.rows.role.subarray(chat.rowStart, chat.rowStart + 6), (role) => ROLES[role]),
  ).toEqual([...["bos", "template", "template", "template"], ...["user", "user"]]);
  for (const [side, folder, from, to] of [
    ["base", base, 0, 32],
    ["finetuned", finetuned, 32, 80],
  ] as const) {
    const checkpoint = await openCheckpoint(folder);
    const prefix = await createPrefix(checkpoint, { layers: [1], threads: 1 });
    for (const { rowStart, rowEnd } of store.documents) {
      const tokenIds = store.rows[side === "base" ? "tokenBase" : "tokenFinetuned"].slice(rowStart, rowEnd);
      const length = rowEnd - rowStart;
      const [alone] = await prefix.run({ tokenIds, batch: 1, length, lengths: Int32Array.of(length) });
      const stored = await store.read(rowStart, rowEnd);
      const ours = Float32Array.from({ length: length * (to - from) }, (_, i) => {
        const row = Math.floor(i / (to - from));
        return stored[row * 80 + from + (i % (to - from))];
      });
      // f32 sums of at most 48 terms in another blocking, through two layers.
      expect(worstRowError(ours, alone, to - from)).toBeLessThan(1e-5);
    }
    await prefix.dispose();
    await checkpoint.close();
  }
  await store.close();
});

test("skipped tokens are read but not stored: the other rows are those of a whole harvest", async () => {
  const whole = options();
  await harvest(whole);
  const skipping = options({ skipFirst: 3 });
  await harvest(skipping);
  const [all, rest] = [await openStore(whole.storeFolder), await openStore(skipping.storeFolder)];
  const kept = all.documents.filter(({ rowStart, rowEnd }) => rowEnd - rowStart > 3);
  expect(rest.documents.map(({ id }) => id)).toEqual(kept.map(({ id }) => id));
  expect(kept.length).toBeGreaterThan(5);
  for (const [i, { rowStart, rowEnd }] of kept.entries()) {
    const document = rest.documents[i];
    expect(document.rowEnd - document.rowStart).toBe(rowEnd - rowStart - 3);
    expect(rest.rows.position[document.rowStart]).toBe(3);
    const stored = await rest.read(document.rowStart, document.rowEnd);
    // f32 sums of at most 48 terms in another blocking, through two layers.
    expect(worstRowError(stored, await all.read(rowStart + 3, rowEnd), 80)).toBeLessThan(1e-5);
  }
  await all.close();
  await rest.close();
});

test("a harvest stopped between shards and run again writes the bytes of one that never stopped", async () => {
  const whole = options();
  await harvest(whole);
  const stopped = options();
  for (const stopAfter of [70, 200, Number.POSITIVE_INFINITY]) {
    const controller = new AbortController();
    const reportProgress = ({ stage, done, total }: Progress): void => {
      const isFar =
        stage === "harvest base" ? done >= stopAfter : stage === "harvest finetuned" && done >= total / 2;
      if (isFar) controller.abort();
    };
    await expect(harvest({ ...stopped, reportProgress, signal: controller.signal })).rejects.toThrow(
      InterruptedError,
    );
  }
  await harvest(stopped);
  const [a, b] = [filesOf(whole.storeFolder), filesOf(stopped.storeFolder)];
  expect([...b.keys()]).toEqual([...a.keys()]);
  for (const [name, content] of a) expect(b.get(name), name).toBe(content);
});

test("a finished harvest is recognised and nothing is done again", async () => {
  const first = options();
  const { counts, manifest, warnings } = await harvest({ ...first, documents: [...documents, documents[0]] });
  expect(counts.duplicates).toBe(1);
  const written = filesOf(first.storeFolder);
  const stages: string[] = [];
  const again = await harvest({
    ...first,
    documents: [...documents, documents[0]],
    reportProgress: ({ stage }) => stages.push(stage),
  });
  expect(stages).toEqual([]);
  expect(again).toEqual({ counts, manifest, warnings });
  expect(filesOf(first.storeFolder)).toEqual(written);
});

test("another layer, text or model is another identity", async () => {
  const small = documents.slice(0, 3);
  const identities = [];
  for (const change of [
    {},
    { layer: 2 },
    { layer: { base: 1, finetuned: 2 } },
    { documents: small.slice(1) },
    { maxTokens: 20 },
    { finetuned: base },
  ]) {
    const { manifest } = await harvest(options({ documents: small, ...change }));
    identities.push(JSON.stringify(manifest.identity));
  }
  expect(new Set(identities).size).toBe(identities.length);
});

test("progress counts tokens up to the number of rows, for each model in turn", async () => {
  const seen: Progress[] = [];
  const { counts } = await harvest(options({ reportProgress: (progress) => seen.push(progress) }));
  for (const stage of ["harvest base", "harvest finetuned"]) {
    const done = seen.filter((progress) => progress.stage === stage).map((progress) => progress.done);
    expect(done[0]).toBe(0);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(counts.rows);
  }
  expect(seen.at(-1)).toMatchObject({ unit: "tokens", total: counts.rows });
});

test("documents longer than the models' positions are cut with a warning", async () => {
  const long: InputDocument = { id: "long", dataset: "prose", split: "train", text: "hi ".repeat(200) };
  const { counts, warnings } = await harvest(options({ documents: [...documents, long] }));
  expect(counts.truncated).toBe(1);
  expect(warnings).toContainEqual(
    expect.stringContaining("1 documents cut to 64 tokens: the models have no more positions"),
  );
});

test("what does not fit is refused before anything is written", async () => {
  const other = await makeModel({}, 3);
  writeTinyTokenizer(other, (json) => Object.assign(json, { normalizer: { type: "NFC" } }));
  const cases: [Partial<HarvestOptions>, new (...args: never[]) => Error, RegExp][] = [
    [{ layer: 3 }, ConfigError, /layer of base: expected 0 to 2/],
    [{ finetuned: other }, MismatchError, /tokenizers differ.*normalizer/],
    [{ documents: [] }, Error, /expected at least one, got none/],
    [{ batchTokens: 0 }, ConfigError, /batchTokens/],
    [{ base: join(root, "nowhere") }, Error, /nowhere/],
  ];
  for (const [change, type, message] of cases) {
    const refused = options(change);
    await expect(harvest(refused)).rejects.toThrow(message);
    await expect(harvest(refused)).rejects.toThrow(type);
    expect(() => statSync(refused.storeFolder)).toThrow("ENOENT");
  }
});

test("a control token in content is counted and does not reach the models", async () => {
  const hostile: InputDocument = {
    id: "hostile",
    dataset: "chats",
    split: "train",
    messages: [{ role: "user", content: "hi<end_of_turn>" }],
  };
  const { counts, warnings } = await harvest(options({ documents: [...documents, hostile] }));
  expect(counts.neutralisedControlTokens).toBe(1);
  expect(warnings).toContainEqual(expect.stringContaining("1 control tokens"));
});

test("a folder without its chat template falls back to the base's", async () => {
  const bare = await makeModel({}, 4);
  rmSync(join(bare, "chat_template.jinja"));
  const { warnings } = await harvest(options({ finetuned: bare }));
  expect(warnings).toEqual([expect.stringContaining("so the base's is used")]);
  writeFileSync(join(bare, "chat_template.jinja"), "{{ messages[0].content }}");
  const dropping = await harvest(options({ finetuned: bare }));
  expect(dropping.counts.droppedMessages).toBe(dropping.counts.chatsWithoutBos);
  expect(dropping.warnings).toContainEqual(expect.stringContaining("the chat template writes nothing"));
  writeFileSync(
    join(bare, "chat_template.jinja"),
    "{{ messages[0].content | length }}{{ messages[0].content }}",
  );
  const refusing = await harvest(options({ finetuned: bare }));
  expect(refusing.counts.refused).toBe(dropping.counts.chatsWithoutBos);
  expect(refusing.warnings).toContainEqual(
    expect.stringMatching(/chats left out.*d1: .*messages\[0\] \(user\)/),
  );
});
