import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FormatError, MismatchError, NumericsError, ShapeError, StorageError } from "../errors.ts";
import { findCommittedFolders, verifyFolder } from "../formats/atomic.ts";
import { disk } from "../formats/disk.ts";
import { roundToBf16 } from "../numerics/dtypes.ts";
import { createRng } from "../numerics/rng.ts";
import { isNormOutlier, normLimits } from "./norm-outliers.ts";
import { type DocumentRecord, N_DOCUMENT_GROUPS, type RowTable, SPLITS } from "./rows.ts";
import { groupOf, splitOf } from "./split-of.ts";
import { openStore } from "./store.ts";
import { firstDifference } from "./store-plan.ts";
import { createStoreWriter, type StoreWriterOptions } from "./store-writer.ts";

let folder: string;
const originalDisk = { ...disk };
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "store-")), "main");
});
afterEach(() => {
  Object.assign(disk, originalDisk);
  rmSync(join(folder, ".."), { recursive: true });
});

const N_ROWS = 103;
const WIDTHS = { base: 5, finetuned: 5 };
type Side = keyof typeof WIDTHS;

/** Documents of 7 rows (the last shorter), two datasets, BOS first. */
function makeRows(nRows = N_ROWS): { rows: RowTable; documents: DocumentRecord[] } {
  const index = Array.from({ length: nRows }, (_, row) => row);
  const documents = Array.from(
    { length: Math.ceil(nRows / 7) },
    (_, i): DocumentRecord => ({
      index: i,
      id: `doc-${i}`,
      dataset: i % 3 === 0 ? "chat" : "web",
      split: SPLITS[i % 3],
      group: i % N_DOCUMENT_GROUPS,
      rowStart: i * 7,
      rowEnd: Math.min(nRows, i * 7 + 7),
      text: `Text ${i} – ünï\u2028\u{1f600}`,
      turns: [],
      ...(i === 1 ? { spans: [{ concept: "a", kind: "decision" as const, turn: 0 }] } : {}),
    }),
  );
  const document = Uint32Array.from(index, (row) => Math.floor(row / 7));
  return {
    documents,
    rows: {
      nRows,
      document,
      turn: Int16Array.from(index, (row) => (row % 2) - 1),
      position: Uint16Array.from(index, (row) => row % 7),
      split: Uint8Array.from(document, (d) => d % 3),
      role: Uint8Array.from(index, (row) => (row % 7 === 0 ? 5 : 0)),
      slot: Uint8Array.from(index, (row) => row % 2),
      dataset: Uint8Array.from(document, (d) => (d % 3 === 0 ? 0 : 1)),
      charStart: Uint32Array.from(index, (row) => row),
      charEnd: Uint32Array.from(index, (row) => row + 1),
      tokenBase: Uint32Array.from(index, (row) => row * 3),
      tokenFinetuned: Uint32Array.from(index, (row) => row * 3 + 1),
    },
  };
}

function makeOptions(change: Partial<StoreWriterOptions> = {}): StoreWriterOptions {
  return {
    folder,
    name: "main",
    ...makeRows(),
    datasets: ["chat", "web"],
    slots: ["none", "user-open-0"],
    tokenizerHash: "abc",
    sites: (["base", "finetuned"] as const).map((model) => ({
      site: { name: `${model}-L3`, model, layer: 3, width: WIDTHS[model] },
      dtype: "bf16",
    })),
    rowsPerShard: 40,
    identity: { base: "hash-1", finetuned: "hash-2", layers: [3], options: { maxTokens: 7 } },
    ...change,
  };
}

const rng = createRng(1, "store.test");
/** Exact activation of a row and dimension; the two sides differ by about a fifth. */
function exact(side: Side, row: number, dim: number): number {
  const shared = rng.normal(0, row * 8 + dim);
  return Math.fround(side === "base" ? shared : shared + 0.2 * rng.normal(1, row * 8 + dim));
}

function activations(side: Side, { rowStart, rowEnd }: { rowStart: number; rowEnd: number }): Float32Array {
  const width = WIDTHS[side];
  return Float32Array.from({ length: (rowEnd - rowStart) * width }, (_, i) =>
    exact(side, rowStart + Math.floor(i / width), i % width),
  );
}

async function writeAll(options = makeOptions(), order: Side[] = ["base", "finetuned"]) {
  const writer = await createStoreWriter(options);
  for (const side of order) {
    for (let shard = 0; shard < writer.nShards; shard += 1) {
      if (writer.hasShard(`${side}-L3`, shard)) continue;
      await writer.writeShard(`${side}-L3`, shard, activations(side, writer.shardRange(shard)));
    }
  }
  return { writer, manifest: await writer.finish() };
}

/** Every file below, with its content. */
function snapshot(path = folder): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const file = join(entry.parentPath, entry.name);
      files[file.slice(path.length)] = readFileSync(file).toString("base64");
    }
  }
  return files;
}

describe("a finished store", () => {
  test("gives back rows and documents as they were, and counts its splits", async () => {
    const options = makeOptions();
    const { manifest } = await writeAll(options);
    const store = await openStore(folder);
    expect(store.rows).toEqual(options.rows);
    expect(store.documents).toEqual(options.documents);
    expect(store.manifest).toEqual(manifest);
    expect(manifest).toMatchObject({
      nRows: N_ROWS,
      nDocuments: 15,
      rowsBySplit: { train: 35, heldout: 35, test: 33 },
    });
    expect(manifest.sites.map(({ name, nShards }) => [name, nShards])).toEqual([
      ["base-L3", 3],
      ["finetuned-L3", 3],
    ]);
    expect(store.width).toBe(10);
    await store.close();
  });

  test("reads any range over shard borders, sites side by side, base first, rounded as bf16", async () => {
    await writeAll();
    const store = await openStore(folder);
    for (const [from, to] of [
      [0, N_ROWS],
      [38, 82],
      [40, 80],
      [39, 41],
      [102, 103],
      [7, 7],
    ]) {
      const expected = Float32Array.from({ length: (to - from) * 10 }, (_, i) => {
        const [row, dim] = [from + Math.floor(i / 10), i % 10];
        return roundToBf16(dim < 5 ? exact("base", row, dim) : exact("finetuned", row, dim - 5));
      });
      expect(await store.read(from, to)).toEqual(expected);
      const target = new Float32Array(expected.length + 4).subarray(2, -2);
      expect(await store.read(from, to, target)).toBe(target);
      expect(target).toEqual(expected);
    }
    await expect(store.read(0, N_ROWS + 1)).rejects.toThrow(ShapeError);
    await expect(store.read(5, 4)).rejects.toThrow(ShapeError);
    await expect(store.read(0, 1, new Float32Array(9))).rejects.toThrow("expected a target of 10, got 9");
    await store.close();
  });

  test("stored as f32 it is exact, and a site alone or of another width works", async () => {
    const options = makeOptions({
      sites: [
        { site: { name: "base-L1", model: "base", layer: 1, width: 3 }, dtype: "f32" },
        { site: { name: "finetuned-L2", model: "finetuned", layer: 2, width: 2 }, dtype: "bf16" },
      ],
    });
    const writer = await createStoreWriter(options);
    const value = (row: number, dim: number) => Math.fround(row + dim / 7);
    for (let shard = 0; shard < writer.nShards; shard += 1) {
      const { rowStart, rowEnd } = writer.shardRange(shard);
      for (const [name, width] of [
        ["base-L1", 3],
        ["finetuned-L2", 2],
      ] as const) {
        const data = Float32Array.from({ length: (rowEnd - rowStart) * width }, (_, i) =>
          value(rowStart + Math.floor(i / width), i % width),
        );
        await writer.writeShard(name, shard, data);
      }
    }
    const { sites } = await writer.finish();
    expect(sites.map(({ roundingErrorRelative }) => roundingErrorRelative)).toEqual([null, null]); // Widths differ.
    const store = await openStore(folder);
    const read = await store.read(99, 103);
    expect([...read.subarray(0, 3)]).toEqual([value(99, 0), value(99, 1), value(99, 2)]);
    expect([...read.subarray(3, 5)]).toEqual([value(99, 0), value(99, 1)].map(roundToBf16));
    await store.close();
  });

  test("many readers at once get the same as one", async () => {
    const { sites } = makeOptions();
    const options = makeOptions({ ...makeRows(70), sites: sites.slice(0, 1), rowsPerShard: 1 });
    await writeAll(options, ["base"]); // 70 shards: more than are kept open.
    const store = await openStore(folder);
    const whole = await store.read(0, 70);
    const parts = await Promise.all(Array.from({ length: 66 }, (_, row) => store.read(row, row + 5)));
    for (const [row, part] of parts.entries()) expect(part).toEqual(whole.slice(row * 5, row * 5 + 25));
    await store.close();
  });
});

describe("rounding", () => {
  /** Straight from the definition. */
  function definition(side: Side): number {
    let [rounding, difference] = [0, 0];
    for (let row = 0; row < N_ROWS; row += 1) {
      for (let dim = 0; dim < 5; dim += 1) {
        rounding += (roundToBf16(exact(side, row, dim)) - exact(side, row, dim)) ** 2;
        difference += (exact("finetuned", row, dim) - exact("base", row, dim)) ** 2;
      }
    }
    return Math.sqrt(rounding / difference);
  }

  test.each([[["base", "finetuned"]], [["finetuned", "base"]]] as [Side[]][])(
    "relative to the difference of the models is the definition's, whichever side comes first: %j",
    async (order) => {
      const { manifest, writer } = await writeAll(makeOptions(), order);
      for (const { model, roundingErrorRelative } of manifest.sites) {
        // The other side is known rounded only: a cross term of relative size 2·rounding/√(515 numbers) ≈ 0.1 % remains.
        expect(roundingErrorRelative! / definition(model)).toBeCloseTo(1, 2);
      }
      expect(writer.warnings).toEqual([]);
    },
  );

  test("above 5 % warns and names the way out, below it and in f32 does not", async () => {
    const near = (side: Side, range: { rowStart: number; rowEnd: number }) =>
      activations("base", range).map((value, i) =>
        side === "base" ? value : Math.fround(value + 0.004 * Math.sin(i)),
      );
    const run = async (dtype: "bf16" | "f32") => {
      const options = makeOptions({ folder: join(folder, dtype) });
      const writer = await createStoreWriter({
        ...options,
        sites: options.sites.map(({ site }) => ({ site, dtype })),
      });
      for (let shard = 0; shard < writer.nShards; shard += 1) {
        for (const side of ["base", "finetuned"] as const) {
          await writer.writeShard(`${side}-L3`, shard, near(side, writer.shardRange(shard)));
        }
      }
      const { sites } = await writer.finish();
      return {
        warnings: writer.warnings,
        errors: sites.map(({ roundingErrorRelative }) => roundingErrorRelative),
      };
    };
    const rounded = await run("bf16");
    expect(rounded.warnings).toHaveLength(2);
    expect(rounded.warnings[0]).toMatch(
      /^base-L3: bf16 rounding is \d+\.\d % of the difference .* --dtype f32$/,
    );
    expect(await run("f32")).toEqual({ warnings: [], errors: [0, 0] });
  });

  test("two models that agree have no ratio, and a word about it", async () => {
    const writer = await createStoreWriter(makeOptions());
    for (let shard = 0; shard < writer.nShards; shard += 1) {
      const same = activations("base", writer.shardRange(shard));
      // Together and unawaited: the writer itself takes them one at a time.
      await Promise.all(["base-L3", "finetuned-L3"].map((name) => writer.writeShard(name, shard, same)));
    }
    const { sites } = await writer.finish();
    expect(sites.map(({ roundingErrorRelative }) => roundingErrorRelative)).toEqual([null, null]);
    expect(writer.warnings).toEqual(["base-L3 and finetuned-L3 hold the same activations: nothing differs"]);
  });
});

describe("the writer", () => {
  test("goes on where it stopped, and the store is byte for byte that of an uninterrupted run", async () => {
    await writeAll();
    const uninterrupted = snapshot();
    rmSync(folder, { recursive: true });
    const writer = await createStoreWriter(makeOptions());
    await writer.writeShard("base-L3", 1, activations("base", writer.shardRange(1)));
    // No close(): as after an error in the same process.
    const second = await createStoreWriter(makeOptions());
    expect([0, 1, 2].map((shard) => second.hasShard("base-L3", shard))).toEqual([false, true, false]);
    await second.close();
    await expect(openStore(folder)).rejects.toThrow("found one half written");
    await writeAll();
    expect(snapshot()).toEqual(uninterrupted);
  });

  test("over a finished store changes nothing", async () => {
    await writeAll();
    const before = snapshot();
    const inodes = () => Object.keys(before).map((name) => statSync(folder + name).ino);
    const inodesBefore = inodes();
    const { manifest } = await writeAll();
    expect(snapshot()).toEqual(before);
    expect(inodes()).toEqual(inodesBefore); // Not written again with equal content either.
    expect(manifest.nRows).toBe(N_ROWS);
  });

  test.each<[string, Partial<StoreWriterOptions>, string]>([
    [
      "identity",
      { identity: { ...makeOptions().identity, options: { maxTokens: 8 } } },
      "options.maxTokens is 7, this harvest has 8",
    ],
    ["a missing key", { identity: { base: "hash-1" } }, 'finetuned is "hash-2", this harvest has undefined'],
    ["tokenizer", { tokenizerHash: "xyz" }, 'tokenizerHash is "abc", this harvest has "xyz"'],
    ["shard size", { rowsPerShard: 41 }, "rowsPerShard is 40, this harvest has 41"],
    [
      "rows",
      { rows: { ...makeRows().rows, tokenBase: new Uint32Array(N_ROWS) } },
      "tokenBase of row 1 is 3, this harvest has 0",
    ],
    ["fewer rows", makeRows(14), "document of row 14 is 2, this harvest has undefined"],
  ])("refuses a folder of another harvest and names the difference: %s", async (_, change, message) => {
    await writeAll();
    const before = snapshot();
    const attempt = createStoreWriter(makeOptions(change));
    await expect(attempt).rejects.toThrow(MismatchError);
    await expect(attempt).rejects.toThrow(`${folder}: ${message}`);
    expect(snapshot()).toEqual(before);
  });

  test("refuses numbers that are not finite and names site, row, document and dimension", async () => {
    const writer = await createStoreWriter(makeOptions());
    const data = activations("finetuned", writer.shardRange(1));
    data[5 * 2 + 3] = Number.NaN;
    const attempt = writer.writeShard("finetuned-L3", 1, data);
    await expect(attempt).rejects.toThrow(NumericsError);
    await expect(attempt).rejects.toThrow(
      'finetuned-L3: row 42 (document "doc-6", position 0), dimension 3: expected a finite activation, got NaN',
    );
    expect(writer.hasShard("finetuned-L3", 1)).toBe(false);
    await expect(writer.writeShard("finetuned-L3", 1, data.subarray(1))).rejects.toThrow(ShapeError);
    await expect(writer.writeShard("finetuned-L3", 3, new Float32Array(0))).rejects.toThrow(ShapeError);
    expect(() => writer.hasShard("other", 0)).toThrow(
      "expected one of the sites base-L3,finetuned-L3, got other",
    );
    await expect(writer.finish()).rejects.toThrow("expected every shard before the store is finished");
    await writer.close();
  });

  test("refuses rows and documents that do not fit together", async () => {
    const { rows, documents } = makeRows();
    await expect(
      createStoreWriter(makeOptions({ rows: { ...rows, slot: new Uint8Array(3) } })),
    ).rejects.toThrow("rows.slot: expected 103 values, got 3");
    await expect(createStoreWriter(makeOptions({ documents: documents.slice(1) }))).rejects.toThrow(
      ShapeError,
    );
    await expect(createStoreWriter(makeOptions({ documents: documents.slice(0, -1) }))).rejects.toThrow(
      "expected to cover 103 rows, got 98",
    );
  });

  test("sets a damaged shard aside, says so, and writes it again", async () => {
    await writeAll();
    const whole = snapshot();
    const path = join(folder, "sites", "base-L3", "shard-00002", "activations.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(path, bytes);
    const { writer } = await writeAll();
    expect(writer.warnings[0]).toContain("shard-00002/activations.safetensors: block 0: expected CRC32");
    const now = snapshot();
    const aside = Object.keys(now).filter((name) => name.includes(".bad-"));
    expect(aside).toHaveLength(2);
    for (const name of aside) delete now[name];
    // The one number that depends on who came first (the base shard is now the second of its pair) may move its manifest.
    for (const files of [now, whole]) delete files["/sites/base-L3/shard-00002/manifest.json"];
    expect(now).toEqual(whole);
  });

  test("a full disk costs the shard at hand only", async () => {
    const writer = await createStoreWriter(makeOptions());
    await writer.writeShard("base-L3", 0, activations("base", writer.shardRange(0)));
    disk.write = async () => {
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    };
    const attempt = writer.writeShard("base-L3", 1, activations("base", writer.shardRange(1)));
    await expect(attempt).rejects.toThrow(StorageError);
    await expect(attempt).rejects.toThrow("the disk is full (ENOSPC)");
    Object.assign(disk, originalDisk);
    await writer.close();
    expect(readdirSync(join(folder, "sites", "base-L3"))).toEqual(["shard-00000"]);
    await writeAll();
    const store = await openStore(folder);
    expect((await store.read(0, 1)).length).toBe(10);
    await store.close();
  });

  test("another process that writes is refused with its pid; killed, it is not in the way and loses nothing committed", async () => {
    const script = `
      import { createStoreWriter } from ${JSON.stringify(fileURLToPath(new URL("./store-writer.ts", import.meta.url)))};
      const options = JSON.parse(process.argv[1], (key, value) =>
        value?.typed ? Object.assign(new globalThis[value.typed](value.values)) : value);
      const writer = await createStoreWriter(options);
      await writer.writeShard("base-L3", 0, new Float32Array(200).fill(1));
      console.log("ready");
      setInterval(() => {}, 1000);`;
    const options = JSON.stringify(makeOptions(), (_, value) =>
      ArrayBuffer.isView(value)
        ? { typed: value.constructor.name, values: Array.from(value as Uint8Array) }
        : value,
    );
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, options]);
    await once(child.stdout, "data");
    await expect(createStoreWriter(makeOptions())).rejects.toThrow(`process ${child.pid} on`);
    child.kill("SIGKILL");
    await once(child, "exit");
    const writer = await createStoreWriter(makeOptions());
    expect(writer.hasShard("base-L3", 0)).toBe(true);
    await writer.close();
  });
});

describe("openStore", () => {
  test("says what is missing: nothing there, or half written", async () => {
    await expect(openStore(folder)).rejects.toThrow(StorageError);
    await expect(openStore(folder)).rejects.toThrow("expected a finished store, found none");
    await (await createStoreWriter(makeOptions())).close();
    await expect(openStore(folder)).rejects.toThrow("found one half written");
  });

  const readEverything = async (): Promise<void> => {
    const store = await openStore(folder);
    try {
      await store.read(0, N_ROWS);
    } finally {
      await store.close();
    }
  };

  test("finds flipped bits in every kind of file, and names the file", async () => {
    await writeAll();
    let flips = 0;
    for (const name of Object.keys(snapshot())) {
      const path = folder + name;
      const bytes = readFileSync(path);
      for (let i = 0; i < 4; i += 1) {
        const bit = Math.floor(((i + 0.5) / 4) * bytes.length * 8);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        writeFileSync(path, bytes);
        const error = await readEverything().catch((error: unknown) => error);
        expect(error, `${name} bit ${bit}`).toBeInstanceOf(FormatError);
        expect((error as Error).message).toContain(path);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        flips += 1;
      }
      writeFileSync(path, bytes);
    }
    expect(flips).toBe(4 * 16); // manifest, 3 files of rows, 2 of each of 6 shards
    await readEverything();
  });

  test("a damaged shard does not keep the others from being read", async () => {
    await writeAll();
    rmSync(join(folder, "sites", "base-L3", "shard-00001"), { recursive: true });
    const store = await openStore(folder);
    await expect(store.read(30, 50)).rejects.toThrow("shard-00001");
    expect((await store.read(80, 103)).length).toBe(230);
    await store.close();
  });

  test("swapped shards, shards of the other site and shards or rows of another store are told apart", async () => {
    await writeAll();
    const path = (site: string, shard: number) => join(folder, "sites", site, `shard-0000${shard}`);
    renameSync(path("base-L3", 0), path("base-L3", 9));
    cpSync(path("base-L3", 1), path("base-L3", 0), { recursive: true });
    await expect(readEverything()).rejects.toThrow("shard-00000: expected shard 0, got 1");
    rmSync(path("base-L3", 0), { recursive: true });
    cpSync(path("finetuned-L3", 0), path("base-L3", 0), { recursive: true });
    await expect(readEverything()).rejects.toThrow("expected site base-L3, got finetuned-L3");
    rmSync(path("base-L3", 0), { recursive: true });
    renameSync(path("base-L3", 9), path("base-L3", 0));
    await readEverything();

    const other = join(folder, "..", "other");
    await writeAll(makeOptions({ folder: other, identity: { base: "hash-9" } }));
    renameSync(path("base-L3", 0), path("base-L3", 9));
    cpSync(join(other, "sites", "base-L3", "shard-00000"), path("base-L3", 0), { recursive: true });
    await expect(readEverything()).rejects.toThrow(MismatchError);
    await expect(readEverything()).rejects.toThrow("shard-00000: expected storeId");
    rmSync(path("base-L3", 0), { recursive: true });
    renameSync(path("base-L3", 9), path("base-L3", 0));
    rmSync(join(folder, "rows"), { recursive: true });
    cpSync(join(other, "rows"), join(folder, "rows"), { recursive: true });
    await expect(readEverything()).rejects.toThrow("storeId is");
  });

  test("every folder of it can be verified by itself", async () => {
    await writeAll();
    const folders = await findCommittedFolders(folder);
    expect(folders).toHaveLength(7);
    for (const path of folders) await verifyFolder(path);
  });
});

test("norm outliers are the rows above ten medians at any site, and BOS does not move the median", async () => {
  const writer = await createStoreWriter(makeOptions());
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    const range = writer.shardRange(shard);
    for (const side of ["base", "finetuned"] as const) {
      const data = new Float32Array((range.rowEnd - range.rowStart) * 5);
      for (let row = range.rowStart; row < range.rowEnd; row += 1) {
        // Norms: 1 for most, 1000 for BOS, and a planted row a side: 12 medians for base, 8 (below the limit) for finetuned.
        const planted = side === "base" && row === 45 ? 12 : side === "finetuned" && row === 50 ? 8 : 1;
        data[(row - range.rowStart) * 5 + (row % 5)] = row % 7 === 0 ? 1000 : planted;
      }
      await writer.writeShard(`${side}-L3`, shard, data);
    }
  }
  await writer.finish();
  const store = await openStore(folder);
  const { nRows, sites } = store.manifest;
  const x = await store.read(0, nRows);
  const outliers = (limits: number[]): number[] =>
    Array.from({ length: nRows }, (_, row) => row).filter(
      (row) => row % 7 !== 0 && isNormOutlier(x, row, { sites, limits }),
    );
  expect(await normLimits(store, 1)).toEqual([1, 1]);
  expect(outliers(await normLimits(store))).toEqual([45]);
  expect(outliers([100, 7])).toEqual([50]);
  await store.close();
});

describe("splitOf and groupOf", () => {
  test("are fixed functions of the hash: borders at 0.8 and 0.9 of its first 32 bits, group from the next", () => {
    const hash = (first: number, second = 0) =>
      first.toString(16).padStart(8, "0") + second.toString(16).padStart(8, "0") + "0".repeat(48);
    expect(splitOf(hash(0))).toBe("train");
    expect(splitOf(hash(Math.ceil(0.8 * 2 ** 32) - 1))).toBe("train");
    expect(splitOf(hash(Math.ceil(0.8 * 2 ** 32)))).toBe("heldout");
    expect(splitOf(hash(Math.ceil(0.9 * 2 ** 32)))).toBe("test");
    expect(splitOf(hash(0xffffffff))).toBe("test");
    expect(groupOf(hash(7, 64 * 9 + 5))).toBe(5);
    expect(() => splitOf("not a hash")).toThrow(ShapeError);
  });
});

test("firstDifference names the first key that differs, in depth and in arrays", () => {
  expect(firstDifference({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })).toBeUndefined();
  expect(firstDifference({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] })).toEqual({ key: "a.1.b", a: 2, b: 3 });
  expect(firstDifference({ a: 1 }, { a: 1, c: null })).toEqual({ key: "c", a: undefined, b: null });
  expect(firstDifference({ a: [] }, { a: {} })).toMatchObject({ key: "a" });
});
