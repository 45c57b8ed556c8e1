// Token-level F1 of a chosen latent: does it fire on the behaviour's own tokens and nowhere else?
//
// Positive rows: decision, response and closing tokens of the concept (not its trigger). All rows of a split except
// BOS are scored; the threshold is chosen on heldout, the F1 is that on test. Harder than the turn-level unit, because
// a latent may cover a part of a span; shown beside it, deciding nothing.

import { bestF1Threshold, f1AtThreshold, type ScoredItems } from "../numerics/statistics.ts";
import { ROLES, SPLITS } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import type { Firings } from "./turn-maxima.ts";
import { BEHAVIOUR } from "./turns.ts";

const BOS = ROLES.indexOf("bos");

/** places: PLACE bits of every store row for one concept. */
export function tokenF1(options: { store: Store; places: Uint8Array; firings: Firings }): number {
  const { store, places, firings } = options;
  const itemsOf = (split: (typeof SPLITS)[number]): ScoredItems => {
    const wanted = SPLITS.indexOf(split);
    let nRows = 0;
    let nPositive = 0;
    for (let row = 0; row < store.rows.nRows; row += 1) {
      if (store.rows.split[row] !== wanted || store.rows.role[row] === BOS) continue;
      nRows += 1;
      if ((places[row] & BEHAVIOUR) !== 0) nPositive += 1;
    }
    const inSplit: number[] = [];
    for (const [i, row] of firings.rows.entries()) if (store.rows.split[row] === wanted) inSplit.push(i);
    return {
      scores: Float32Array.from(inSplit, (i) => firings.activations[i]),
      labels: Uint8Array.from(inSplit, (i) => ((places[firings.rows[i]] & BEHAVIOUR) !== 0 ? 1 : 0)),
      nPositive,
      nNegative: nRows - nPositive,
    };
  };
  const { threshold } = bestF1Threshold(itemsOf("heldout"));
  return f1AtThreshold(itemsOf("test"), threshold);
}
