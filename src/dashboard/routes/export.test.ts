import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../../dictionary/dictionary-file.ts";
import { readParquet, readParquetMetadata } from "../../formats/parquet.ts";
import { randomDocuments } from "../../measure/disk-store.test.helper.ts";
import { type Measurement, measure } from "../../measure/measure.ts";
import { dictionarySha256 } from "../../measure/measure-files.ts";
import { createMemoryStore } from "../../measure/memory-store.test.helper.ts";
import type { SelectionRequest } from "../api-contract.ts";
import { answerFor } from "../errors-out.ts";
import { openNotes } from "../notes.ts";
import { openStudySource } from "../study-source.ts";
import { createExportRoutes } from "./export.ts";

const study = mkdtempSync(join(tmpdir(), "export-routes-"));
const folder = join(study, "dictionaries", "main");
const source = openStudySource([study]);
const notes = openNotes(study);
const app = createExportRoutes({ source, notesOf: () => notes }).onError((error, c) => {
  const { status, body } = answerFor(error);
  return c.json(body, status);
});
let measured: Measurement;

beforeAll(async () => {
  const dictionary = randomDictionary({ inferenceThreshold: 2.5, normalised: false });
  await saveDictionary(folder, dictionary);
  const store = createMemoryStore(dictionary.sites, randomDocuments(dictionary.width, 60));
  measured = await measure({ store, dictionary, folder, tokenString: String, threads: 1 });
  notes.put(await dictionarySha256(folder), 5, { label: '=cmd|"x",1', tags: ["a"], starred: true });
  notes.put(await dictionarySha256(folder), 6, { label: "line\nbreak\u202e" });
});
afterAll(async () => {
  await source.close();
  notes.close();
  rmSync(study, { recursive: true, force: true });
});

const ask = (body: Partial<SelectionRequest> | Record<string, unknown>, place = "0/main") =>
  app.request(`/${place}/export/selection`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

test("a selection comes as CSV, formulas and line breaks made harmless", async () => {
  const columns = ["deltaNorm", "claim", "note_label"];
  const response = await ask({ format: "csv", columns, latents: "5-6,0" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-disposition")).toBe('attachment; filename="latents.csv"');
  const { latents } = measured;
  const numbers = (latent: number) => `${latent},${latents[latent].deltaNorm},${latents[latent].claim}`;
  expect(await response.text()).toBe(
    [
      "latent,deltaNorm,claim,note_label",
      `${numbers(0)},`,
      `${numbers(5)},"'=cmd|""x"",1"`,
      `${numbers(6)},"line\nbreak\u202e"`,
      "",
    ].join("\r\n"),
  );
});

test("a selection comes as Parquet, exact and in the order that is asked for", async () => {
  const columns = ["deltaNorm", "maxActivation", "latentClass", "note_label", "latent"];
  const request = {
    format: "parquet",
    columns,
    latents: "all",
    sort: { column: "maxActivation", descending: true },
  };
  const response = await ask(request);
  expect(response.status).toBe(200);
  const path = join(study, "taken.parquet");
  writeFileSync(path, new Uint8Array(await response.arrayBuffer()));
  const table = await readParquet(path);
  const { latents } = measured;
  const order = latents
    .map(({ latent }) => latent)
    .sort((a, b) => {
      const [x, y] = [latents[a].maxActivation, latents[b].maxActivation];
      return Number.isNaN(x) || Number.isNaN(y) ? Number(Number.isNaN(x)) - Number(Number.isNaN(y)) : y - x;
    });
  expect(table).toEqual({
    latent: order,
    deltaNorm: order.map((latent) => latents[latent].deltaNorm),
    maxActivation: order.map((latent) => latents[latent].maxActivation),
    latentClass: order.map((latent) => latents[latent].latentClass),
    note_label: order.map((latent) => ({ 5: '=cmd|"x",1', 6: "line\nbreak\u202e" })[latent] ?? ""),
  });
  expect((await readParquetMetadata(path)).get("dictionarySha256")).toBe(await dictionarySha256(folder));
});

test("latents may be sent as a bit each", async () => {
  const latents = `bits:${Buffer.from([0b0110_0001, 0, 0b1000]).toString("base64")}`;
  const text = await (await ask({ format: "csv", columns: [], latents })).text();
  expect(text.trim().split("\r\n")).toEqual(["latent", "0", "5", "6", "19"]);
});

test("latents, columns, formats and places that do not exist are refused", async () => {
  const good = { format: "csv", columns: ["deltaNorm"], latents: "all" };
  expect((await ask(good)).status).toBe(200);
  const bad: Record<string, unknown>[] = [
    ...["bits:", "bits:AAA=", "bits:AAAQ", "bits:AAAA ", "bits:_w==", "bits:AAAAAA=="].map((latents) => ({
      latents,
    })),
    ...["", "20", "3-2", "1,,2", "-1", "0-", "1e3", "0-99999999999", "../0", "all,1"].map((latents) => ({
      latents,
    })),
    ...[["nothing"], ["deltaNorm", "deltaNorm"], ["__proto__"], "deltaNorm"].map((columns) => ({ columns })),
    ...[{ format: "exe" }, { sort: { column: "nothing", descending: true } }, { path: "/etc/passwd" }],
  ];
  for (const change of bad) {
    const response = await ask({ ...good, ...change });
    expect(response.status, JSON.stringify(change)).toBe(400);
    expect(await response.text()).not.toMatch(/passwd|nothing|proto/);
  }
  for (const place of ["1/main", "0/other", "0/..%2f..", "x/main"])
    expect((await ask(good, place)).status).toBe(404);
});

test("the report is a download, and absent until it is written", async () => {
  const absent = await app.request("/0/main/export/report");
  expect([absent.status, ((await absent.json()) as { hint: string }).hint]).toEqual([
    404,
    "tunediff report STUDY",
  ]);
  writeFileSync(join(study, "report.html"), "<!doctype html><script>alert(1)</script>");
  const response = await app.request("/0/main/export/report");
  expect(response.headers.get("content-disposition")).toBe('attachment; filename="report.html"');
  expect(await response.text()).toContain("<!doctype html>");
});
