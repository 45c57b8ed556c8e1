// One stretch of text around a document's strongest token, and a table that keeps many of them in little memory.
//
// top-examples.ts and example-sample.ts decide which windows to keep; here is what a window holds, how it is made from a
// document's firings, kept, and written into a part. A latent is silent on most tokens of a window, so a bit mask and
// the activations of the tokens that fired are kept: about 40 bytes and 4 a firing. Memory: what is held, and at most
// as much again.

import { FormatError, ShapeError } from "../errors.ts";
import type { FiringsInDocument } from "./document-codes.ts";
import { enlarge, type PartArrays, partArray, partLatents } from "./part-arrays.ts";

/** Tokens shown before and after the peak. */
export const WINDOW_RADIUS = 12;
/** Tokens of a whole window. */
export const WINDOW = 2 * WINDOW_RADIUS + 1;
const FIRST_SLOTS = 64;

/** Where a document lies in the store, and its token ids: [rowEnd − rowStart], entry 0 is row rowStart. */
export interface DocumentTokens {
  index: number;
  rowStart: number;
  rowEnd: number;
  tokens: Uint32Array;
}

export interface ExampleWindow {
  document: number;
  /** Store row of the strongest token, the first of equal ones. */
  peakRow: number;
  /** Rows [windowStart, windowEnd) are shown: WINDOW_RADIUS to each side of the peak, within the document. */
  windowStart: number;
  windowEnd: number;
  /** The document's largest activation of this latent. */
  maxActivation: number;
  /** [windowEnd − windowStart] activation of each, 0 where silent. */
  activations: Float32Array;
}

export interface HashedWindow extends ExampleWindow {
  /** Of the window's token ids, 53 bits: windows of equal hash are taken for the same text. */
  textHash: number;
}

/** Index of the largest activation, the first of equal ones. activations: not empty. */
export function peakIndex(activations: Float32Array): number {
  let peak = 0;
  for (let i = 1; i < activations.length; i += 1) if (activations[i] > activations[peak]) peak = i;
  return peak;
}

/** The window around firings[peak]. Throws ShapeError when the document's token ids do not match its rows. */
export function windowAround(options: {
  firings: FiringsInDocument;
  peak: number;
  document: DocumentTokens;
  /** At least WINDOW long, reused for the result's activations: they are valid until its next use. Default: new. */
  scratch?: Float32Array;
}): HashedWindow {
  const { firings, peak, document, scratch } = options;
  const { index, rowStart, rowEnd, tokens } = document;
  const { rows, activations } = firings;
  const peakRow = rows[peak];
  const windowStart = Math.max(rowStart, peakRow - WINDOW_RADIUS);
  const windowEnd = Math.min(rowEnd, peakRow + WINDOW_RADIUS + 1);
  if (tokens.length !== rowEnd - rowStart) {
    throw new ShapeError(
      `document ${index}: expected ${rowEnd - rowStart} token ids, one a row, got ${tokens.length}`,
    );
  }
  const length = windowEnd - windowStart;
  const shown = scratch?.subarray(0, length).fill(0) ?? new Float32Array(length);
  for (let i = 0; i < rows.length; i += 1) {
    if (rows[i] >= windowStart && rows[i] < windowEnd) shown[rows[i] - windowStart] = activations[i];
  }
  return {
    document: index,
    peakRow,
    windowStart,
    windowEnd,
    maxActivation: activations[peak],
    activations: shown,
    textHash: hashTokens(tokens, windowStart - rowStart, windowEnd - rowStart),
  };
}

/** Two FNV-1a lanes of 32 and 21 bits; two texts of a latent meet by chance with probability 10^-16. */
function hashTokens(tokens: Uint32Array, start: number, end: number): number {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = start; i < end; i += 1) {
    low = Math.imul(low ^ tokens[i], 0x01000193);
    high = Math.imul(high ^ (high >>> 15) ^ tokens[i], 0x85ebca6b);
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

/** Columns by slot; a slot is free when its mask is 0 (the peak itself always fired). */
export interface WindowTable {
  document: Uint32Array;
  peakRow: Uint32Array;
  windowStart: Uint32Array;
  length: Uint8Array;
  maximum: Float32Array;
  textHash: Float64Array;
  /** Bit i: token i of the window fired. */
  mask: Uint32Array;
  /** Where its activations begin in `values`, one for each bit of the mask, ascending. */
  valuesAt: Uint32Array;
  values: Float32Array;
  /** Slots ever used; those of them that are free again. */
  nSlots: number;
  free: number[];
  /** Entries of `values` in use by windows, and the end of what was written. */
  nLive: number;
  nWritten: number;
}

export function createWindowTable(): WindowTable {
  return {
    document: new Uint32Array(FIRST_SLOTS),
    peakRow: new Uint32Array(FIRST_SLOTS),
    windowStart: new Uint32Array(FIRST_SLOTS),
    length: new Uint8Array(FIRST_SLOTS),
    maximum: new Float32Array(FIRST_SLOTS),
    textHash: new Float64Array(FIRST_SLOTS),
    mask: new Uint32Array(FIRST_SLOTS),
    valuesAt: new Uint32Array(FIRST_SLOTS),
    values: new Float32Array(4 * FIRST_SLOTS),
    nSlots: 0,
    free: [],
    nLive: 0,
    nWritten: 0,
  };
}

/** Copies a window in and returns its slot. */
export function addWindow(table: WindowTable, window: HashedWindow): number {
  const slot = table.free.pop() ?? newSlot(table);
  const { activations } = window;
  let mask = 0;
  let nFired = 0;
  for (let i = 0; i < activations.length; i += 1) {
    if (activations[i] === 0) continue;
    mask |= 1 << i;
    nFired += 1;
  }
  makeRoom(table, nFired);
  table.document[slot] = window.document;
  table.peakRow[slot] = window.peakRow;
  table.windowStart[slot] = window.windowStart;
  table.length[slot] = activations.length;
  table.maximum[slot] = window.maxActivation;
  table.textHash[slot] = window.textHash;
  table.mask[slot] = mask;
  table.valuesAt[slot] = table.nWritten;
  for (let i = 0; i < activations.length; i += 1) {
    if (activations[i] !== 0) table.values[table.nWritten++] = activations[i];
  }
  table.nLive += nFired;
  return slot;
}

export function removeWindow(table: WindowTable, slot: number): void {
  table.nLive -= bitCount(table.mask[slot]);
  table.mask[slot] = 0;
  table.free.push(slot);
}

/** A copy of the window in a slot. */
export function readWindow(table: WindowTable, slot: number): HashedWindow {
  return {
    document: table.document[slot],
    peakRow: table.peakRow[slot],
    windowStart: table.windowStart[slot],
    windowEnd: table.windowStart[slot] + table.length[slot],
    maxActivation: table.maximum[slot],
    activations: spread(table.mask[slot], table.values, table.valuesAt[slot], table.length[slot]),
    textHash: table.textHash[slot],
  };
}

/**
 * Writes the windows of `slots` in that order and empties the table. latents: the latent of each.
 *
 * PREFIX.latent, .document, .peakRow, .windowStart u32, .length u8, .maximum f32, .textHash f64, .mask u32, one entry a
 * window; PREFIX.values f32, the activations of all of them, one behind the other.
 */
export function takeWindows(
  table: WindowTable,
  prefix: string,
  { latents, slots }: { latents: Uint32Array; slots: Uint32Array },
): PartArrays {
  const values = new Float32Array(table.nLive);
  let written = 0;
  for (const slot of slots) {
    const from = table.valuesAt[slot];
    const n = bitCount(table.mask[slot]);
    values.set(table.values.subarray(from, from + n), written);
    written += n;
  }
  const part: PartArrays = {
    [`${prefix}.latent`]: latents,
    [`${prefix}.document`]: slots.map((slot) => table.document[slot]),
    [`${prefix}.peakRow`]: slots.map((slot) => table.peakRow[slot]),
    [`${prefix}.windowStart`]: slots.map((slot) => table.windowStart[slot]),
    [`${prefix}.length`]: Uint8Array.from(slots, (slot) => table.length[slot]),
    [`${prefix}.maximum`]: Float32Array.from(slots, (slot) => table.maximum[slot]),
    [`${prefix}.textHash`]: Float64Array.from(slots, (slot) => table.textHash[slot]),
    [`${prefix}.mask`]: slots.map((slot) => table.mask[slot]),
    [`${prefix}.values`]: values,
  };
  table.mask.fill(0, 0, table.nSlots);
  table.nSlots = 0;
  table.free.length = 0;
  table.nLive = 0;
  table.nWritten = 0;
  return part;
}

/** The windows of a part, read one by one, so that those a list turns away are never built. */
export interface PartWindows {
  n: number;
  /** By window: [n] each. */
  latent: Uint32Array;
  document: Uint32Array;
  maximum: Float32Array;
  window(i: number): HashedWindow;
}

/** What takeWindows wrote. Throws FormatError when its arrays do not fit together. */
export function windowsOfPart(part: PartArrays, prefix: string, nLatents: number): PartWindows {
  const latent = partLatents(part, `${prefix}.latent`, nLatents);
  const n = latent.length;
  const u32 = (column: string) => partArray(part, `${prefix}.${column}`, Uint32Array, n);
  const [document, peakRow, windowStart, mask] = ["document", "peakRow", "windowStart", "mask"].map(u32);
  const length = partArray(part, `${prefix}.length`, Uint8Array, n);
  const maximum = partArray(part, `${prefix}.maximum`, Float32Array, n);
  const textHash = partArray(part, `${prefix}.textHash`, Float64Array, n);
  const valuesAt = new Uint32Array(n);
  let nValues = 0;
  for (let i = 0; i < n; i += 1) {
    if (length[i] > WINDOW || mask[i] === 0 || mask[i] >= 2 ** length[i]) {
      throw new FormatError(
        `part: expected ${prefix}.length[${i}] of 1 to ${WINDOW} and a mask that fits, got ${length[i]} and ${mask[i]}`,
        { hint: "the part file is damaged: measure again" },
      );
    }
    valuesAt[i] = nValues;
    nValues += bitCount(mask[i]);
  }
  const values = partArray(part, `${prefix}.values`, Float32Array, nValues);
  return {
    n,
    latent,
    document,
    maximum,
    window: (i) => ({
      document: document[i],
      peakRow: peakRow[i],
      windowStart: windowStart[i],
      windowEnd: windowStart[i] + length[i],
      maxActivation: maximum[i],
      activations: spread(mask[i], values, valuesAt[i], length[i]),
      textHash: textHash[i],
    }),
  };
}

function newSlot(table: WindowTable): number {
  const slot = table.nSlots;
  if (slot === table.document.length) {
    const longer = 2 * slot;
    table.document = enlarge(table.document, longer);
    table.peakRow = enlarge(table.peakRow, longer);
    table.windowStart = enlarge(table.windowStart, longer);
    table.length = enlarge(table.length, longer);
    table.maximum = enlarge(table.maximum, longer);
    table.textHash = enlarge(table.textHash, longer);
    table.mask = enlarge(table.mask, longer);
    table.valuesAt = enlarge(table.valuesAt, longer);
  }
  table.nSlots += 1;
  return slot;
}

/** Room for n more values: what removed windows left behind is closed up, and doubled when more than half is in use. */
function makeRoom(table: WindowTable, n: number): void {
  if (table.nWritten + n <= table.values.length) return;
  const old = table.values;
  const isCrowded = 2 * (table.nLive + n) > old.length;
  table.values = new Float32Array(isCrowded ? 2 * old.length : old.length);
  table.nWritten = 0;
  for (let slot = 0; slot < table.nSlots; slot += 1) {
    if (table.mask[slot] === 0) continue;
    const from = table.valuesAt[slot];
    const kept = old.subarray(from, from + bitCount(table.mask[slot]));
    table.values.set(kept, table.nWritten);
    table.valuesAt[slot] = table.nWritten;
    table.nWritten += kept.length;
  }
}

/** [length] the values at the bits of the mask, 0 elsewhere. */
function spread(mask: number, values: Float32Array, from: number, length: number): Float32Array {
  const activations = new Float32Array(length);
  for (let i = 0, at = from; i < length; i += 1) if ((mask >>> i) & 1) activations[i] = values[at++];
  return activations;
}

function bitCount(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n += 1;
  return n;
}
