// A store in memory, and activations drawn from a known dictionary: what training tests run on.

import { createRng } from "../numerics/rng.ts";
import { ROLES, SPLITS } from "../store/rows.ts";
import type { Site, Store } from "../store/store-contract.ts";

export function pairOfSites(width: number): [Site, Site] {
  return [
    { name: "base-L1", model: "base", layer: 1, width },
    { name: "finetuned-L1", model: "finetuned", layer: 1, width },
  ];
}

/** activations [nRows, Σ widths] f32. Every documentRows rows are a document that starts with BOS; every 10th is held out. */
export function memoryStore(
  activations: Float32Array,
  { sites, documentRows = 32 }: { sites: Site[]; documentRows?: number },
): Store {
  const width = sites.reduce((sum, site) => sum + site.width, 0);
  const nRows = activations.length / width;
  const nDocuments = Math.ceil(nRows / documentRows);
  const isHeldout = (document: number): boolean => document % 10 === 9;
  const column = <A extends { [i: number]: number }>(array: A, value: (row: number) => number): A => {
    for (let row = 0; row < nRows; row += 1) array[row] = value(row);
    return array;
  };
  const document = column(new Uint32Array(nRows), (row) => Math.floor(row / documentRows));
  const rows = {
    nRows,
    document,
    turn: column(new Int16Array(nRows), () => -1),
    position: column(new Uint16Array(nRows), (row) => row % documentRows),
    split: column(new Uint8Array(nRows), (row) =>
      SPLITS.indexOf(isHeldout(document[row]) ? "heldout" : "train"),
    ),
    role: column(new Uint8Array(nRows), (row) => ROLES.indexOf(row % documentRows === 0 ? "bos" : "text")),
    slot: new Uint8Array(nRows),
    dataset: new Uint8Array(nRows),
    charStart: new Uint32Array(nRows),
    charEnd: new Uint32Array(nRows),
    tokenBase: new Uint32Array(nRows),
    tokenFinetuned: new Uint32Array(nRows),
  };
  const heldout = rows.split.filter((split) => SPLITS[split] === "heldout").length;
  return {
    folder: "memory",
    width,
    rows,
    documents: Array.from({ length: nDocuments }, (_, index) => ({
      index,
      id: `d${index}`,
      dataset: "planted",
      split: isHeldout(index) ? ("heldout" as const) : ("train" as const),
      group: index % 64,
      rowStart: index * documentRows,
      rowEnd: Math.min(nRows, (index + 1) * documentRows),
      text: "",
      turns: [],
    })),
    manifest: {
      schemaVersion: 1,
      name: "memory",
      nRows,
      nDocuments,
      rowsBySplit: { train: nRows - heldout, heldout, test: 0 },
      datasets: ["planted"],
      slots: ["none"],
      sites: sites.map((site) => ({
        ...site,
        dtype: "f32",
        rowsPerShard: nRows,
        nShards: 1,
        roundingErrorRelative: null,
      })),
      tokenizerHash: "none",
      identity: { kind: "memory" },
    },
    async read(from, to, target = new Float32Array((to - from) * width)) {
      target.set(activations.subarray(from * width, to * width));
      return target;
    },
    close: async () => {},
  };
}

export interface Concept {
  /** Strength in each model; 0: the model does not have it. */
  base: number;
  finetuned: number;
}

/**
 * Rows that are sums of concepts, each along its own axis of both models (orthogonal), each present with probability
 * `density` at a strength in [1, 2]; plus noise. Concept c is coordinate c, so width must be at least the number of concepts.
 */
export function plantedActivations({
  concepts,
  width,
  nRows,
  density,
  noise,
  seed = 0,
}: {
  concepts: Concept[];
  width: number;
  nRows: number;
  density: number;
  noise: number;
  seed?: number;
}): Float32Array {
  const rng = createRng(seed, "planted");
  const x = new Float32Array(nRows * 2 * width);
  for (let row = 0; row < nRows; row += 1) {
    const base = row * 2 * width;
    for (let i = 0; i < 2 * width; i += 1) x[base + i] = noise * rng.normal(row, i);
    concepts.forEach((concept, c) => {
      if (rng.uniform(row, 1e6 + 2 * c) >= density) return;
      const strength = 1 + rng.uniform(row, 1e6 + 2 * c + 1);
      x[base + c] += strength * concept.base;
      x[base + width + c] += strength * concept.finetuned;
    });
  }
  return x;
}
