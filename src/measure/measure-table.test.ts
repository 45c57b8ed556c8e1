import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { readParquet, writeParquet } from "../formats/parquet.ts";
import { MADE_CATEGORIES, madeLatent } from "./latent-measure.test.helper.ts";
import { measureTableColumns, readMeasureTable, writeMeasureTable } from "./measure-table.ts";

const folder = mkdtempSync(join(tmpdir(), "measure-table-"));
const path = join(folder, "measure.parquet");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const none = { first: 0, end: 0, step: 1, counts: [] };
const latents = [madeLatent(0), madeLatent(1, { activationHistogram: none })];

test("histograms are read back as they were written", async () => {
  await writeMeasureTable(path, latents, MADE_CATEGORIES);
  const read = await readMeasureTable(path);
  expect(read.map(({ activationHistogram }) => activationHistogram)).toEqual([
    { first: 4032, end: 4130, step: 40, counts: [3, 0, 22] },
    none,
  ]);
  expect((await readParquet(path)).activationHistogram[1]).toBe('{"first":0,"end":0,"step":1,"counts":[]}');
});

test("a table from before there were histograms is read with none, and carried on without the column", async () => {
  const old = measureTableColumns(latents, MADE_CATEGORIES).filter(
    ({ name }) => name !== "activationHistogram",
  );
  await writeParquet(path, old, { categories: JSON.stringify(MADE_CATEGORIES) });
  const read = await readMeasureTable(path);
  expect(read).toEqual(latents.map((latent) => ({ ...latent, activationHistogram: null })));
  expect(measureTableColumns(read, MADE_CATEGORIES).map(({ name }) => name)).toEqual(
    old.map(({ name }) => name),
  );
});

test("a damaged histogram is refused with its row; any other column that is missing, by its name", async () => {
  const columns = measureTableColumns(latents, MADE_CATEGORIES);
  const write = (changed: typeof columns) =>
    writeParquet(path, changed, { categories: JSON.stringify(MADE_CATEGORIES) });
  await write(
    columns.map((column) =>
      column.name === "activationHistogram"
        ? { name: column.name, type: "STRING" as const, data: ['{"first":1}', "[]"] }
        : column,
    ),
  );
  await expect(readMeasureTable(path)).rejects.toThrow(/activationHistogram of row 0/);
  await write(columns.filter(({ name }) => name !== "activationQuantiles_q50"));
  await expect(readMeasureTable(path)).rejects.toThrow(FormatError);
});
