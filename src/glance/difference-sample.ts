// Whole documents of rows, as many as fit: a sample that is the same whatever the order in which rows arrive.
//
// Each document has a number drawn from (seed, document); those with the least numbers are kept. A document is kept whole or not
// at all, so that a row can be shown with its neighbours.

import { createRng } from "../numerics/rng.ts";

export interface SampledDocument {
  document: number;
  /** [rows] ascending. */
  positions: Uint16Array;
  /** [rows, dModel] f32. */
  rows: Float32Array;
}

export interface DifferenceSample {
  /** row: [dModel] f32, copied. */
  add(row: Float32Array, document: number, position: number): void;
  /** By document. */
  finish(): SampledDocument[];
}

interface Kept {
  key: number;
  document: number;
  rows: { position: number; row: Float32Array }[];
}

/** most: rows. */
export function createDifferenceSample({
  dModel,
  seed,
  most,
}: {
  dModel: number;
  seed: number;
  most: number;
}): DifferenceSample {
  const rng = createRng(seed, "glance.sample");
  const kept = new Map<number, Kept>();
  const isBefore = (a: Pick<Kept, "key" | "document">, b: Pick<Kept, "key" | "document">): boolean =>
    a.key < b.key || (a.key === b.key && a.document < b.document);
  let nRows = 0;
  /** The first document that is not kept. */
  let end = { key: Number.POSITIVE_INFINITY, document: 0 };
  return {
    add(row, document, position) {
      let own = kept.get(document);
      if (own === undefined) {
        own = { key: rng.uint32(0, document), document, rows: [] };
        if (!isBefore(own, end)) return;
        kept.set(document, own);
      }
      own.rows.push({ position, row: row.slice() });
      nRows += 1;
      while (nRows > most) {
        const last = [...kept.values()].reduce((a, b) => (isBefore(a, b) ? b : a));
        kept.delete(last.document);
        nRows -= last.rows.length;
        end = last;
      }
    },
    finish: () =>
      [...kept.values()]
        .sort((a, b) => a.document - b.document)
        .map(({ document, rows }) => {
          rows.sort((a, b) => a.position - b.position);
          const joined = new Float32Array(rows.length * dModel);
          for (const [at, { row }] of rows.entries()) joined.set(row, at * dModel);
          return { document, positions: Uint16Array.from(rows, ({ position }) => position), rows: joined };
        }),
  };
}
