import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import { runStudy } from "../study/run-study.ts";
import type {
  DataPage,
  DocumentPage,
  DocumentTokens,
  Missing,
  Part,
  TrainingFacts,
  TrainingLine,
} from "./api-contract.ts";
import { createDashboardApp as createApp, type createDashboardApp } from "./app.ts";
import { openNotes } from "./notes.ts";
import { openStudySource, type StudySource } from "./study-source.ts";

let tiny: TinyStudy;
let folder: string;
let source: StudySource;
let store: Store;
let app: ReturnType<typeof createDashboardApp>;

beforeAll(async () => {
  tiny = await makeTinyStudy();
  folder = join(tiny.root, "study");
  await runStudy({ folder, config: tiny.config, until: "measure", commands: [] });
  store = await openStore(join(folder, "stores", "main"));
  source = openStudySource([folder]);
  const notes = openNotes(folder);
  app = createApp({ source, notesOf: () => notes, security: { exchange: () => ({ outcome: "wrong" }) } });
  return async () => {
    notes.close();
    await source.close();
    await store.close();
  };
});
afterAll(() => tiny.remove());

const request = async (path: string): Promise<Response> => app.request(`/api/studies/0/main/${path}`);
const get = async <T>(path: string): Promise<T> => (await (await request(path)).json()) as T;
const made = async <T>(path: string): Promise<T> => {
  const part = await get<Part<T>>(path);
  if (part.state !== "made") throw new Error(`${part.state}: ${part.words}`);
  return part.value;
};

describe("documents of a store", () => {
  test("are listed a stretch at a time, of a dataset and split or of all", async () => {
    const all = await made<DocumentPage>("documents?count=100");
    expect(all.total).toBe(60);
    expect(all.documents.map(({ id }) => id)).toEqual(store.documents.map(({ id }) => id));
    expect(all.documents[3]).toEqual({
      ...{ number: 3, id: store.documents[3].id, dataset: store.documents[3].dataset },
      ...{ split: store.documents[3].split, group: store.documents[3].group },
      ...{ nRows: store.documents[3].rowEnd - store.documents[3].rowStart, nTurns: 0 },
      opening: store.documents[3].text,
    });
    const heldout = store.documents.filter(({ split }) => split === "heldout").map(({ index }) => index);
    const page = await made<DocumentPage>("documents?split=heldout&from=4&count=3");
    expect([page.total, page.documents.map(({ number }) => number)]).toEqual([
      heldout.length,
      heldout.slice(4, 7),
    ]);
    const [{ dataset }] = store.documents;
    expect((await made<DocumentPage>(`documents?dataset=${dataset}`)).total).toBe(60);
    expect(await made<DocumentPage>("documents?dataset=none")).toEqual({ total: 0, documents: [] });
    expect((await made<DocumentPage>("documents?from=1000")).documents).toEqual([]);
  });

  test("tokens of one are its rows: surface text, ids of both models, roles, slots, and what each row is for", async () => {
    for (const { index, text, rowStart, rowEnd, split } of store.documents.slice(0, 8)) {
      const page = await made<DocumentTokens>(`documents/${index}`);
      const rows = (name: "tokenBase" | "tokenFinetuned" | "turn"): number[] =>
        Array.from(store.rows[name].subarray(rowStart, rowEnd));
      expect(page.idsBase).toEqual(rows("tokenBase"));
      expect(page.idsFinetuned).toEqual(rows("tokenFinetuned"));
      expect(page.turns).toEqual(rows("turn"));
      expect(page.tokens.join("")).toBe(text);
      expect(page.slots).toEqual(page.tokens.map(() => "none"));
      expect(page.areOutliersKnown).toBe(true);
      const use = { train: "trained", heldout: "measured", test: "tested" }[split];
      expect(page.uses).toEqual(page.roles.map((role) => (role === "bos" ? "bos" : use)));
      expect(page.roles).toContain("text");
    }
  });

  test("norm outliers are those above the limits of the training record", async () => {
    const path = join(folder, "dictionaries", "main", "training.json");
    const source = await readFile(path, "utf8");
    const record = JSON.parse(source);
    // Two rows of the first document that are not BOS, and a limit between their norms at the first site.
    const rows = [1, 2];
    const norms = await Promise.all(
      rows.map(async (row) => Math.hypot(...(await store.read(row, row + 1)).subarray(0, 16))),
    );
    const limit = (norms[0] + norms[1]) / 2;
    record.rows.normLimits = [limit, 1e9];
    await writeFile(path, JSON.stringify(record));
    try {
      const { uses } = await made<DocumentTokens>("documents/0");
      expect(rows.map((row) => uses[row] === "outlier")).toEqual(norms.map((norm) => norm > limit));
    } finally {
      await writeFile(path, source);
    }
  });

  test("a stretch from the middle goes on where the last one ends; past the end there is none", async () => {
    const whole = await made<DocumentTokens>("documents/2");
    const rest = await made<DocumentTokens>("documents/2?from=3");
    expect([rest.from, rest.tokens]).toEqual([3, whole.tokens.slice(3)]);
    expect((await made<DocumentTokens>("documents/2?from=5000")).tokens).toEqual([]);
  });

  test("a number, page, split or key that is none is refused", async () => {
    for (const path of ["documents/60", "documents/-1", "documents/x", "documents/999999999999"])
      expect([path, (await request(path)).status]).toEqual([path, 404]);
    for (const query of ["?count=0", "?count=101", "?from=-1", "?split=all", "?other=1", "?dataset="])
      expect([query, (await request(`documents${query}`)).status]).toEqual([query, 400]);
    expect((await request("documents/1?from=1e3")).status).toBe(400);
    expect((await request("documents/1?number=2")).status).toBe(400);
  });
});

test("the data page says what was trained on, what was left out, and how text became rows", async () => {
  const page = await get<DataPage>("data");
  const train = store.manifest.rowsBySplit.train;
  const { trained } = page;
  if (trained.state !== "made") throw new Error(trained.words);
  expect(trained.value.nRows + trained.value.nBosRows + trained.value.nOutlierRows).toBe(train);
  expect(page.harvest).toMatchObject({ skipFirst: 0, counts: { documents: 60, rows: store.rows.nRows } });
  expect(page.harvest?.maxTokens).toBeGreaterThan(0);
});

test("training facts are the record's, with throughput worked out; the log is the trainer's", async () => {
  const { plan, record, checkpoints } = await get<TrainingFacts>("training/facts");
  expect(plan).toEqual({ steps: 20, batchRows: 64 });
  expect(checkpoints).toEqual([]);
  if (record.state !== "made") throw new Error(record.words);
  const fact = (group: string, name: string) =>
    record.value.facts.find((one) => one.group === group && one.name === name)?.value;
  expect(fact("configuration", "nLatents")).toBe(24);
  expect(fact("time", "tokensTrained")).toBe(20 * 64);
  expect(fact("time", "tokensPerSecond")).toBeGreaterThan(0);
  expect(fact("result", "fve.total")).toEqual(expect.any(Number));
  expect(JSON.stringify(record)).not.toContain(tiny.root);
  const lines = await get<TrainingLine[]>("training");
  expect(lines.at(-1)?.step).toBe(20);
});

test("one stream follows dictionaries side by side and refuses those that are not there", async () => {
  const stop = new AbortController();
  const ask = (query: string) =>
    app.request(`/api/studies/0/main/training/live${query}`, { signal: stop.signal });
  for (const query of ["?with=0/none", "?with=1/main"]) expect((await ask(query)).status).toBe(404);
  for (const query of ["?with=", "?with=main", "?with=0/..", `?with=${"0/main,".repeat(8)}0/main`, "?x=1"])
    expect([query, (await ask(query)).status]).toEqual([query, 400]);
  const response = await ask("?with=0/main");
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const events = [];
  for (let i = 0; i < 2; i += 1) events.push(new TextDecoder().decode((await reader.read()).value));
  for (const event of events) {
    const { state, reset, lines } = JSON.parse(event.slice(event.indexOf("data: ") + 6));
    expect([state.kind, reset, lines.at(-1).step]).toEqual(["finished", true, 20]);
  }
  stop.abort();
});

test("before its record a training says what was asked; without a store there is none, and how to make it", async () => {
  const record = join(folder, "dictionaries", "main", "training.json");
  await rm(record);
  const facts = await get<TrainingFacts>("training/facts");
  expect(facts.plan).toEqual({ steps: 20, batchRows: 64 });
  expect(facts.record).toMatchObject({ state: "missing", command: "tunediff train STUDY" });
  expect((await made<DocumentTokens>("documents/1")).areOutliersKnown).toBe(false);
  await rm(join(folder, "stores", "main", "manifest.json"));
  for (const path of ["documents", "documents/1"])
    expect(await get<Missing>(path)).toMatchObject({ state: "missing", command: "tunediff harvest STUDY" });
  expect((await get<DataPage>("data")).harvest).toBeNull();
});
