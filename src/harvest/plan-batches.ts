// Which documents run together: batches of like length for one shard.
//
// A pure function of the shard's row range, so that a resumed run pads and batches exactly as an uninterrupted one and
// writes the same bytes. A document that crosses a shard border therefore runs twice, once for either shard.

import type { DocumentRecord } from "../store/rows.ts";

type DocumentRows = Pick<DocumentRecord, "rowStart" | "rowEnd">;

/** Documents that have rows in [rowStart, rowEnd), in order. documents: ascending and gapless. */
export function documentsInRange<T extends DocumentRows>(
  documents: T[],
  rowStart: number,
  rowEnd: number,
): T[] {
  let low = 0;
  let high = documents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (documents[middle].rowEnd <= rowStart) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < documents.length && documents[end].rowStart < rowEnd) end += 1;
  return documents.slice(low, end);
}

export interface PlanBatchesOptions<T> {
  /** Padded tokens of a batch. */
  batchTokens: number;
  /** Tokens that run for a document. Default: its rows. */
  lengthOf?: (document: T) => number;
  /** Lengths of different classes never share a batch; see batchClass in lm/batch.ts. Default: one class. */
  classOf?: (length: number) => number;
}

/**
 * Groups documents into batches whose padded size, documents × longest, stays within batchTokens.
 *
 * Longest first, equal lengths in document order; a document longer than batchTokens runs alone.
 */
export function planBatches<T extends DocumentRows>(
  documents: T[],
  {
    batchTokens,
    lengthOf = ({ rowStart, rowEnd }) => rowEnd - rowStart,
    classOf = () => 0,
  }: PlanBatchesOptions<T>,
): T[][] {
  const sorted = documents.toSorted((a, b) => lengthOf(b) - lengthOf(a) || a.rowStart - b.rowStart);
  const batches: T[][] = [];
  let current: T[] = [];
  for (const document of sorted) {
    const isFull = (current.length + 1) * lengthOf(current[0] ?? document) > batchTokens;
    const isOther = current.length > 0 && classOf(lengthOf(document)) !== classOf(lengthOf(current[0]));
    if (current.length > 0 && (isFull || isOther)) {
      batches.push(current);
      current = [];
    }
    current.push(document);
  }
  if (current.length > 0) batches.push(current);
  return batches;
}
