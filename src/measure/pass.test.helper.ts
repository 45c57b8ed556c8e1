// The whole pass over a store in memory, group by group on this thread: what measure() does between its files.

import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { rowsByGroup, sourceOfStore } from "../store/row-source.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { categoryNames } from "./category-counts.ts";
import { createGroupMeasurer } from "./group-pass.ts";
import { createResampling } from "./intervals.ts";
import { latentRows, summarise } from "./latent-rows.ts";
import type { LatentMeasure, MeasureSummary } from "./measure-contract.ts";
import { createGroupMerger, type PassResult } from "./merge-groups.ts";
import { nearestLatents } from "./nearest-latents.ts";

/** encodeReference as an encoder of batches of at most maxRows. */
export function readableEncoder(dictionary: Dictionary, maxRows: number): Encoder {
  return {
    maxRows,
    encode: async (x, nRows) => encodeReference(dictionary, x, nRows),
    dispose: async () => {},
  };
}

export interface PassOptions {
  store: Store;
  dictionary: Dictionary;
  /** Default: the readable one, 16 rows at a time. */
  encoder?: Encoder;
  split?: Split;
  normLimits?: readonly number[];
  examplesPerLatent?: number;
  /** Groups in another order than their own. */
  order?: (groups: number[]) => number[];
  signal?: AbortSignal;
}

export async function runWholePass(options: PassOptions): Promise<PassResult> {
  const { store, dictionary, split = "heldout", examplesPerLatent = 4, order = (groups) => groups } = options;
  const { encoder = readableEncoder(dictionary, 16), signal } = options;
  const { normLimits = dictionary.sites.map(() => Number.POSITIVE_INFINITY) } = options;
  const source = await sourceOfStore(store);
  const groups = [...rowsByGroup(source.documents, split).entries()]
    .filter(([, nRows]) => nRows > 0)
    .map(([group]) => group);
  const groupOptions = { split, examplesPerLatent, examplesPerBin: 3, seed: 0, normLimits };
  const measurer = await createGroupMeasurer({ source, dictionary, options: groupOptions, encoder });
  const merger = createGroupMerger({ dictionary, source, groupOptions, groups });
  for (const group of order([...groups])) merger.add(group, await measurer.measureGroup(group, { signal }));
  await measurer.dispose();
  return merger.result();
}

/** The pass with its table and summary, without files. */
export async function measureWhole(
  options: PassOptions,
): Promise<{ pass: PassResult; latents: LatentMeasure[]; summary: MeasureSummary }> {
  const { dictionary, store } = options;
  const pass = await runWholePass(options);
  const resampling = createResampling({ nGroups: 64, nDraws: 50, seed: 0 });
  const neighbours = await nearestLatents(dictionary, { threads: 1 });
  const latents = latentRows({ dictionary, pass, resampling, neighbours, tokenString: (id) => `t${id}` });
  const categories = categoryNames(store.manifest);
  return {
    pass,
    latents,
    summary: summarise({ dictionary, pass, resampling }, { latents, twins: [], categories }),
  };
}
