import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { appendJsonLine, type JsonLine, readJsonLines, readJsonLinesArray } from "./jsonl.ts";

const folder = mkdtempSync(join(tmpdir(), "jsonl-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

async function lines(path: string, options?: Parameters<typeof readJsonLines>[1]): Promise<JsonLine[]> {
  const all: JsonLine[] = [];
  for await (const line of readJsonLines(path, options)) all.push(line);
  return all;
}

test("byte order mark, CRLF, empty lines and a last line without end are taken, with their line numbers", async () => {
  const path = file("a.jsonl", '\uFEFF{"a":1}\r\n\r\n  \n"é\u2028"\nnull');
  expect(await lines(path)).toEqual([
    { line: 1, value: { a: 1 } },
    { line: 4, value: "é\u2028" },
    { line: 5, value: null },
  ]);
  expect(await lines(file("empty.jsonl", ""))).toEqual([]);
});

test("gzip by its name gives the same lines, over many chunks", async () => {
  const values = Array.from({ length: 5000 }, (_, i) => ({ i, text: "x".repeat(i % 300) }));
  const text = values.map((value) => `${JSON.stringify(value)}\n`).join("");
  expect(await readJsonLinesArray(file("b.jsonl", text))).toEqual(values);
  expect(await readJsonLinesArray(file("b.jsonl.gz", gzipSync(text)))).toEqual(values);
});

test.each([
  ["not JSON", '{"a":1}\n{a}\n', ":2: expected one JSON value"],
  ["two values on a line", '{"a":1} {"b":2}\n', ":1: expected one JSON value"],
  [
    "not UTF-8",
    Buffer.from([0x22, 0xff, 0x22, 10]),
    ":1: expected one JSON value, got bytes that are not UTF-8",
  ],
  ["a torn last line", '{"a":1}\n{"b"', ":2: expected one JSON value"],
])("%s is refused with file and line", async (name, content, message) => {
  const path = file(`${name}.jsonl`, content);
  await expect(lines(path)).rejects.toThrow(FormatError);
  await expect(lines(path)).rejects.toThrow(path + message);
});

test("a line above the cap is refused before it is whole in memory, also out of a small gzip", async () => {
  const path = file("long.jsonl", `1\n${"9".repeat(200_000)}`);
  await expect(lines(path, { maxLineBytes: 100_000 })).rejects.toThrow(
    `${path}:2: expected a line of at most 100000 bytes`,
  );
  const bomb = file("bomb.jsonl.gz", gzipSync(Buffer.alloc(20_000_000, " ")));
  await expect(lines(bomb, { maxLineBytes: 1_000_000 })).rejects.toThrow("at most 1000000 bytes");
});

test("missing, cut and mislabelled files are FormatErrors", async () => {
  await expect(lines(join(folder, "nowhere.jsonl"))).rejects.toThrow("found none");
  await expect(lines(folder)).rejects.toThrow("found a folder");
  const cut = file("cut.jsonl.gz", gzipSync('{"a":1}\n'.repeat(1000)).subarray(0, 40));
  await expect(lines(cut)).rejects.toThrow(FormatError);
  await expect(lines(file("plain.jsonl.gz", '{"a":1}\n'))).rejects.toThrow(FormatError);
});

test("a torn end can be passed over; torn middles cannot", async () => {
  const path = file("torn.jsonl", '{"a":1}\n{"b"');
  expect(await readJsonLinesArray(path, { tolerateTornEnd: true })).toEqual([{ a: 1 }]);
  await expect(
    readJsonLinesArray(file("middle.jsonl", '{"a"\n{"b":1}\n'), { tolerateTornEnd: true }),
  ).rejects.toThrow(":1:");
});

test("appending makes the file, cuts a torn tail and completes a whole one", async () => {
  const path = join(folder, "log.jsonl");
  await appendJsonLine(path, { n: 1 });
  await appendJsonLine(path, { n: 2, text: "a\nb" });
  appendFileSync(path, '{"n":3,"te');
  await appendJsonLine(path, { n: 4 });
  appendFileSync(path, '{"n":5}');
  await appendJsonLine(path, { n: 6 });
  expect(readFileSync(path, "utf8")).toBe('{"n":1}\n{"n":2,"text":"a\\nb"}\n{"n":4}\n{"n":5}\n{"n":6}\n');
  await expect(appendJsonLine(join(folder, "no", "log.jsonl"), 1)).rejects.toThrow(StorageError);
});
