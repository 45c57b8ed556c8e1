// What is kept of a step that was not finite, so that its cause can be found afterwards: forensics/step-00000123/.
//
// bundle.json says what was seen and where (losses, gradient norm, first bad tensor, the batch's rows by document and
// position); rows.safetensors holds rows of the batch as the engine saw them. Committed as one folder, bounded in size, and the
// same for a step that comes again. Nothing reads it back: the run's own decisions are in its checkpoints.

import { join } from "node:path";
import { commitFolder, writeFileAtomic } from "../formats/atomic.ts";
import { type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { packageVersion } from "../package-root.ts";
import type { Store } from "../store/store-contract.ts";
import type { RunIdentity } from "./checkpoint.ts";
import type { BadStep } from "./finite.ts";
import { jsonWithNames } from "./metrics.ts";
import { firstNonFinite } from "./row-chunks.ts";

/** Of each tensor of rows. */
const MOST_TENSOR_BYTES = 8 * 2 ** 20;
/** Rows named in bundle.json, the bad ones first. */
const MOST_NAMED_ROWS = 4096;

export interface ForensicFacts extends RunIdentity {
  /** Counted from 0. */
  batchStep: number;
  bad: BadStep;
  /** What would have been done. */
  learningRate: number;
  /** The step's k, or μ under ReLU + L1. */
  level: number;
  threshold: number;
  nShards: number;
  /** Path of the newest checkpoint. */
  lastGoodCheckpoint: string | null;
}

export interface ForensicRows {
  store: Store;
  /** [nRows, width] as given to the engine, normalised units. */
  x: Float32Array;
  /** [nRows, width] x − reconstruction; undefined when nothing was computed from x. */
  residual: Float32Array | undefined;
  /** [nRows] index into the store's rows. */
  rows: Uint32Array;
}

export const forensicsFolder = (folder: string, batchStep: number): string =>
  join(folder, "forensics", `step-${String(batchStep).padStart(8, "0")}`);

/** Returns the bundle's path. At most 24 MB and 4,096 named rows. Throws StorageError. */
export async function writeForensicBundle(
  folder: string,
  facts: ForensicFacts,
  batch: ForensicRows,
): Promise<string> {
  const path = forensicsFolder(folder, facts.batchStep);
  const { width } = batch.store;
  const nRows = batch.rows.length;
  const rowOf = (data: Float32Array, place: number): Float32Array =>
    data.subarray(place * width, (place + 1) * width);
  const places = Array.from({ length: nRows }, (_, place) => place);
  const isBad = places.map(
    (place) =>
      firstNonFinite(rowOf(batch.x, place)) >= 0 ||
      (batch.residual !== undefined && firstNonFinite(rowOf(batch.residual, place)) >= 0),
  );
  const most = Math.max(1, Math.floor(MOST_TENSOR_BYTES / (4 * width)));
  const bad = places.filter((place) => isBad[place]);
  const badFirst = [...bad, ...places.filter((place) => !isBad[place])];
  const kept = places.slice(0, most);
  const gather = (name: string, data: Float32Array, chosen: number[]): TensorToWrite => {
    const rows = new Float32Array(chosen.length * width);
    chosen.forEach((place, i) => {
      rows.set(rowOf(data, place), i * width);
    });
    return { name, dtype: "F32", shape: [chosen.length, width], data: rows };
  };
  const indices = (name: string, values: number[]): TensorToWrite => ({
    name,
    dtype: "I64",
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const badKept = bad.slice(0, most);
  const storeRows = (chosen: number[]): number[] => chosen.map((place) => batch.rows[place]);
  await commitFolder(path, async (temporary) => {
    await writeFileAtomic(
      join(temporary, "bundle.json"),
      `${jsonWithNames(
        {
          schemaVersion: 1,
          version: packageVersion(),
          ...facts,
          batchRows: nRows,
          badRows: bad.length,
          rows: badFirst.slice(0, MOST_NAMED_ROWS).map((place) => ({
            place,
            bad: isBad[place],
            ...nameOfRow(batch.store, batch.rows[place]),
          })),
        },
        1,
      )}\n`,
    );
    await writeSafetensors(join(temporary, "rows.safetensors"), [
      gather("batch", batch.x, kept),
      indices("batchStoreRows", storeRows(kept)),
      ...(badKept.length === 0
        ? []
        : [
            gather("badRows", batch.x, badKept),
            indices("badPlaces", badKept),
            indices("badStoreRows", storeRows(badKept)),
            ...(batch.residual === undefined ? [] : [gather("badResiduals", batch.residual, badKept)]),
          ]),
    ]);
  });
  return path;
}

function nameOfRow({ rows, documents }: Store, row: number): object {
  const document = rows.document[row];
  return { row, document, documentId: documents[document]?.id ?? null, position: rows.position[row] };
}
