import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { ownIdentity } from "../formats/process-identity.ts";
import { openExamples, readMeasure } from "../measure/measure.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { measurePaths, readSummaryFile } from "../measure/measure-files.ts";
import { writeMeasureTable } from "../measure/measure-table.ts";
import { type NullRecord, nullPaths, writeNull } from "../measure/null-file.ts";
import { runStudy } from "../study/run-study.ts";
import type { ExamplePage, LatentPage, Missing, Overview, Part, SearchBatch } from "./api-contract.ts";
import { createDashboardApp as createApp, type createDashboardApp } from "./app.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { openNotes } from "./notes.ts";
import { openStudySource, type StudySource } from "./study-source.ts";

let tiny: TinyStudy;
/** A finished study that nothing is written into. */
let finished: string;
/** A copy for every test. */
let folder: string;
let source: StudySource;
let app: ReturnType<typeof createDashboardApp>;
let copies = 0;

beforeAll(async () => {
  tiny = await makeTinyStudy();
  finished = join(tiny.root, "study");
  await runStudy({ folder: finished, config: tiny.config, until: "lens", commands: [] });
});

afterAll(() => tiny.remove());

beforeEach(async () => {
  copies += 1;
  folder = join(tiny.root, `copy-${copies}`);
  await cp(finished, folder, { recursive: true, preserveTimestamps: true });
  source = openStudySource([folder]);
  const notes = openNotes(folder);
  app = createApp({ source, notesOf: () => notes, security: { exchange: () => ({ outcome: "wrong" }) } });
  return async () => {
    notes.close();
    await source.close();
  };
});

const dictionaryFolder = (): string => join(folder, "dictionaries", "main");
const get = async <T>(path: string): Promise<T> =>
  (await (await app.request(`/api/studies/0/main/${path}`)).json()) as T;
const status = async (path: string): Promise<number> => (await app.request(path)).status;
const view = async (): Promise<DictionaryView> => (await source.dictionary(0, "main")) as DictionaryView;
const made = <T>(part: Part<T>): T => {
  if (part.state !== "made") throw new Error(`${part.state}: ${part.words}`);
  return part.value;
};

test("a finished study says its pair, fit and counts, and of every later stage the command that makes it", async () => {
  const overview = await get<Overview>("overview");
  const { summary } = await readMeasure(dictionaryFolder());
  expect(overview.pair).toMatchObject({ id: 0, running: null, layer: { base: 1, finetuned: 1 } });
  expect(overview.pair.dictionaries).toEqual([
    { name: "main", nLatents: 24, sparsity: "BatchTopK, k 4", isMain: true, measured: true },
  ]);
  expect(made(overview.fit)).toMatchObject({ fve: summary.fve, l0: summary.l0, nRows: summary.nRows });
  expect(made(overview.counts)).toEqual(summary.counts);
  const parts = { nulls: "null", stability: "stability", causal: "causal", glance: "glance" };
  for (const [name, command] of Object.entries(parts))
    expect(overview[name as "nulls"]).toMatchObject({
      state: "missing",
      command: `tunediff ${command} STUDY`,
    });
});

test("a folder with nothing but a question, or nothing at all, is shown with what it lacks", async () => {
  await rm(join(folder, "dictionaries"), { recursive: true });
  await rm(join(folder, "study.lock.json"));
  const [entry] = await source.studies();
  expect(entry).toMatchObject({ dictionaries: [], running: null });
  expect(entry.title).toContain(" against ");
  expect(await source.dictionary(0, "main")).toBeUndefined();
  await mkdir(dictionaryFolder(), { recursive: true });
  await rm(join(folder, "study.yaml"));
  await new Promise((resolve) => setTimeout(resolve, 120)); // facts are given again for a moment
  const overview = await get<Overview>("overview");
  expect(overview.fit).toMatchObject({ state: "missing", command: "tunediff measure STUDY" });
  expect(overview.findings).toEqual([]);
  expect(await status("/api/studies/0/main/latents/0")).toBe(409);
  expect(await get("columns")).toEqual([]);
});

test("columns are those of the tables, number by number, in either of their two forms", async () => {
  const { latents } = await readMeasure(dictionaryFolder());
  const columns =
    await get<{ name: string; kind: string; table: string; words: string[] | null }[]>("columns");
  const bytes = async (name: string): Promise<ArrayBuffer> => {
    const response = await app.request(`/api/studies/0/main/column?name=${encodeURIComponent(name)}`);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    return response.arrayBuffer();
  };
  expect(Array.from(new Float64Array(await bytes("deltaNorm")))).toEqual(
    latents.map(({ deltaNorm }) => deltaNorm),
  );
  expect(Array.from(new Float64Array(await bytes("intervalsBase_nuErrorLow")))).toEqual(
    latents.map(({ intervals }) => intervals.base.nuError.low),
  );
  const claim = columns.find(({ name }) => name === "claim");
  expect(claim).toMatchObject({ kind: "category", table: "measure" });
  expect(Array.from(new Uint16Array(await bytes("claim")), (code) => claim?.words?.[code])).toEqual(
    latents.map((latent) => latent.claim),
  );
  expect(await get<string[]>("column?name=tokensAtPeak")).toEqual(
    latents.map(({ tokensAtPeak }) =>
      tokensAtPeak
        .slice(0, 5)
        .map(({ token }) => token)
        .join(" · "),
    ),
  );
  expect(new Set(columns.map(({ table }) => table))).toEqual(new Set(["measure", "lens", "notes"]));
  expect(await status("/api/studies/0/main/column?name=nothing")).toBe(404);
});

test("the page of a latent joins its tables", async () => {
  const { latents, summary } = await readMeasure(dictionaryFolder());
  const measured = latents.find(({ documents }) => documents > 0) as LatentMeasure;
  const page = await get<LatentPage>(`latents/${measured.latent}`);
  expect(page.numbers.maxActivation).toBe(measured.maxActivation);
  expect(page.numbers.scalingFinetuned_nuError).toBe(measured.scalingFinetuned.nuError);
  expect(page.categories).toMatchObject({ claim: measured.claim, latentClass: measured.latentClass });
  expect(page.where.role).toEqual(
    summary.categories.role.flatMap((name, i) =>
      summary.rowsByCategory.role[i] > 0
        ? [{ name, share: measured.frequencyBy.role[i], rows: summary.rowsByCategory.role[i] }]
        : [],
    ),
  );
  expect(page.nearest.finetuned).toEqual(measured.nearestFinetuned);
  expect(made(page.lens).promotedBase.length).toBeGreaterThan(0);
  expect(page.reasons).toHaveLength(1);
  expect(page.histogram?.from).toBe("counted");
  const total = page.histogram?.counts.reduce((sum, count) => sum + count, 0);
  expect(total).toBe(Math.round(measured.frequency * summary.nRows));
  expect(page.histogram?.edges).toHaveLength((page.histogram?.counts.length ?? 0) + 1);
  expect((await get<{ name: string }[]>("columns")).map(({ name }) => name)).not.toContain(
    "activationHistogram",
  );
  expect(await status("/api/studies/0/main/latents/24")).toBe(404);
  expect(await status("/api/studies/0/main/latents/-1")).toBe(404);
});

test("a measurement from before histograms gives five bins between its quantiles, and says so", async () => {
  const { latents, summary } = await readMeasure(dictionaryFolder());
  const old = latents.map((latent) => ({ ...latent, activationHistogram: null }));
  await writeMeasureTable(measurePaths(dictionaryFolder()).table, old, summary.categories);
  const measured = latents.find(({ documents }) => documents > 0) as LatentMeasure;
  const { histogram } = await get<LatentPage>(`latents/${measured.latent}`);
  expect([histogram?.from, histogram?.counts.length]).toEqual(["quantiles", 5]);
  const { q10, q50, q90, q99 } = measured.activationQuantiles;
  expect(histogram?.edges.slice(1)).toEqual([q10, q50, q90, q99, measured.maxActivation]);
});

test("damaged notes leave the pages and columns standing, say what they are, and are not written over", async () => {
  const path = join(folder, "notes.sqlite");
  const damaged = "SQLite format 3\0 and then nothing that belongs there".padEnd(4096, "x");
  await writeFile(path, damaged);
  const page = await get<LatentPage>("latents/0");
  expect(page.numbers.latent).toBe(0);
  const note = page.note as Missing;
  expect(note.state).toBe("damaged");
  expect(note.words).toMatch(/^The notes cannot be read: notes\.sqlite: .*Next: .*it was left as it is\.$/s);
  expect(note.words).not.toContain(tiny.root);
  const tables = (await get<{ table: string }[]>("columns")).map(({ table }) => table);
  expect([tables.includes("measure"), tables.includes("notes")]).toEqual([true, false]);
  const refused = await app.request("/api/studies/0/main/notes/0", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ label: "lost?" }),
  });
  expect(refused.status).toBe(500);
  expect(((await refused.json()) as { hint: string }).hint).toContain("it was left as it is");
  expect(await readFile(path, "utf8")).toBe(damaged);
});

test("contributions of both models and the bias add up to the code whose product with W is the activation shown", async () => {
  const dictionary = await loadDictionary(dictionaryFolder());
  expect(dictionary.normaliser).toBeDefined(); // else the test would not see it
  const weights = latentWeights(dictionary);
  let compared = 0;
  for (let latent = 0; latent < 24; latent += 1) {
    const { examples } = await get<ExamplePage>(`latents/${latent}/examples?count=100`);
    for (const { contributions, activations, tokens } of examples) {
      if (contributions === null) throw new Error("expected contributions");
      for (const [i, activation] of activations.entries()) {
        const pre = contributions.base[i] + contributions.finetuned[i] + contributions.bias;
        if (tokens[i] === "<bos>") continue; // measured of no latent
        if (activation === 0) {
          // Silent: below θ, or not above 0. 1e-5: sums of 32 products in f32 by the encoder.
          expect(pre * weights[latent]).toBeLessThan(Math.max(0, dictionary.inferenceThreshold) + 1e-5);
          continue;
        }
        expect(pre * weights[latent]).toBeCloseTo(activation, 4); // the same rounding, relative to activations near 1
        compared += 1;
      }
    }
  }
  expect(compared).toBeGreaterThan(100);
});

test("examples come in the order of the file, in stretches and by bin", async () => {
  const { latents } = await readMeasure(dictionaryFolder());
  const { latent } = latents.reduce((a, b) => (b.documents > a.documents ? b : a));
  const reader = openExamples(dictionaryFolder());
  const all = [...reader.ofLatent(latent, 1000), ...reader.sampleOfLatent(latent)];
  reader.close();
  const page = await get<ExamplePage>(`latents/${latent}/examples?from=3&count=4`);
  expect(page.total).toBe(all.length);
  expect(page.examples.map(({ bin, rank }) => [bin, rank])).toEqual(
    all.slice(3, 7).map(({ bin, rank }) => [bin, rank]),
  );
  expect(page.examples[0]).toMatchObject({
    tokens: all[3].tokens,
    activations: all[3].activations,
    outputs: null,
  });
  const sampled = await get<ExamplePage>(`latents/${latent}/examples?bin=0`);
  expect(sampled.examples.every(({ bin }) => bin === 0)).toBe(true);
  expect(await status(`/api/studies/0/main/latents/${latent}/examples?count=101`)).toBe(400);
});

test("without its store the examples are whole, and nothing is said of contributions", async () => {
  await rm(join(folder, "stores"), { recursive: true });
  const { examples } = await get<ExamplePage>("latents/0/examples");
  expect(examples.every(({ contributions }) => contributions === null)).toBe(true);
});

describe("tables that come later, of another day, newer or damaged", () => {
  const nullRecord = (dictionarySha256: string): NullRecord => ({
    ...{ schemaVersion: 1, dictionarySha256, thresholds: {}, changeRatio: 1, sampledRows: 1 },
    settings: { draws: 1, includeControl: false, sampleRows: 1 },
    counts: { finetuned: { candidates: 1, claims: 1 }, base: { candidates: 0, claims: 0 } },
    ...{ draws: [], control: null, expectedFalseClaims: { finetuned: 0.5, base: 0 }, claimsUpTo: [] },
  });
  const writeNullTable = async (
    q: (latent: number, claim: string) => number,
    sha?: string,
  ): Promise<void> => {
    const { latents } = await readMeasure(dictionaryFolder());
    const { dictionarySha256 } = (await readSummaryFile(dictionaryFolder())).inputs;
    const none = { scoreFinetuned: 0, qFinetuned: 0, scoreBase: 0, qBase: 0 };
    const rows = latents.map(({ latent, claim }) => ({ latent, ...none, q: q(latent, claim) }));
    await writeNull(dictionaryFolder(), { rows, record: nullRecord(sha ?? dictionarySha256) });
  };
  const claimed = (_: number, claim: string): number => (claim === "none" ? Number.NaN : 0.05);
  const nulls = async (): Promise<Overview["nulls"]> => (await get<Overview>("overview")).nulls;

  test("a stage that is run while the server runs is seen at the next request", async () => {
    expect((await nulls()).state).toBe("missing");
    await writeNullTable(claimed);
    expect(made(await nulls()).expectedFalseClaims.finetuned).toBe(0.5);
    const columns = await get<{ name: string }[]>("columns");
    expect(columns.map(({ name }) => name)).toContain("null_q");
    await rm(nullPaths(dictionaryFolder()).record);
    expect((await nulls()).state).toBe("missing");
  });

  test("a table of another dictionary, or of other claims, is outdated", async () => {
    await writeNullTable(claimed, "0".repeat(64));
    expect(await nulls()).toMatchObject({ state: "outdated", command: "tunediff null STUDY" });
    await writeNullTable(() => 0.01);
    expect((await nulls()).state).toBe("outdated");
  });

  test("a newer or damaged one is said so, and no path of the disk is told", async () => {
    await writeNullTable(claimed);
    const { record, table } = nullPaths(dictionaryFolder());
    await writeFile(record, JSON.stringify({ schemaVersion: 2 }));
    expect((await nulls()).state).toBe("newer");
    await writeNullTable(claimed);
    await writeFile(table, "nothing");
    const part = (await nulls()) as Missing;
    expect(part.state).toBe("damaged");
    expect(part.words).toContain("dictionaries/main/tables/null.parquet");
    expect(part.words).not.toContain(tiny.root);
  });

  test("a measurement that is damaged or older than the dictionary leaves the rest standing", async () => {
    await writeFile(measurePaths(dictionaryFolder()).table, "nothing");
    expect((await get<Overview>("overview")).fit.state).toBe("damaged");
    const path = join(dictionaryFolder(), "training.json");
    const record = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...record, modelSha256: "0".repeat(64) }));
    expect((await get<Overview>("overview")).fit.state).toBe("outdated");
    expect(await status("/api/studies/0/main/training")).toBe(200);
  });

  test("a stage that a living process works on is running, and is missing once that process is dead", async () => {
    await rm(measurePaths(dictionaryFolder()).summary);
    const start = { time: "", stage: "measure", event: "start", key: "k" };
    const journal = join(folder, "journal.jsonl");
    await writeFile(journal, `${await readFile(journal, "utf8")}${JSON.stringify(start)}\n{"torn`);
    await writeFile(join(folder, ".lock"), JSON.stringify({ ...ownIdentity(), token: "t" }));
    const fitOfNow = async (): Promise<Overview["fit"]> => (await get<Overview>("overview")).fit;
    expect(await fitOfNow()).toMatchObject({ state: "running", command: "" });
    expect((await source.studies())[0].running).toBe("measure");
    await writeFile(join(folder, ".lock"), JSON.stringify({ ...ownIdentity(), started: "1", token: "t" }));
    await new Promise((resolve) => setTimeout(resolve, 120)); // facts are given again for a moment
    expect((await fitOfNow()).state).toBe("missing");
  });

  describe("findings", () => {
    /** Latents 0 … 13 claimed, 13 with an uncertain verdict; nuError grows with the number. */
    beforeEach(async () => {
      const { latents, summary } = await readMeasure(dictionaryFolder());
      const changed = latents.map((latent): LatentMeasure => {
        const { latent: j } = latent;
        const nu = { ...latent.scalingFinetuned, nuError: j / 100, nuReconstruction: 0 };
        const verdict = j === 13 ? "uncertain" : "genuine";
        return { ...latent, claim: j < 14 ? "finetuned-specific" : "none", verdict, scalingFinetuned: nu };
      });
      await writeMeasureTable(measurePaths(dictionaryFolder()).table, changed, summary.categories);
    });
    const found = async (): Promise<number[]> =>
      (await get<Overview>("overview")).findings.map(({ latent }) => latent);

    test("are at most ten, most specific first", async () => {
      expect(await found()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      const [{ text, effect }] = (await get<Overview>("overview")).findings;
      expect(text).toMatch(/^Only in the fine-tune: .+ of \d+ held-out documents\./);
      expect(effect).toEqual({ name: "nuError", value: 0 });
    });

    test("leave out latents whose q-value is too large, and uncertain ones", async () => {
      await writeNullTable((latent, claim) =>
        claim === "none" ? Number.NaN : latent % 2 === 0 ? 0.11 : 0.1,
      );
      expect(await found()).toEqual([1, 3, 5, 7, 9, 11]); // not 13: uncertain
    });

    test("are none on a null pair, of one model or of a null draw", async () => {
      const copy = join(folder, "dictionaries", "main-null-1");
      await cp(dictionaryFolder(), copy, { recursive: true });
      const draw = await app.request("/api/studies/0/main-null-1/overview");
      expect(((await draw.json()) as Overview).findings).toEqual([]);
      const path = join(folder, "study.lock.json");
      const lock = JSON.parse(await readFile(path, "utf8"));
      await writeFile(path, JSON.stringify({ ...lock, finetuned: lock.base }));
      await new Promise((resolve) => setTimeout(resolve, 120)); // facts are given again for a moment
      expect(await found()).toEqual([]);
    });
  });
});

test("search finds the examples' text over the wire, and labels by what people wrote", async () => {
  const batches = async (query: string): Promise<SearchBatch[]> => {
    const response = await app.request(`/api/studies/0/main/search?${query}`);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    return (await response.text())
      .split("\n")
      .filter((line) => line.startsWith("data: "))
      .map((line) => JSON.parse(line.slice(6)) as SearchBatch);
  };
  const found = await batches("q=user");
  expect(found.at(-1)?.done).toBe(true);
  expect(found.flatMap(({ hits }) => hits).length).toBeGreaterThan(0);
  const notes = openNotes(folder);
  notes.put(await (await view()).sha256(), 7, { label: "Politeness" });
  notes.close();
  const labels = await batches("q=polite&in=labels");
  expect(labels.flatMap(({ hits }) => hits)).toEqual([
    { latent: 7, bin: 0, rank: 0, text: "Politeness", start: 0, end: 6 },
  ]);
  expect(await status("/api/studies/0/main/search?q=(&mode=regex")).toBe(400);
  expect(await status(`/api/studies/0/main/search?q=${"a".repeat(401)}`)).toBe(400);
  expect(await status("/api/studies/0/main/search?q=")).toBe(400);
});

test("nothing but a listed study and dictionary is found", async () => {
  for (const place of [
    "1/main",
    "-1/main",
    "0x0/main",
    "0/..",
    "0/%2e%2e",
    "0/..%2fmain",
    "0/main%00",
    "0/other",
    "00/main",
  ])
    expect([place, await status(`/api/studies/${place}/overview`)]).toEqual([place, 404]);
});

test("the data page counts the rows of the store", async () => {
  const page = await get<import("./api-contract.ts").DataPage>("data");
  const store = made(page.store);
  const sum = (list: { rows: number }[]): number => list.reduce((total, { rows }) => total + rows, 0);
  expect([sum(store.splits), sum(store.datasets), sum(store.roles), sum(store.slots)]).toEqual(
    Array.from({ length: 4 }, () => store.nRows),
  );
  expect(made(page.measured).nRows).toBe((await readMeasure(dictionaryFolder())).summary.nRows);
});

test("views of many dictionaries are held two at a time, and are whole when asked for again", async () => {
  for (const name of ["b", "c"])
    await cp(dictionaryFolder(), join(folder, "dictionaries", name), { recursive: true });
  const first = await view();
  for (const name of ["b", "c"]) await source.dictionary(0, name);
  const again = await view();
  expect(again).not.toBe(first);
  const fit = await again.part("measure", ({ table }) => table.numbers("deltaNorm"));
  expect(made(fit)).toHaveLength(24);
});
