// One concept put into a pair by hand: what a null pair needs to have a known answer.

import { createRng } from "../numerics/rng.ts";
import type { Store } from "../store/store-contract.ts";

export interface PlantedConcept {
  /** [width of the finetuned site], of norm 1. */
  direction: Float32Array;
  /** Raw activation units. */
  magnitude: number;
  /** Rows of the store that have it. */
  hasConcept: (row: number) => boolean;
}

/** The same store, whose finetuned rows have magnitude·direction more where the concept is; the base's rows stay. */
export function plantConcept(store: Store, { direction, magnitude, hasConcept }: PlantedConcept): Store {
  const { width } = store;
  const offset = width - direction.length;
  return {
    ...store,
    readBits: undefined,
    read: async (rowStart, rowEnd, target) => {
      const x = await store.read(rowStart, rowEnd, target);
      for (let row = rowStart; row < rowEnd; row += 1) {
        if (!hasConcept(row)) continue;
        const at = (row - rowStart) * width + offset;
        for (let c = 0; c < direction.length; c += 1) x[at + c] += magnitude * direction[c];
      }
      return x;
    },
  };
}

/** A seeded direction of norm 1: [width]. */
export function randomDirection(width: number, seed: number): Float32Array {
  const rng = createRng(seed, "planted direction");
  const values = Float64Array.from({ length: width }, (_, i) => rng.normal(0, i));
  const norm = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / norm);
}
