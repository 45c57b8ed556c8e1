import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { loadDictionary, saveDictionary } from "../dictionary/dictionary-file.ts";
import { FormatError, InterruptedError } from "../errors.ts";
import { normLimits } from "../store/norm-outliers.ts";
import { openRowSource, type RowSource, rowsByGroup, sourceOfStore } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import { randomDocuments, writeDiskStore } from "./disk-store.test.helper.ts";
import type { GroupOptions, GroupPart } from "./group-pass.ts";
import { measure } from "./measure.ts";
import { measurePaths, partsFolder } from "./measure-files.ts";
import { measureGroups, workersFor } from "./measure-groups.ts";
import { createGroupMerger } from "./merge-groups.ts";

let root: string;
let dictionary: Dictionary;
let source: RowSource;
let options: GroupOptions;
let groups: number[];
const storeFolder = () => join(root, "store");
const dictionaryFolder = () => join(root, "dictionary");

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "measure-groups-"));
  const made = randomDictionary({ widths: [6, 6], nLatents: 24 });
  await saveDictionary(dictionaryFolder(), made);
  dictionary = await loadDictionary(dictionaryFolder());
  await writeDiskStore(storeFolder(), made.sites, randomDocuments(12, 100));
  source = await openRowSource(storeFolder());
  options = {
    ...{ split: "heldout", examplesPerLatent: 4, examplesPerBin: 2, seed: 5 },
    normLimits: await normLimits(source),
  };
  groups = [...rowsByGroup(source.documents, "heldout").entries()]
    .filter(([, nRows]) => nRows > 0)
    .map(([group]) => group);
});
afterAll(async () => {
  await source.close();
  await rm(root, { recursive: true, force: true });
});

async function partsWith(workers: number): Promise<Map<number, GroupPart>> {
  const parts = new Map<number, GroupPart>();
  await measureGroups({
    ...{ groups, source, dictionary, dictionaryFolder: dictionaryFolder(), options, workers },
    onPart: async (group, part) => void parts.set(group, part),
    onRows: () => {},
  });
  return parts;
}

describe("the number of workers", () => {
  test("changes no bit of any group", async () => {
    const alone = await partsWith(1);
    const four = await partsWith(4);
    expect([...four.keys()].sort((a, b) => a - b)).toEqual(groups);
    expect(groups.length).toBeGreaterThan(12);
    for (const group of groups) expect(four.get(group), `group ${group}`).toEqual(alone.get(group));
  });

  test("is one for a small pass, else what threads and memory allow", () => {
    const size = { nLatents: 16_384, width: 1024 };
    expect(workersFor(size, { nRows: 1000, threads: 4 })).toBe(1);
    expect(workersFor(size, { nRows: 200_000, threads: 4 })).toBe(4);
    expect(workersFor({ nLatents: 2 ** 20, width: 2 ** 14 }, { nRows: 200_000, threads: 64 })).toBe(1);
  });

  test("a worker's error arrives as what it was, with its hint", async () => {
    const damaged = join(root, "damaged");
    await cp(storeFolder(), damaged, { recursive: true });
    const shard = join(damaged, "sites", "base-L3", "shard-00001", "activations.safetensors");
    const bytes = await readFile(shard);
    bytes[bytes.length - 5] ^= 1;
    await writeFile(shard, bytes);
    const other = await openRowSource(damaged);
    const work = measureGroups({
      ...{ groups, source: other, dictionary, dictionaryFolder: dictionaryFolder(), options, workers: 2 },
      onPart: async () => {},
      onRows: () => {},
    });
    await expect(work).rejects.toThrow(FormatError);
    await expect(work).rejects.toThrow(/shard-00001/);
    await other.close();
  });
});

test("merging does not depend on the order in which groups arrive", async () => {
  const parts = await partsWith(1);
  const merged = (order: number[]) => {
    const merger = createGroupMerger({ dictionary, source, groupOptions: options, groups });
    for (const group of order) merger.add(group, parts.get(group) as GroupPart);
    const { accumulators, ...rest } = merger.result();
    return { ...rest, top: accumulators.top.takeArrays(), tokens: accumulators.tokensAtPeak.takeArrays() };
  };
  expect(merged([...groups].reverse())).toEqual(merged(groups));
});

test("a store read by range and one held in memory give the same parts", async () => {
  const inMemory = await sourceOfStore(await openStore(storeFolder()));
  const parts = new Map<number, GroupPart>();
  await measureGroups({
    ...{ groups, source: inMemory, dictionary, dictionaryFolder: dictionaryFolder(), options, workers: 4 },
    encoder: undefined,
    onPart: async (group, part) => void parts.set(group, part),
    onRows: () => {},
  });
  expect(parts).toEqual(await partsWith(1));
  await inMemory.close();
});

test("a bf16 store read as bits gives the parts of one read as numbers", async () => {
  const folder = join(root, "bf16");
  await writeDiskStore(folder, dictionary.sites, randomDocuments(12, 40), "bf16");
  const bf16 = await openRowSource(folder);
  expect(bf16.readBits).toBeDefined();
  const partsOf = async (from: RowSource): Promise<Map<number, GroupPart>> => {
    const parts = new Map<number, GroupPart>();
    await measureGroups({
      ...{ source: from, dictionary, dictionaryFolder: dictionaryFolder(), options, workers: 1 },
      groups: [0, 1, 2, 3, 4],
      onPart: async (group, part) => void parts.set(group, part),
      onRows: () => {},
    });
    return parts;
  };
  expect(await partsOf(bf16)).toEqual(await partsOf({ ...bf16, readBits: undefined }));
  await bf16.close();
});

describe("a pass that was stopped", () => {
  const measureIn = (folder: string, overrides: object = {}) =>
    measure({
      ...{ store: source, dictionary, folder, tokenString: (id: number) => `t${id}`, commitIntervalMs: 0 },
      ...overrides,
    });
  const copyOfDictionary = async (name: string): Promise<string> => {
    const folder = join(root, name);
    await cp(dictionaryFolder(), folder, { recursive: true });
    return folder;
  };
  const tables = async (folder: string): Promise<Buffer[]> =>
    Promise.all([measurePaths(folder).table, measurePaths(folder).summary].map((path) => readFile(path)));

  test("goes on with the groups that are missing and ends on the same bytes", async () => {
    const whole = await copyOfDictionary("whole");
    await measureIn(whole);
    const stopped = await copyOfDictionary("stopped");
    const controller = new AbortController();
    let seen = 0;
    const reportProgress = ({ done }: { done: number }): void => {
      seen = done;
      if (done > 400) controller.abort();
    };
    await expect(measureIn(stopped, { reportProgress, signal: controller.signal })).rejects.toThrow(
      InterruptedError,
    );
    expect((await readdir(partsFolder(stopped))).length).toBeGreaterThan(5);
    let first = Number.POSITIVE_INFINITY;
    await measureIn(stopped, {
      reportProgress: ({ done }: { done: number }) => {
        first = Math.min(first, done);
      },
    });
    expect(first).toBeGreaterThan(seen / 2); // what was finished was not measured again
    expect(await tables(stopped)).toEqual(await tables(whole));
    await expect(readdir(partsFolder(stopped))).rejects.toThrow("ENOENT");
  });

  test("drops parts that are damaged or of other options, and measures those groups again", async () => {
    const whole = await copyOfDictionary("whole-2");
    await measureIn(whole);
    const stopped = await copyOfDictionary("stopped-2");
    const controller = new AbortController();
    const reportProgress = ({ done }: { done: number }): void => {
      if (done > 400) controller.abort();
    };
    const interrupted = { reportProgress, signal: controller.signal, seed: 9 };
    await expect(measureIn(stopped, interrupted)).rejects.toThrow(InterruptedError);
    await measureIn(stopped); // another seed than the parts were made with
    expect(await tables(stopped)).toEqual(await tables(whole));

    const damaged = await copyOfDictionary("damaged-parts");
    const again = new AbortController();
    await expect(
      measureIn(damaged, { reportProgress: () => again.abort(), signal: again.signal }),
    ).rejects.toThrow(InterruptedError);
    const [name] = await readdir(partsFolder(damaged));
    const path = join(partsFolder(damaged), name, "groups.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 3] ^= 4;
    await writeFile(path, bytes);
    await measureIn(damaged);
    expect(await tables(damaged)).toEqual(await tables(whole));
  });
});
