// One measurement as the benches run it: `measureOnce` is the only place that knows how it is started.
//
// A prepared case is a dictionary on disk and any number of generated stores (measure-store.ts) in a temporary folder.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dictionary } from "../src/dictionary/dictionary.ts";
import { saveDictionary } from "../src/dictionary/dictionary-file.ts";
import { createEncoder } from "../src/dictionary/encode.ts";
import { type Measurement, measure } from "../src/measure/measure.ts";
import { openRowSource } from "../src/store/row-source.ts";
import { ROLES } from "../src/store/rows.ts";
import { openStore } from "../src/store/store.ts";
import { drawDictionary, type MeasureCase, withThreshold, writeGeneratedStore } from "./measure-store.ts";

const BATCH_ROWS = 2048;

export interface PreparedCase {
  which: MeasureCase;
  dictionary: Dictionary;
  /** Holds model.safetensors; a measurement writes into it. */
  dictionaryFolder: string;
  /** The folder of a store of the first nRows rows, written when first asked for. */
  store(nRows: number): Promise<string>;
  dispose(): Promise<void>;
}

export interface MeasuredOnce {
  /** From opening the store to the last file written. */
  seconds: number;
  /** Of these, up to the last row reported as done. */
  passSeconds: number;
  measurement: Measurement;
}

export async function prepareCase(which: MeasureCase): Promise<PreparedCase> {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-bench-"));
  const dictionaryFolder = join(folder, "dictionary");
  const stores = new Map<number, string>();
  try {
    const dictionary = await withThreshold(which, drawDictionary(which));
    await mkdir(dictionaryFolder);
    await saveDictionary(dictionaryFolder, dictionary);
    return {
      ...{ which, dictionary, dictionaryFolder },
      async store(nRows) {
        const path = join(folder, `store-${nRows}`);
        if (!stores.has(nRows)) await writeGeneratedStore(path, { which, dictionary, nRows });
        stores.set(nRows, path);
        return path;
      },
      dispose: () => rm(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Measures the store anew: what an earlier measurement left in the dictionary's folder is removed first. */
export async function measureOnce(
  { dictionary, dictionaryFolder }: Pick<PreparedCase, "dictionary" | "dictionaryFolder">,
  { storeFolder, threads }: { storeFolder: string; threads: number },
): Promise<MeasuredOnce> {
  await rm(join(dictionaryFolder, "tables"), { recursive: true, force: true });
  await rm(join(dictionaryFolder, "examples.sqlite"), { force: true });
  const started = performance.now();
  let passEnded = Number.NaN;
  const store = await openRowSource(storeFolder);
  try {
    const measurement = await measure({
      ...{ store, dictionary, folder: dictionaryFolder, threads },
      tokenString: (id) => `t${id}`,
      reportProgress: () => {
        passEnded = performance.now();
      },
    });
    const seconds = (performance.now() - started) / 1000;
    return { seconds, passSeconds: (passEnded - started) / 1000, measurement };
  } finally {
    await store.close();
  }
}

/** Rows of a store without BOS, as the dictionary sees them. Returns [rows, width] f32. */
export async function rowsToEncode(storeFolder: string): Promise<Float32Array> {
  const store = await openStore(storeFolder);
  const { width, rows } = store;
  const x = await store.read(0, rows.nRows);
  await store.close();
  let kept = 0;
  for (let row = 0; row < rows.nRows; row += 1) {
    if (ROLES[rows.role[row]] === "bos") continue;
    x.copyWithin(kept * width, row * width, (row + 1) * width);
    kept += 1;
  }
  return x.slice(0, kept * width);
}

/** Seconds of the encoder alone over rows [n, width] in memory. */
export async function encodeOnce(dictionary: Dictionary, x: Float32Array, threads: number): Promise<number> {
  const { width } = dictionary;
  const encoder = await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads });
  try {
    await encoder.encode(x, Math.min(64, x.length / width)); // the first call allocates
    const started = performance.now();
    for (let at = 0; at < x.length; at += BATCH_ROWS * width) {
      const batch = x.subarray(at, at + BATCH_ROWS * width);
      await encoder.encode(batch, batch.length / width);
    }
    return (performance.now() - started) / 1000;
  } finally {
    await encoder.dispose();
  }
}
