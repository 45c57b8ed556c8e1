import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError, MismatchError, ShapeError, StorageError } from "../errors.ts";
import {
  makeOutputColumns,
  type OutputColumns,
  openOutputs,
  outputShardFolder,
  readOutputsManifest,
  TOP_TOKENS,
} from "./outputs.ts";
import { createOutputsWriter, type OutputsWriter } from "./outputs-writer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-outputs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Three documents of five rows, the middle one of the train split. */
const ROWS = Uint32Array.of(0, 1, 2, 3, 4, 10, 11, 12, 13, 14);
const NOTHING_OUTSIDE = { base: 0, finetuned: 0 };

let nFolders = 0;
/** Outputs hold on to a store by the bytes of rows/manifest.json alone. */
function storeFolder(): string {
  nFolders += 1;
  const folder = join(root, `store-${nFolders}`);
  mkdirSync(join(folder, "rows"), { recursive: true });
  writeFileSync(join(folder, "rows/manifest.json"), `rows of store ${nFolders}`);
  return folder;
}

function openWriter(folder: string): Promise<OutputsWriter> {
  return createOutputsWriter({
    storeFolder: folder,
    rows: ROWS,
    rowsPerShard: 4,
    scratchWidth: 3,
    vocabulary: { base: 9, finetuned: 9, common: 9 },
  });
}

/** Entry e has numbers that no other has. */
function columnsOf(writer: OutputsWriter, shard: number): OutputColumns {
  const { rowStart, rowEnd } = writer.shardRange(shard);
  const columns = makeOutputColumns(rowEnd - rowStart);
  for (let i = 0; i < rowEnd - rowStart; i += 1) {
    columns.row[i] = ROWS[rowStart + i];
    columns.hasNext[i] = ROWS[rowStart + i] % 5 === 4 ? 0 : 1;
    columns.klFinetunedBase[i] = ROWS[rowStart + i] / 2;
    columns.nllBase[i] = ROWS[rowStart + i] / 4;
    for (let k = 0; k < TOP_TOKENS; k += 1) {
      columns.topTokenBase[i * TOP_TOKENS + k] = 100 * ROWS[rowStart + i] + k;
      columns.topProbabilityFinetuned[i * TOP_TOKENS + k] = ROWS[rowStart + i] / 8 + k;
    }
  }
  return columns;
}

async function writeAll(folder: string): Promise<void> {
  const writer = await openWriter(folder);
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    if (!writer.hasShard(shard)) await writer.writeShard(shard, columnsOf(writer, shard), NOTHING_OUTSIDE);
  }
  await writer.finish();
}

/** Relative path → bytes. */
function filesOf(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(paths.map((path) => [path.slice(folder.length), readFileSync(path, "base64")]));
}

test("any range of rows gives its covered rows, in order, across shards", async () => {
  const folder = storeFolder();
  await writeAll(folder);
  const outputs = await openOutputs(folder);
  if (outputs === undefined) throw new Error("expected outputs");
  expect(outputs.manifest).toMatchObject({
    nEntries: 10,
    firstRows: [0, 4, 13],
    splits: ["heldout", "test"],
  });
  for (let rowStart = 0; rowStart <= 16; rowStart += 1) {
    for (let rowEnd = rowStart; rowEnd <= 16; rowEnd += 1) {
      const { row, klFinetunedBase, topTokenBase, hasNext } = await outputs.rowsOf(rowStart, rowEnd);
      const expected = [...ROWS].filter((r) => rowStart <= r && r < rowEnd);
      expect([...row]).toEqual(expected);
      expect([...klFinetunedBase]).toEqual(expected.map((r) => r / 2));
      expect([...hasNext]).toEqual(expected.map((r) => (r % 5 === 4 ? 0 : 1)));
      expect([...topTokenBase]).toEqual(expected.flatMap((r) => [0, 1, 2, 3, 4].map((k) => 100 * r + k)));
    }
  }
  expect((await outputs.at(13))?.topProbabilityFinetuned[4]).toBe(13 / 8 + 4);
  expect(await outputs.at(7)).toBeUndefined();
  await expect(outputs.rowsOf(4, 2)).rejects.toThrow(ShapeError);
});

test("a store without outputs, or with unfinished ones, has none", async () => {
  const folder = storeFolder();
  expect(await openOutputs(folder)).toBeUndefined();
  const writer = await openWriter(folder);
  await writer.writeShard(0, columnsOf(writer, 0), NOTHING_OUTSIDE);
  await expect(writer.finish()).rejects.toThrow(StorageError);
  await writer.close();
  expect(await openOutputs(folder)).toBeUndefined();
});

test("a writer that was stopped goes on with what is missing and ends on the same bytes", async () => {
  const [whole, stopped] = [storeFolder(), storeFolder()];
  // The same store twice: bytes can only be equal when the id is.
  writeFileSync(join(stopped, "rows/manifest.json"), readFileSync(join(whole, "rows/manifest.json")));
  await writeAll(whole);
  const first = await openWriter(stopped);
  await first.writeScratch(0, new Float32Array(12).fill(1.5));
  await first.writeScratch(2, new Float32Array(6).fill(2.5));
  await first.writeShard(1, columnsOf(first, 1), NOTHING_OUTSIDE);
  await first.close();
  const second = await openWriter(stopped);
  expect([0, 1, 2].map(second.hasShard)).toEqual([false, true, false]);
  expect([0, 1, 2].map(second.hasScratch)).toEqual([true, false, true]);
  expect([...(await second.readScratch(2))]).toEqual(Array(6).fill(2.5));
  await second.close();
  await writeAll(stopped);
  expect(filesOf(join(stopped, "outputs"))).toEqual(filesOf(join(whole, "outputs")));
  expect(readdirSync(join(whole, "outputs")).sort()).toEqual([
    "manifest.json",
    ...["shard-00000", "shard-00001", "shard-00002"],
  ]);
});

test("a damaged shard is a FormatError that names its file, and is set aside by the next writer", async () => {
  const folder = storeFolder();
  await writeAll(folder);
  const path = join(outputShardFolder(folder, 1), "outputs.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length - 3] ^= 1;
  writeFileSync(path, bytes);
  const outputs = await openOutputs(folder);
  expect((await outputs?.rowsOf(0, 4))?.row.length).toBe(4);
  await expect(outputs?.rowsOf(3, 11)).rejects.toThrow(FormatError);
  await expect(outputs?.rowsOf(3, 11)).rejects.toThrow(`${path}: block 0`);
  const writer = await openWriter(folder);
  expect(writer.hasShard(1)).toBe(false);
  expect(writer.warnings).toEqual([expect.stringContaining("set aside")]);
  await writer.writeShard(1, columnsOf(writer, 1), NOTHING_OUTSIDE);
  await writer.finish();
  // A reader that met the damage goes on once it is mended.
  expect((await outputs?.rowsOf(3, 11))?.row.length).toBe(3);
});

test("outputs of another store are refused, whole or as a single shard", async () => {
  const [ours, others] = [storeFolder(), storeFolder()];
  await writeAll(ours);
  await writeAll(others);
  const foreign = outputShardFolder(others, 0);
  rmSync(outputShardFolder(ours, 0), { recursive: true });
  mkdirSync(outputShardFolder(ours, 0));
  for (const name of readdirSync(foreign)) {
    writeFileSync(join(outputShardFolder(ours, 0), name), readFileSync(join(foreign, name)));
  }
  const outputs = await openOutputs(ours);
  await expect(outputs?.at(0)).rejects.toThrow(MismatchError);
  await expect(outputs?.at(0)).rejects.toThrow(/shard-00000: expected storeId/);
  const writer = await openWriter(ours);
  expect([0, 1, 2].map(writer.hasShard)).toEqual([false, true, true]);
  expect(writer.warnings).toEqual([expect.stringMatching(/expected storeId.*set aside/)]);
  await writer.close();
  writeFileSync(join(others, "rows/manifest.json"), "another harvest");
  await expect(readOutputsManifest(others)).rejects.toThrow(MismatchError);
});

test("scratch goes as soon as its shard is there", async () => {
  const folder = storeFolder();
  const writer = await openWriter(folder);
  await writer.writeScratch(0, new Float32Array(12));
  await writer.writeScratch(1, new Float32Array(12));
  await writer.writeShard(0, columnsOf(writer, 0), NOTHING_OUTSIDE);
  expect([0, 1].map(writer.hasScratch)).toEqual([false, true]);
  expect(readdirSync(join(folder, "outputs/scratch"))).toEqual(["shard-00001"]);
  await writer.close();
});

test("a damaged manifest is a FormatError", async () => {
  const folder = storeFolder();
  await writeAll(folder);
  const path = join(folder, "outputs/manifest.json");
  writeFileSync(path, readFileSync(path, "utf8").replace('"nEntries": 10', '"nEntries": 11'));
  await expect(openOutputs(folder)).rejects.toThrow(FormatError);
  await expect(openOutputs(folder)).rejects.toThrow(path);
});

test("a shard of the wrong length, rows or place is refused before anything is written", async () => {
  const writer = await openWriter(storeFolder());
  await expect(writer.writeShard(0, makeOutputColumns(3), NOTHING_OUTSIDE)).rejects.toThrow(ShapeError);
  await expect(writer.writeShard(0, columnsOf(writer, 1), NOTHING_OUTSIDE)).rejects.toThrow(/expected row 0/);
  await expect(writer.writeScratch(0, new Float32Array(11))).rejects.toThrow(
    /\[4,3\] last residuals, got 11/,
  );
  await expect(writer.writeScratch(3, new Float32Array(6))).rejects.toThrow(/shard from 0 to 2, got 3/);
  expect([writer.hasShard(0), writer.hasScratch(0)]).toEqual([false, false]);
  await writer.close();
});
