// What holders of latent shards do together: add up arrays, pass one on, wait for each other.
//
// The seam between one process and many: soloCollective is a single holder, localCollectives several in one thread (the readable
// twin, for tests), thread-collective.ts worker threads. Holders in other processes (MPI) stand behind the same interface.

/** One holder's side; every holder calls the same operations in the same order with arrays of equal length. */
export interface Collective {
  /** This holder's number, 0 to size − 1. */
  readonly rank: number;
  readonly size: number;
  /**
   * In place: each holder gets the sums over all holders, added in f64 in order of rank and rounded once, so that a number of
   * holders always gives the same bytes.
   */
  allReduce(values: Float32Array | Float64Array): Promise<void>;
  /** In place: each holder gets root's values. */
  broadcast(values: Float32Array | Float64Array, root: number): Promise<void>;
  /** Resolves when all holders have called it. */
  barrier(): Promise<void>;
}

/** A single holder: nothing to do. */
export const soloCollective: Collective = {
  rank: 0,
  size: 1,
  allReduce: async () => {},
  broadcast: async () => {},
  barrier: async () => {},
};

/** Every holder's one number, by rank. */
export async function gatherNumbers(collective: Collective, value: number): Promise<Float64Array> {
  const all = new Float64Array(collective.size);
  all[collective.rank] = value;
  await collective.allReduce(all);
  return all;
}

interface Waiting {
  values: Float32Array | Float64Array | undefined;
  done(): void;
}

/** `size` holders in one thread, each a Collective. A holder that never comes leaves the others waiting. */
export function localCollectives(size: number): Collective[] {
  let arrived: (Waiting | undefined)[] = new Array<undefined>(size).fill(undefined);
  const meet = (
    rank: number,
    values: Waiting["values"],
    finish: (all: Float32Array[] | Float64Array[]) => void,
  ): Promise<void> =>
    new Promise((resolve) => {
      arrived[rank] = { values, done: resolve };
      const all = arrived.filter((waiting) => waiting !== undefined);
      if (all.length < size) return;
      arrived = new Array<undefined>(size).fill(undefined);
      finish(all.map((waiting) => waiting.values) as Float32Array[]);
      for (const { done } of all) done();
    });
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    allReduce: (values) =>
      meet(rank, values, (all) => {
        for (let i = 0; i < all[0].length; i += 1) {
          let sum = 0;
          for (const part of all) sum += part[i];
          for (const part of all) part[i] = sum;
        }
      }),
    broadcast: (values, root) =>
      meet(rank, values, (all) => {
        const source = all[root];
        for (const part of all) if (part !== source) part.set(source);
      }),
    barrier: () => meet(rank, undefined, () => {}),
  }));
}
