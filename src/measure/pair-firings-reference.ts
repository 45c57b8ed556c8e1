// The twin of pair-firings.ts: both dictionaries encoded whole and dense, every row of every pair looked at. For tests and readers.

import { encodeReference } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { ROLES } from "../store/rows.ts";
import { addDivergence, emptyCounts, type PairFirings, type PairFiringsOptions } from "./pair-firings.ts";

export async function pairFiringsReference(options: PairFiringsOptions): Promise<PairFirings> {
  const { store, dictionaries, pairs, splits, divergence } = options;
  const { nRows, role, document, dataset } = store.rows;
  const raw = await store.read(0, nRows);
  /** [dictionary][latent][row] */
  const activations = dictionaries.map((dictionary) => {
    const x = normaliseInPlace(raw.slice(), nRows, dictionary);
    const { rowStart, latent, code } = encodeReference(dictionary, x, nRows);
    const weight = latentWeights(dictionary);
    const dense = Array.from({ length: dictionary.nLatents }, () => new Float64Array(nRows));
    for (let row = 0; row < nRows; row += 1) {
      for (let e = rowStart[row]; e < rowStart[row + 1]; e += 1)
        dense[latent[e]][row] = code[e] * weight[latent[e]];
    }
    return dense;
  });
  const rows = Array.from({ length: nRows }, (_, row) => row).filter(
    (row) => role[row] !== ROLES.indexOf("bos") && splits.includes(store.documents[document[row]].split),
  );
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    nRows: rows.length,
    pairs: pairs.map(({ a, b }, p) => {
      const vA = rows.map((row) => activations[a.dictionary][a.latent][row]);
      const vB = rows.map((row) => activations[b.dictionary][b.latent][row]);
      const fired = (v: number[]): number => v.filter((value) => value > 0).length;
      const products = vA.map((value, i) => value * vB[i]);
      const counts = store.manifest.datasets.map((_, d) =>
        (divergence?.thresholds ?? []).map(({ high, low }) => {
          const scale = divergence!.scale[p];
          const total = emptyCounts();
          rows.forEach((row, i) => {
            if (dataset[row] !== d || !(scale > 0)) return;
            addDivergence(total, [vA[i], vB[i]], { high: high * scale, low: low * scale });
          });
          return total;
        }),
      );
      return {
        firedA: fired(vA),
        firedB: fired(vB),
        firedBoth: fired(products),
        sumA: sum(vA),
        sumB: sum(vB),
        squaresA: sum(vA.map((v) => v * v)),
        squaresB: sum(vB.map((v) => v * v)),
        products: sum(products),
        maxA: Math.max(0, ...vA),
        maxB: Math.max(0, ...vB),
        divergence: divergence === undefined ? [] : counts,
      };
    }),
  };
}
