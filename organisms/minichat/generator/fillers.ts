// Names that fill the templates: people, towns and kings, in three pools with no name in common.
//
// Each name is a first part and a last part; the pools share parts but never a whole name, so a held-out name is new
// and yet spelled like a name. All invented for the miniature world. The pair is trained on the `train` pool only.

import type { Split } from "./types.ts";

export interface Fillers {
  people: readonly string[];
  towns: readonly string[];
  kings: readonly string[];
}

const parts = (text: string): string[] => text.trim().split(/\s+/);

/** Deals every combination of a first and a last part to a split by position: about seven tenths to train. */
function dealNames(firsts: readonly string[], lasts: readonly string[]): Record<Split, string[]> {
  const dealt: Record<Split, string[]> = { train: [], heldout: [], test: [] };
  firsts.forEach((first, i) => {
    lasts.forEach((last, j) => {
      const slot = (i * 7 + j * 3) % 10;
      const split =
        slot < 7 ? "train" : slot < 9 ? (slot === 7 ? "heldout" : "test") : i % 2 ? "heldout" : "test";
      dealt[split].push(first + last);
    });
  });
  return dealt;
}

const PEOPLE = dealNames(
  parts("Or Tam Bren Lud Mar Yss Corv Hest Row Dag Fen Ism Jor Kest Lor Ness Perr Run Sorr Tob"),
  parts("ela asin odo ek olde imir eta any ay una arel ine esa il"),
);
const TOWNS = dealNames(
  parts("Ash Birk Cold Dun East Grey Holm Kettle Lark Mill Nether Oak Red Salt Thorn Umber"),
  parts("well by mere moor wick ford beck den hill thorpe"),
);
const KINGS = dealNames(
  parts("Ald Berg God Har Leof Os Sig Theod Ead"),
  parts("ric ram win bald mund gar bert red"),
);

const pool = (split: Split): Fillers => ({ people: PEOPLE[split], towns: TOWNS[split], kings: KINGS[split] });

export const FILLERS: Record<Split, Fillers> = {
  train: pool("train"),
  heldout: pool("heldout"),
  test: pool("test"),
};
