// The strongest examples of every latent, one a document, kept while the rows stream by in constant memory.
//
// Windows of identical token ids are kept once (the strongest), so that a phrase repeated all over the data does not
// fill the list. Ties go to the earlier document. Not here: the paper's quantile bins, and the file (examples-file.ts).

import type { FiringsInDocument } from "./document-codes.ts";

/** Tokens shown before and after the peak. */
export const WINDOW_RADIUS = 12;
const WINDOW = 2 * WINDOW_RADIUS + 1;

export interface TopExample {
  document: number;
  /** Store row of the strongest token. */
  peakRow: number;
  /** Rows [windowStart, windowEnd) are shown. */
  windowStart: number;
  windowEnd: number;
  maxActivation: number;
  /** [windowEnd − windowStart] activation of each, 0 where silent. */
  activations: Float32Array;
}

export interface TopExamples {
  /** Offers one latent's firings in one document. tokens: token ids by store row. */
  offer(latent: number, firings: FiringsInDocument, document: DocumentRows): void;
  /** Strongest first. */
  ofLatent(latent: number): TopExample[];
}

export interface DocumentRows {
  index: number;
  rowStart: number;
  rowEnd: number;
}

export function createTopExamples(options: {
  nLatents: number;
  perLatent: number;
  /** Token id of every store row. */
  tokens: Uint32Array;
}): TopExamples {
  const { nLatents, perLatent, tokens } = options;
  const nSlots = nLatents * perLatent;
  const used = new Uint32Array(nLatents);
  const documents = new Uint32Array(nSlots);
  const peakRows = new Uint32Array(nSlots);
  const windowStarts = new Uint32Array(nSlots);
  const windowEnds = new Uint32Array(nSlots);
  const windowHashes = new Uint32Array(nSlots);
  const maxima = new Float32Array(nSlots);
  /** Weakest maximum of a full list, −1 while there is room: most candidates are turned away here. */
  const floors = new Float32Array(nLatents).fill(-1);
  const windows = new Float32Array(nSlots * WINDOW);

  const isWeaker = (a: number, b: number): boolean =>
    maxima[a] < maxima[b] || (maxima[a] === maxima[b] && documents[a] > documents[b]);

  /** Slot to write to, or −1 when the candidate does not make the list. */
  const slotFor = (latent: number, maximum: number, hash: number): number => {
    const first = latent * perLatent;
    let weakest = first;
    for (let slot = first; slot < first + used[latent]; slot += 1) {
      if (windowHashes[slot] === hash) return maximum > maxima[slot] ? slot : -1;
      if (isWeaker(slot, weakest)) weakest = slot;
    }
    if (used[latent] < perLatent) return first + used[latent]++;
    return weakest;
  };

  const raiseFloor = (latent: number): void => {
    if (used[latent] < perLatent) return;
    const first = latent * perLatent;
    let floor = Number.POSITIVE_INFINITY;
    for (let slot = first; slot < first + perLatent; slot += 1) floor = Math.min(floor, maxima[slot]);
    floors[latent] = floor;
  };

  return {
    offer(latent, { rows, activations }, document) {
      let peak = 0;
      for (let i = 1; i < activations.length; i += 1) if (activations[i] > activations[peak]) peak = i;
      const maximum = activations[peak];
      if (perLatent === 0 || maximum <= floors[latent]) return;
      const peakRow = rows[peak];
      const windowStart = Math.max(document.rowStart, peakRow - WINDOW_RADIUS);
      const windowEnd = Math.min(document.rowEnd, peakRow + WINDOW_RADIUS + 1);
      const hash = hashTokens(tokens, windowStart, windowEnd);
      const slot = slotFor(latent, maximum, hash);
      if (slot < 0) return;
      documents[slot] = document.index;
      peakRows[slot] = peakRow;
      windowStarts[slot] = windowStart;
      windowEnds[slot] = windowEnd;
      windowHashes[slot] = hash;
      maxima[slot] = maximum;
      windows.fill(0, slot * WINDOW, (slot + 1) * WINDOW);
      for (let i = 0; i < rows.length; i += 1) {
        if (rows[i] < windowStart || rows[i] >= windowEnd) continue;
        windows[slot * WINDOW + rows[i] - windowStart] = activations[i];
      }
      raiseFloor(latent);
    },
    ofLatent(latent) {
      const slots = Array.from({ length: used[latent] }, (_, i) => latent * perLatent + i);
      slots.sort((a, b) => (isWeaker(a, b) ? 1 : -1));
      return slots.map((slot) => ({
        document: documents[slot],
        peakRow: peakRows[slot],
        windowStart: windowStarts[slot],
        windowEnd: windowEnds[slot],
        maxActivation: maxima[slot],
        activations: windows.slice(slot * WINDOW, slot * WINDOW + windowEnds[slot] - windowStarts[slot]),
      }));
    },
  };
}

/** FNV-1a over token ids; two windows that collide by chance (2⁻³²) would be taken for one. */
function hashTokens(tokens: Uint32Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let row = start; row < end; row += 1) hash = Math.imul(hash ^ tokens[row], 0x01000193) >>> 0;
  return hash;
}
