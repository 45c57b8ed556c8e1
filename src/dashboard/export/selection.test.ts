import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { readParquet as readWithArrow } from "parquet-wasm";
import { expect, test } from "vitest";
import { ShapeError } from "../../errors.ts";
import { readParquet } from "../../formats/parquet.ts";
import { streamParquet } from "../../formats/parquet-stream.ts";
import type { Column } from "../columns.ts";
import { selectionCsv, textCell } from "./csv.ts";
import { parseLatents, readSelection, SELECTION_LIMITS } from "./selection.ts";
import { selectionParquet } from "./selection-parquet.ts";

const N = 2 * SELECTION_LIMITS.rows + 5;
const column = (name: string, data: Awaited<ReturnType<Column["read"]>>): [string, Column] => [
  name,
  { name, table: "measure", kind: data.kind, description: "", read: async () => data },
];
const values = Float64Array.from({ length: N }, (_, i) => (i % 7 === 0 ? Number.NaN : Math.sin(i)));
values[1] = Number.POSITIVE_INFINITY;
values[2] = Number.NEGATIVE_INFINITY;
const columns = new Map([
  column("nu", { kind: "number", values }),
  column("claim", {
    kind: "category",
    codes: Uint16Array.from(values, (_, i) => i % 3),
    words: ["", "b", "a"],
  }),
  column("tokens", { kind: "text", texts: Array.from(values, (_, i) => `token ${i}\u0000"`) }),
]);

test("more rows than a stretch come out once each, in the same order, as CSV and as Parquet", async () => {
  const sort = { column: "nu", descending: false };
  const selection = await readSelection(columns, N, { columns: [...columns.keys()], latents: "all", sort });
  const order = [...selection.latents];
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: N }, (_, i) => i));
  const finite = order.filter((latent) => !Number.isNaN(values[latent]));
  expect(order.slice(0, finite.length)).toEqual(finite); // without a value: last
  for (let i = 1; i < finite.length; i += 1)
    expect(values[finite[i - 1]]).toBeLessThanOrEqual(values[finite[i]]);

  let csv = "";
  for await (const text of selectionCsv(selection)) csv += text;
  const lines = csv.trimEnd().split("\r\n");
  expect(lines).toHaveLength(N + 1);
  expect(lines.slice(1, 3)).toEqual(['2,-inf,a,"token 2\u0000"""', expect.stringMatching(/^\d+,-0\.99/)]);
  expect(lines[finite.length]).toMatch(/^1,inf,b,/);
  expect(lines.at(-1)).toMatch(/^\d+,,/);

  const chunks: Uint8Array[] = [];
  for await (const bytes of selectionParquet(selection, { made: "for a test" })) chunks.push(bytes);
  expect(chunks.length).toBeGreaterThan(3);
  const folder = mkdtempSync(join(tmpdir(), "selection-"));
  try {
    const path = join(folder, "a.parquet");
    writeFileSync(path, Buffer.concat(chunks));
    const expected = {
      latent: order,
      nu: order.map((latent) => values[latent]),
      claim: order.map((latent) => ["", "b", "a"][latent % 3]),
      tokens: order.map((latent) => `token ${latent}\u0000"`),
    };
    expect(await readParquet(path)).toEqual(expected);
    // and by a reader of another house (arrow-rs)
    const table = tableFromIPC(readWithArrow(Buffer.concat(chunks)).intoIPCStream());
    expect([...(table.getChild("tokens") ?? [])]).toEqual(expected.tokens);
    expect([...(table.getChild("nu") ?? [])]).toEqual(expected.nu);
    expect(table.schema.metadata.get("made")).toBe("for a test");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("categories sort by their words, empty ones last in either direction", async () => {
  for (const [descending, words] of [
    [false, "a,b,"],
    [true, "b,a,"],
  ] as const) {
    const sort = { column: "claim", descending };
    const { latents } = await readSelection(columns, N, { columns: [], latents: "0-2", sort });
    expect(Array.from(latents, (latent) => ["", "b", "a"][latent]).join()).toBe(words);
  }
});

test("numbers and ranges overlap and repeat without a latent coming twice", () => {
  expect([...parseLatents("3,1-2,2-4,3", 5)]).toEqual([1, 2, 3, 4]);
  expect(parseLatents("all", 5)).toHaveLength(5);
});

test("text that a spreadsheet would run begins with an apostrophe; other text is as it was", () => {
  for (const start of ["=", "+", "-", "@", "\t", "\r", "＝"])
    expect(textCell(`${start}1`).replaceAll('"', "")).toBe(`'${start}1`);
  for (const text of ["", "a=1", " the", "#", "'", "é"]) expect(textCell(text)).toBe(text);
  expect(textCell('a,"b"')).toBe('"a,""b"""');
});

test("a stretch with other columns, or columns of different length, is refused", async () => {
  const named = [{ name: "a", type: "INT32" as const }];
  const all = async (groups: Parameters<typeof streamParquet>[0]["groups"]) => {
    for await (const _ of streamParquet({ columns: [...named, { name: "b", type: "DOUBLE" }], groups }));
  };
  const a = { ...named[0], data: [1, 2] };
  await expect(all([[a]])).rejects.toThrow(ShapeError);
  await expect(all([[a, { name: "b", type: "DOUBLE", data: [1] }]])).rejects.toThrow(ShapeError);
  await expect(all([[a, { name: "b", type: "STRING", data: ["x", "y"] }]])).rejects.toThrow(ShapeError);
});
