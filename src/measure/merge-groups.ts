// From the parts of the document groups to the whole: added in order of group, whatever order they arrive in.
//
// A fixed order is a fixed reduction tree: the number of workers cannot change a bit. The groups' own sums are kept, for
// intervals come from resampling them.

import { N_FIT_SUMS, N_ROW_CLASSES } from "../compute/kernel-contract.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import type { RowSource } from "../store/row-source.ts";
import { N_DOCUMENT_GROUPS } from "../store/rows.ts";
import type { FitSums } from "./fve-sums.ts";
import { type Accumulators, createAccumulators, type GroupOptions, type GroupPart } from "./group-pass.ts";
import { type LatentSums, N_SUMS } from "./latent-scaling.ts";
import { type Accumulator, partArray } from "./part-arrays.ts";

/** Everything a pass has found. */
export interface PassResult {
  sums: LatentSums;
  fit: FitSums;
  nDocuments: number;
  nNonZero: number;
  /** [nLatents] documents in which it fired. */
  documents: Uint32Array;
  /** [nLatents] largest code. */
  maxCode: Float32Array;
  accumulators: Accumulators;
}

export interface GroupMerger {
  /** Takes a group's part; parts of later groups wait for the earlier ones. Throws FormatError for a part that is damaged. */
  add(group: number, part: GroupPart): void;
  /** The whole; every group that was announced must have been added. */
  result(): PassResult;
}

/** groups: those with rows, ascending. */
export function createGroupMerger(options: {
  dictionary: Dictionary;
  source: RowSource;
  groupOptions: GroupOptions;
  groups: readonly number[];
}): GroupMerger {
  const { dictionary, source, groupOptions, groups } = options;
  const { nLatents, width, sites } = dictionary;
  const accumulators = createAccumulators(dictionary, source, groupOptions);
  const values = new Float64Array(N_DOCUMENT_GROUPS * nLatents * N_SUMS);
  const result: PassResult = {
    sums: { nGroups: N_DOCUMENT_GROUPS, nLatents, values },
    fit: {
      widths: { base: sites[0].width, finetuned: sites[1].width },
      rows: new Float64Array(N_ROW_CLASSES),
      columnSums: new Float64Array(N_ROW_CLASSES * width),
      squares: new Float64Array(N_ROW_CLASSES * N_FIT_SUMS),
    },
    nDocuments: 0,
    nNonZero: 0,
    documents: new Uint32Array(nLatents),
    maxCode: new Float32Array(nLatents),
    accumulators,
  };
  const waiting = new Map<number, GroupPart>();
  let merged = 0;

  const merge = (group: number, part: GroupPart): void => {
    const sums = partArray(part, "sums", Float64Array, nLatents * N_SUMS);
    values.set(sums, group * nLatents * N_SUMS);
    const addTo = (target: Float64Array | Uint32Array, name: string): void => {
      const kind = target instanceof Float64Array ? Float64Array : Uint32Array;
      const more = partArray<Float64Array | Uint32Array>(part, name, kind, target.length);
      for (let i = 0; i < target.length; i += 1) target[i] += more[i];
    };
    addTo(result.documents, "documents");
    addTo(result.fit.columnSums, "columnSums");
    addTo(result.fit.squares, "squares");
    const maxCode = partArray(part, "maxCode", Float32Array, nLatents);
    for (let i = 0; i < nLatents; i += 1) result.maxCode[i] = Math.max(result.maxCode[i], maxCode[i]);
    const counts = partArray(part, "counts", Float64Array, N_ROW_CLASSES + 2);
    for (let kind = 0; kind < N_ROW_CLASSES; kind += 1) result.fit.rows[kind] += counts[kind];
    result.nDocuments += counts[N_ROW_CLASSES];
    result.nNonZero += counts[N_ROW_CLASSES + 1];
    for (const accumulator of Object.values(accumulators) as Accumulator[]) accumulator.merge(part);
  };

  return {
    add(group, part) {
      waiting.set(group, part);
      for (; merged < groups.length; merged += 1) {
        const next = waiting.get(groups[merged]);
        if (next === undefined) return;
        waiting.delete(groups[merged]);
        merge(groups[merged], next);
      }
    },
    result() {
      if (merged < groups.length)
        throw new RangeError(`groups: expected ${groups.length} parts, got ${merged} in order`);
      return result;
    },
  };
}
