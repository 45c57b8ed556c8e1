// The strongest examples of every latent, one a document, kept while the rows stream by in constant memory.
//
// Windows of identical token ids are kept once (the strongest), so that a phrase repeated all over the data does not
// fill the list. Ties go to the earlier document. Not here: the sample of weaker ones (example-sample.ts), and the file
// (examples-file.ts). Memory: nLatents × perLatent × 4 bytes, and the windows kept, at most nLatents × perLatent.
//
// Why parts merge exactly. Order candidates by (activation, then earlier document), a strict order; call the strongest of
// each text its head. The list of a set is its k strongest heads. Take a window x on the list of A ∪ B, seen in A. It is
// the head of its text in A too. Were k heads of A stronger than x, their texts would have heads at least as strong in
// A ∪ B, and x would not be on that list. So x is on the list of A: cutting at k loses nothing. Nor can a text return as
// a weaker copy: if its head was cut from A, k heads of A beat it, hence every copy of it, wherever they come from.
// An offer is the merge of a list with one candidate, so one pass, parts and any order of them end on the same list.

import type { FiringsInDocument } from "./document-codes.ts";
import { type Accumulator, checkSettings } from "./part-arrays.ts";
import {
  addWindow,
  createWindowTable,
  type DocumentTokens,
  type HashedWindow,
  peakIndex,
  readWindow,
  removeWindow,
  takeWindows,
  WINDOW,
  windowAround,
  windowsOfPart,
} from "./window.ts";

export interface TopExamples extends Accumulator {
  /** Offers one latent's firings in one document; a document is offered at most once a latent. */
  offer(latent: number, firings: FiringsInDocument, document: DocumentTokens): void;
  /** Strongest first. */
  ofLatent(latent: number): HashedWindow[];
}

/** Parts: "top.settings" f64 [nLatents, perLatent] and the columns of takeWindows under "top", by latent, strongest first. */
export function createTopExamples(options: { nLatents: number; perLatent: number }): TopExamples {
  const { nLatents, perLatent } = options;
  const settings = [nLatents, perLatent];
  const table = createWindowTable();
  const scratch = new Float32Array(WINDOW);
  const used = new Uint32Array(nLatents);
  /** [nLatents, perLatent] slots of the table. */
  const slots = new Uint32Array(nLatents * perLatent);
  /** The weakest of a full list, zeros while there is room: most candidates are turned away here. */
  const floors = new Float32Array(nLatents);
  const floorDocuments = new Uint32Array(nLatents);

  /** Ascending from the strongest. */
  const compare = (a: number, b: number): number =>
    table.maximum[b] - table.maximum[a] || table.document[a] - table.document[b];

  const beatsFloor = (latent: number, maximum: number, document: number): boolean =>
    maximum > floors[latent] || (maximum === floors[latent] && document < floorDocuments[latent]);

  const raiseFloor = (latent: number): void => {
    if (used[latent] < perLatent) return;
    const first = latent * perLatent;
    let weakest = slots[first];
    for (let at = first + 1; at < first + perLatent; at += 1) {
      if (compare(slots[at], weakest) > 0) weakest = slots[at];
    }
    floors[latent] = table.maximum[weakest];
    floorDocuments[latent] = table.document[weakest];
  };

  /** window: beats the floor. */
  const insert = (latent: number, window: HashedWindow): void => {
    const first = latent * perLatent;
    const end = first + used[latent];
    let place = first;
    for (let at = first; at < end; at += 1) {
      const slot = slots[at];
      if (table.textHash[slot] === window.textHash) {
        const difference = window.maxActivation - table.maximum[slot];
        if (difference < 0 || (difference === 0 && window.document > table.document[slot])) return;
        place = at;
        break;
      }
      if (used[latent] < perLatent) place = end;
      else if (compare(slot, slots[place]) > 0) place = at;
    }
    if (place === end) used[latent] += 1;
    else removeWindow(table, slots[place]);
    slots[place] = addWindow(table, window);
    raiseFloor(latent);
  };

  const sortedSlots = (latent: number): Uint32Array =>
    slots.slice(latent * perLatent, latent * perLatent + used[latent]).sort(compare);

  return {
    offer(latent, firings, document) {
      const peak = peakIndex(firings.activations);
      const maximum = firings.activations[peak];
      if (perLatent === 0 || !beatsFloor(latent, maximum, document.index)) return;
      insert(latent, windowAround({ firings, peak, document, scratch }));
    },
    ofLatent: (latent) => Array.from(sortedSlots(latent), (slot) => readWindow(table, slot)),
    takeArrays() {
      const size = used.reduce((sum, n) => sum + n, 0);
      const order = { latents: new Uint32Array(size), slots: new Uint32Array(size) };
      for (let latent = 0, at = 0; latent < nLatents; at += used[latent], latent += 1) {
        order.latents.fill(latent, at, at + used[latent]);
        order.slots.set(sortedSlots(latent), at);
      }
      used.fill(0);
      floors.fill(0);
      floorDocuments.fill(0);
      return { "top.settings": Float64Array.from(settings), ...takeWindows(table, "top", order) };
    },
    merge(part) {
      checkSettings(part, "top.settings", settings);
      const { n, latent, maximum, document, window } = windowsOfPart(part, "top", nLatents);
      for (let i = 0; i < n; i += 1) {
        if (beatsFloor(latent[i], maximum[i], document[i])) insert(latent[i], window(i));
      }
    },
  };
}
