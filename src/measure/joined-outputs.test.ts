// Outputs of a store on disk, joined to the examples of a dictionary that was measured on it before or after.

import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../dictionary/dictionary-file.ts";
import { FormatError } from "../errors.ts";
import { openDatabase } from "../formats/sqlite.ts";
import { exampleOutputs } from "../store/example-outputs.ts";
import { makeOutputColumns, type Outputs, openOutputs, TOP_TOKENS } from "../store/outputs.ts";
import { createOutputsWriter } from "../store/outputs-writer.ts";
import { openRowSource } from "../store/row-source.ts";
import { randomDocuments, writeDiskStore } from "./disk-store.test.helper.ts";
import { joinOutputs } from "./examples-file.ts";
import { fillOutputs } from "./joined-outputs.ts";
import { measure, openExamples } from "./measure.ts";
import { measurePaths } from "./measure-files.ts";
import { createMemoryStore } from "./memory-store.test.helper.ts";

let root = "";
let store = "";
const dictionary = randomDictionary({ inferenceThreshold: 2.5, normalised: false });
const documents = randomDocuments(dictionary.width, 60);
const tokenString = (id: number) => `t${id}`;

async function measureIn(folder: string, encoder?: Parameters<typeof measure>[0]["encoder"]) {
  const source = await openRowSource(store);
  try {
    return await measure({
      store: source,
      dictionary,
      folder,
      tokenString,
      examplesPerLatent: 4,
      threads: 1,
      encoder,
    });
  } finally {
    await source.close();
  }
}

/** Numbers that no two rows share, for all held-out rows; the last row of a document has no next token. */
async function writeOutputs(): Promise<void> {
  const memory = createMemoryStore(dictionary.sites, documents);
  const covered = memory.documents.filter(({ split }) => split === "heldout");
  const rows = Uint32Array.from(
    covered.flatMap(({ rowStart, rowEnd }) =>
      Array.from({ length: rowEnd - rowStart }, (_, i) => rowStart + i),
    ),
  );
  const last = new Set(covered.map(({ rowEnd }) => rowEnd - 1));
  const writer = await createOutputsWriter({
    ...{ storeFolder: store, rows, rowsPerShard: 37, scratchWidth: 1 },
    vocabulary: { base: 99_999, finetuned: 99_999, common: 99_999 },
  });
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    const { rowStart, rowEnd } = writer.shardRange(shard);
    const columns = makeOutputColumns(rowEnd - rowStart);
    for (const [i, row] of rows.subarray(rowStart, rowEnd).entries()) {
      columns.row[i] = row;
      columns.hasNext[i] = last.has(row) ? 0 : 1;
      columns.klFinetunedBase[i] = row / 2;
      columns.nllBase[i] = last.has(row) ? 0 : row / 4;
      columns.nllFinetuned[i] = last.has(row) ? 0 : row / 8;
      for (let k = 0; k < TOP_TOKENS; k += 1) {
        columns.topTokenBase[i * TOP_TOKENS + k] = 10 * row + k;
        columns.topProbabilityBase[i * TOP_TOKENS + k] = 2 ** -(k + 1);
        columns.topTokenFinetuned[i * TOP_TOKENS + k] = 10 * row + k + 5;
        columns.topProbabilityFinetuned[i * TOP_TOKENS + k] = 2 ** -(k + 2);
      }
    }
    await writer.writeShard(shard, columns, { base: 0, finetuned: 0 });
  }
  await writer.finish();
}

/** Rows of some tables as JSON. */
function dump(folder: string, tables: string[]): string {
  const database = openDatabase(measurePaths(folder).examples, { readOnly: true });
  try {
    return JSON.stringify(tables.map((table) => database.prepare(`SELECT * FROM ${table}`).all()));
  } finally {
    database.close();
  }
}

const folderOf = (name: string) => join(root, name);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "joined-outputs-"));
  store = join(root, "store");
  await writeDiskStore(store, dictionary.sites, documents);
  for (const name of ["early", "late"]) {
    await mkdir(folderOf(name));
    await saveDictionary(folderOf(name), dictionary);
  }
  await measureIn(folderOf("early"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("a store without outputs gives examples without any", async () => {
  const examples = openExamples(folderOf("early"));
  const [example] = examples.ofLatent(0, 1);
  expect(examples.outputsSha256).toBeUndefined();
  expect(examples.outputsOf(example)).toBeNull();
  examples.close();
  expect(() => dump(folderOf("early"), ["outputs"])).toThrow(/outputs/);
  const source = await openRowSource(store);
  const path = measurePaths(folderOf("early")).examples;
  expect(await joinOutputs({ path, source, tokenString })).toBe(false);
  await source.close();
});

test("outputs that came later are joined to examples that are there, without encoding a row", async () => {
  const folder = folderOf("early");
  const before = dump(folder, ["examples"]);
  await writeOutputs();
  const encoder = {
    maxRows: 8,
    encode: () => Promise.reject(new Error("must not encode")),
    dispose: async () => {},
  };
  await measureIn(folder, encoder);
  expect(dump(folder, ["examples"])).toBe(before);
  const { mtimeMs } = await stat(measurePaths(folder).examples);
  await measureIn(folder, encoder); // joined already: nothing is written
  expect((await stat(measurePaths(folder).examples)).mtimeMs).toBe(mtimeMs);
});

test("every token of every example has the numbers of its row in the store", async () => {
  const outputs = await openOutputs(store);
  if (outputs === undefined) throw new Error("expected outputs");
  const examples = openExamples(folderOf("early"));
  let checked = 0;
  let ends = 0;
  for (let latent = 0; latent < dictionary.nLatents; latent += 1) {
    for (const example of [...examples.ofLatent(latent, 4), ...examples.sampleOfLatent(latent)]) {
      const { rowStart, tokens } = example;
      const expected = await exampleOutputs(outputs, { rowStart, rowEnd: rowStart + tokens.length });
      const named = (top: { token: number; probability: number }[] = []) =>
        top.map(({ token, probability }) => ({ token: tokenString(token), tokenId: token, probability }));
      expect(examples.outputsOf(example)).toEqual(
        expected.map((entry) => ({
          ...entry,
          topBase: named(entry?.topBase),
          topFinetuned: named(entry?.topFinetuned),
        })),
      );
      expect(expected[0]?.kl).toBe(rowStart / 2);
      ends += expected.filter((entry) => entry?.nllBase === null).length;
      checked += 1;
    }
  }
  expect(checked).toBeGreaterThan(50);
  expect(ends).toBeGreaterThan(0);
  examples.close();
});

test("a measurement made with outputs at hand ends on the same tables", async () => {
  await measureIn(folderOf("late"));
  const tables = ["examples", "outputs", "tokens", "meta"];
  expect(dump(folderOf("late"), tables)).toBe(dump(folderOf("early"), tables));
});

test("rows are read once, in ascending order, and only those that some example shows", async () => {
  const database = openDatabase(":memory:");
  const asked: [number, number][] = [];
  const outputs = {
    manifest: (await openOutputs(store))?.manifest,
    rowsOf: async (from: number, to: number) => {
      asked.push([from, to]);
      return makeOutputColumns(0);
    },
  } as unknown as Outputs;
  database.exec(
    "CREATE TABLE examples (row_start, token_ids); CREATE TABLE tokens (token PRIMARY KEY, string); CREATE TABLE meta (key PRIMARY KEY, value)",
  );
  const add = database.prepare("INSERT INTO examples VALUES (?, ?)");
  for (const [start, n] of [
    [9000, 5],
    [20, 10],
    [8, 4],
    [25, 10],
    [35, 1],
  ])
    add.run(start, new Uint8Array(4 * n));
  add.run(0, new Uint8Array(4 * 5));
  for (let start = 10_000; start < 15_000; start += 100) add.run(start, new Uint8Array(400));
  await fillOutputs(database, { outputs, nRows: 15_000, tokenString });
  expect(asked).toEqual([
    [0, 5],
    [8, 12],
    [20, 36],
    [9000, 9005],
    [10_000, 14_096],
    [14_096, 15_000],
  ]);
  database.close();
});

test("a blob of another size is refused", async () => {
  const database = openDatabase(measurePaths(folderOf("late")).examples);
  database.exec("UPDATE outputs SET top = x'0011'");
  database.close();
  const examples = openExamples(folderOf("late"));
  expect(() => examples.outputsOf(examples.ofLatent(0, 1)[0])).toThrow(FormatError);
  examples.close();
});
