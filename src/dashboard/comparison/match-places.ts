// Latents of two dictionaries matched by where they fire: the Jaccard index of the tokens at which their stored examples peak, mutual nearest.
//
// A place is a token of a document. Only what examples.sqlite keeps is looked at: some tens of examples a latent, the strongest first, one a document.
// So it is a hint and no measure of firing: two latents that fire on the same rows with other strengths may share few. It needs no common space.
// match-places-reference.ts is the readable twin.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline/promises";
import { setImmediate } from "node:timers/promises";
import { throwIfInterrupted } from "../../errors.ts";
import { openDatabase } from "../../formats/sqlite.ts";
import type { DocumentRecord } from "../../store/rows.ts";
import {
  emptyMatches,
  type MatchedDictionary,
  type Matches,
  type MatchResult,
  type MatchRun,
} from "./match-contract.ts";

export const PLACE_LIMITS = {
  /** Examples, documents or comparisons between turns of the event loop. */
  turn: 100_000,
} as const;

/** Peaks of all latents; those of latent j are places[starts[j] … starts[j + 1]), ascending and distinct. */
export interface LatentPlaces {
  nLatents: number;
  /** [nLatents + 1]. */
  starts: Float64Array;
  /** Equal numbers: the same token of the same document. */
  places: Float64Array;
}

/** Throws FormatError or StorageError from the files, InterruptedError. */
export async function matchPlaces({
  a,
  b,
  ...run
}: MatchRun & { a: MatchedDictionary; b: MatchedDictionary }): Promise<MatchResult> {
  const [ofA, ofB] = await readPlaces(a, b, run);
  return matchPlaceLists({
    ...run,
    a: { places: ofA, latents: a.asked.latents },
    b: { places: ofB, latents: b.asked.latents },
  });
}

/** The matching itself, of places in memory. */
export async function matchPlaceLists({
  a,
  b,
  ...run
}: MatchRun & Record<"a" | "b", { places: LatentPlaces; latents: Uint32Array }>): Promise<MatchResult> {
  const nearestA = await nearestByPlace(a.places, b.places, run);
  const nearestB = await nearestByPlace(b.places, a.places, run);
  return {
    a: matchesOf(a.latents, a.places, nearestA, nearestB),
    b: matchesOf(b.latents, b.places, nearestB, nearestA),
  };
}

/** [nLatents] each. */
interface NearestPlaces {
  /** −1: shares no place with any. */
  partner: Int32Array;
  jaccard: Float64Array;
  shared: Uint32Array;
}

function matchesOf(
  latents: Uint32Array,
  { starts }: LatentPlaces,
  nearest: NearestPlaces,
  back: NearestPlaces,
): Matches {
  const matches = emptyMatches(latents);
  matches.shared = new Uint32Array(latents.length);
  latents.forEach((latent, i) => {
    const partner = nearest.partner[latent];
    matches.partner[i] = partner;
    // A latent without examples never fired: there is nothing to compare.
    matches.compared[i] = starts[latent + 1] > starts[latent] ? 1 : 0;
    matches.mutual[i] = partner >= 0 && back.partner[partner] === latent ? 1 : 0;
    if (partner >= 0) matches.score[i] = nearest.jaccard[latent];
    matches.shared[i] = nearest.shared[latent];
  });
  return matches;
}

/** Greatest Jaccard index, then the lower latent. */
async function nearestByPlace(
  from: LatentPlaces,
  among: LatentPlaces,
  { signal, report }: MatchRun,
): Promise<NearestPlaces> {
  const byPlace = latentsByPlace(among);
  const nearest: NearestPlaces = {
    partner: new Int32Array(from.nLatents).fill(-1),
    jaccard: new Float64Array(from.nLatents),
    shared: new Uint32Array(from.nLatents),
  };
  const counts = new Uint32Array(among.nLatents);
  const touched: number[] = [];
  let looked = 0;
  for (let latent = 0; latent < from.nLatents; latent += 1) {
    const [start, end] = [from.starts[latent], from.starts[latent + 1]];
    for (let i = start; i < end; i += 1) {
      const place = from.places[i];
      for (let at = firstAt(byPlace.places, place); byPlace.places[at] === place; at += 1) {
        const other = byPlace.latents[at];
        if (counts[other] === 0) touched.push(other);
        counts[other] += 1;
        looked += 1;
      }
    }
    for (const other of touched) {
      const shared = counts[other];
      const jaccard = shared / (end - start + among.starts[other + 1] - among.starts[other] - shared);
      const most = nearest.jaccard[latent];
      if (jaccard > most || (jaccard === most && other < nearest.partner[latent])) {
        nearest.partner[latent] = other;
        nearest.jaccard[latent] = jaccard;
        nearest.shared[latent] = shared;
      }
      counts[other] = 0;
    }
    looked += touched.length;
    touched.length = 0;
    if (looked < PLACE_LIMITS.turn) continue;
    looked = 0;
    throwIfInterrupted(signal);
    report?.("latents with peaks in common", latent + 1, from.nLatents);
    await setImmediate();
  }
  return nearest;
}

/** Every place of every latent, by place and then by latent. */
function latentsByPlace({ nLatents, starts, places }: LatentPlaces): {
  places: Float64Array;
  latents: Uint32Array;
} {
  const owner = new Uint32Array(places.length);
  for (let latent = 0; latent < nLatents; latent += 1) owner.fill(latent, starts[latent], starts[latent + 1]);
  const order = Uint32Array.from(places.keys()).sort((i, k) => places[i] - places[k] || owner[i] - owner[k]);
  return {
    places: Float64Array.from(order, (i) => places[i]),
    latents: Uint32Array.from(order, (i) => owner[i]),
  };
}

/** Index of the first of ascending values that is not below `value`. */
function firstAt(values: Float64Array, value: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface PeakList {
  latents: Uint32Array;
  documents: Uint32Array;
  rows: Float64Array;
}

/** Both in the rows of a's store; documents that a's examples do not have keep numbers of their own. */
async function readPlaces(
  a: MatchedDictionary,
  b: MatchedDictionary,
  run: MatchRun,
): Promise<[LatentPlaces, LatentPlaces]> {
  const [ofA, ofB] = [await readPeaks(a.examplesPath, run), await readPeaks(b.examplesPath, run)];
  if (a.documentsPath !== null && b.documentsPath !== null) {
    const mine = await readDocuments(a.documentsPath, ofA.documents, run);
    const theirs = await readDocuments(b.documentsPath, ofB.documents, run);
    const startOf = new Map([...mine.values()].map(({ id, start, size }) => [`${size} ${id}`, start]));
    ofB.rows.forEach((row, i) => {
      const document = theirs.get(ofB.documents[i]);
      const start = document && startOf.get(`${document.size} ${document.id}`);
      // Negative: no row of a's.
      ofB.rows[i] = start === undefined || document === undefined ? -1 - row : start + row - document.start;
    });
  }
  return [placesOf(ofA, a.nLatents), placesOf(ofB, b.nLatents)];
}

async function readPeaks(path: string, { signal, report }: MatchRun): Promise<PeakList> {
  const database = openDatabase(path, { readOnly: true });
  try {
    const { n } = database.prepare("SELECT count(*) AS n FROM examples").get() as { n: number };
    const list: PeakList = {
      latents: new Uint32Array(n),
      documents: new Uint32Array(n),
      rows: new Float64Array(n),
    };
    const select = database.prepare(
      "SELECT latent, document, row_start + peak AS peak FROM examples ORDER BY latent LIMIT ?",
    );
    let i = 0;
    for (const row of select.iterate(n)) {
      list.latents[i] = row.latent as number;
      list.documents[i] = row.document as number;
      list.rows[i] = row.peak as number;
      i += 1;
      if (i % PLACE_LIMITS.turn !== 0) continue;
      throwIfInterrupted(signal);
      report?.("the peaks of the examples", i, n);
      await setImmediate();
    }
    return list;
  } finally {
    database.close();
  }
}

/** Latents outside the dictionary, which a damaged file may hold, are left out. */
function placesOf({ latents, rows }: PeakList, nLatents: number): LatentPlaces {
  const starts = new Float64Array(nLatents + 1);
  const places = new Float64Array(rows.length);
  let at = 0;
  for (let i = 0, latent = 0; latent < nLatents; latent += 1) {
    starts[latent] = at;
    const from = i;
    while (i < rows.length && latents[i] === latent) i += 1;
    const own = rows.slice(from, i).sort();
    own.forEach((place, k) => {
      if (k > 0 && own[k - 1] === place) return;
      places[at] = place;
      at += 1;
    });
  }
  starts[nLatents] = at;
  return { nLatents, starts, places: places.subarray(0, at) };
}

/** By index: id, first row and number of rows of the documents that occur. */
async function readDocuments(
  path: string,
  occurring: Uint32Array,
  { signal, report }: MatchRun,
): Promise<Map<number, { id: string; start: number; size: number }>> {
  const wanted = new Set(occurring);
  const documents = new Map<number, { id: string; start: number; size: number }>();
  const lines = createInterface({ input: createReadStream(path) });
  let looked = 0;
  for await (const line of lines) {
    looked += 1;
    if (looked % 1000 === 0) {
      throwIfInterrupted(signal);
      report?.("the documents of the store", documents.size, wanted.size);
    }
    const { index, id, rowStart, rowEnd } = JSON.parse(line) as DocumentRecord;
    if (wanted.has(index)) documents.set(index, { id, start: rowStart, size: rowEnd - rowStart });
    if (documents.size === wanted.size) break;
  }
  lines.close();
  return documents;
}
