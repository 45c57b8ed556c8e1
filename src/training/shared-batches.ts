// Training batches for one or more dictionaries: read once, normalised once for each space, the next one read ahead.
//
// Which rows a batch holds is the sampler's business (store/sampler.ts), a pure function of the step; any step may be asked for
// again, after a roll-back or a resume.

import type { Normaliser } from "../dictionary/dictionary.ts";
import { rowNormaliser } from "../dictionary/normaliser.ts";
import { ShapeError } from "../errors.ts";
import { createBatchReader } from "../store/batch-reader.ts";
import { createSampler } from "../store/sampler.ts";
import type { Store } from "../store/store-contract.ts";

export interface Batch {
  /** Counted from 0. */
  step: number;
  /** [batchRows, width] in the space that was asked for; shared, so not to be changed, and valid until the next is read. */
  x: Float32Array;
  /** [batchRows] index into the store's rows. */
  rows(): Uint32Array;
}

export interface SharedBatches {
  /** The batch of a step: a function from a run's normaliser to its view of the batch. steps: where batches end. */
  read(step: number, steps: number): Promise<(normaliser: Normaliser | undefined) => Batch>;
}

export function createSharedBatches({
  store,
  included,
  batchRows,
  seed,
  normalisers,
}: {
  store: Store;
  /** [store rows] 1 where a row is trained on. */
  included: Uint8Array;
  batchRows: number;
  seed: number;
  /** Of the dictionaries that will ask, by identity; a copy of the batch is made for each that differs. */
  normalisers: readonly (Normaliser | undefined)[];
}): SharedBatches {
  const { sites } = store.manifest;
  const spaces = [...new Set(normalisers)];
  const copies = spaces.map((normaliser) => rowNormaliser({ sites, normaliser }));
  const sampler = createSampler({ rows: store.rows, include: (row) => included[row] === 1, batchRows, seed });
  const reader = createBatchReader({ store, sampler });
  // Three sets: the one in use, the one being filled ahead, and one for a step that was not the next.
  const sets = Array.from({ length: 3 }, () => spaces.map(() => new Float32Array(batchRows * store.width)));
  let ahead: { step: number; set: Float32Array[]; done: Promise<void> } | undefined;
  let inUse: Float32Array[] | undefined;
  const start = (step: number): NonNullable<typeof ahead> => {
    const set = sets.find((candidate) => candidate !== inUse && candidate !== ahead?.set) as Float32Array[];
    const done = reader.batches(step, copies, set);
    done.catch(() => {}); // A failure surfaces when it is awaited.
    return { step, set, done };
  };
  return {
    async read(step, steps) {
      // What was read ahead for nothing still writes into its set: it must end before that is used again.
      if (ahead !== undefined && ahead.step !== step) await ahead.done.catch(() => {});
      const current = ahead?.step === step ? ahead : start(step);
      ahead = undefined;
      await current.done;
      inUse = current.set;
      // Asked for now, so that it is read and normalised during this step.
      ahead = step + 1 < steps ? start(step + 1) : undefined;
      return (normaliser) => {
        const x = current.set[spaces.indexOf(normaliser)];
        if (x === undefined) throw new ShapeError(`step ${step}: expected one of the spaces that were named`);
        return { step, x, rows: () => sampler.batch(step) };
      };
    },
  };
}
