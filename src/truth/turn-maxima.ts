// One streaming pass: the largest activation of every latent over every assistant turn's region, kept sparse.
//
// Only latents that fired in a region have an entry; silent means 0. For the claimed latents every firing row is kept
// too, because precision and token-level scores ask for it. Each row is encoded once.

import type { Encoder } from "../dictionary/dictionary.ts";
import { encodedRows, type NormaliseInPlace } from "../measure/encoded-rows.ts";
import { ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import type { AssistantTurn } from "./turns.ts";

const BOS = ROLES.indexOf("bos");

/** Compressed by latent: entries [latentStart[j], latentStart[j + 1]) belong to latent j, turns ascending. */
export interface TurnMaxima {
  latentStart: Uint32Array;
  /** Index into the turns. */
  turn: Uint32Array;
  /** Largest activation (code × W) in that turn's region, > 0. */
  maximum: Float32Array;
}

/** Every row in which one latent fired, ascending, BOS excluded. */
export interface Firings {
  rows: Uint32Array;
  activations: Float32Array;
}

export interface TurnPassOptions {
  store: Store;
  encoder: Encoder;
  normalise: NormaliseInPlace;
  nLatents: number;
  /** [nLatents] ‖dBase‖ + ‖dFinetuned‖. */
  activationWeight: Float32Array;
  splits: readonly Split[];
  turns: readonly AssistantTurn[];
  /** Latents whose firing rows are kept. */
  claimed: readonly number[];
  /** Called after each batch with the number of rows done. */
  onRows?: (done: number) => void;
  signal?: AbortSignal;
}

export async function turnPass(
  options: TurnPassOptions,
): Promise<{ maxima: TurnMaxima; firings: Map<number, Firings> }> {
  const { store, nLatents, activationWeight, turns, claimed, onRows } = options;
  const collector = createMaximaCollector(nLatents);
  const [turnOfRow, nextTurnOfRow] = turnsOfRows(store.rows.nRows, turns);
  const lists = new Map(
    claimed.map((latent) => [latent, { rows: [] as number[], activations: [] as number[] }]),
  );
  const listOf = Array.from({ length: nLatents }, (_, latent) => lists.get(latent));
  let done = 0;
  for await (const { nRows, rows, codes } of encodedRows(options)) {
    const { rowStart, latent, code } = codes;
    for (let i = 0; i < nRows; i += 1) {
      const row = rows[i];
      if (store.rows.role[row] === BOS) continue;
      const turn = turnOfRow[row];
      const nextTurn = nextTurnOfRow[row];
      for (let entry = rowStart[i]; entry < rowStart[i + 1]; entry += 1) {
        const j = latent[entry];
        const activation = code[entry] * activationWeight[j];
        if (turn >= 0) collector.add(j, turn, activation);
        if (nextTurn >= 0) collector.add(j, nextTurn, activation);
        const list = listOf[j];
        if (list === undefined) continue;
        list.rows.push(row);
        list.activations.push(activation);
      }
    }
    done += nRows;
    onRows?.(done);
  }
  const firings = new Map<number, Firings>();
  for (const [latent, { rows, activations }] of lists) {
    firings.set(latent, { rows: Uint32Array.from(rows), activations: Float32Array.from(activations) });
  }
  return { maxima: collector.finish(turns.length), firings };
}

/** Turn index of every row, −1 outside; the second array for rows that close one assistant turn and open the next. */
function turnsOfRows(nRows: number, turns: readonly AssistantTurn[]): [Int32Array, Int32Array] {
  const first = new Int32Array(nRows).fill(-1);
  const second = new Int32Array(nRows).fill(-1);
  for (const [index, turn] of turns.entries()) {
    for (const row of turn.rows) {
      if (first[row] < 0) first[row] = index;
      else second[row] = index;
    }
  }
  return [first, second];
}

/** Gathers (latent, turn, activation) in row order; a run of rows of one turn makes one entry. */
function createMaximaCollector(nLatents: number): {
  add(latent: number, turn: number, activation: number): void;
  finish(nTurns: number): TurnMaxima;
} {
  const lastTurn = new Int32Array(nLatents).fill(-1);
  const lastEntry = new Uint32Array(nLatents);
  let capacity = 1 << 16;
  let size = 0;
  let latents = new Uint32Array(capacity);
  let turns = new Uint32Array(capacity);
  let maxima = new Float32Array(capacity);
  const grow = (): void => {
    capacity *= 2;
    const [oldLatents, oldTurns, oldMaxima] = [latents, turns, maxima];
    latents = new Uint32Array(capacity);
    turns = new Uint32Array(capacity);
    maxima = new Float32Array(capacity);
    latents.set(oldLatents);
    turns.set(oldTurns);
    maxima.set(oldMaxima);
  };
  return {
    add(latent, turn, activation) {
      if (lastTurn[latent] === turn) {
        const entry = lastEntry[latent];
        if (activation > maxima[entry]) maxima[entry] = activation;
        return;
      }
      if (size === capacity) grow();
      latents[size] = latent;
      turns[size] = turn;
      maxima[size] = activation;
      lastTurn[latent] = turn;
      lastEntry[latent] = size;
      size += 1;
    },
    finish: (nTurns) =>
      byLatent({
        nLatents,
        nTurns,
        latents: latents.subarray(0, size),
        turns: turns.subarray(0, size),
        maxima: maxima.subarray(0, size),
      }),
  };
}

/** Counting sort by latent; entries of the same turn (rows shared by two turns make them) become their maximum. */
function byLatent(entries: {
  nLatents: number;
  nTurns: number;
  latents: Uint32Array;
  turns: Uint32Array;
  maxima: Float32Array;
}): TurnMaxima {
  const { nLatents, nTurns, latents, turns, maxima } = entries;
  const start = new Uint32Array(nLatents + 1);
  for (const latent of latents) start[latent + 1] += 1;
  for (let latent = 0; latent < nLatents; latent += 1) start[latent + 1] += start[latent];
  const order = new Uint32Array(latents.length);
  const place = start.slice();
  for (let entry = 0; entry < latents.length; entry += 1) order[place[latents[entry]]++] = entry;

  const latentStart = new Uint32Array(nLatents + 1);
  const turn = new Uint32Array(latents.length);
  const maximum = new Float32Array(latents.length);
  const entryOfTurn = new Int32Array(nTurns).fill(-1);
  let size = 0;
  for (let latent = 0; latent < nLatents; latent += 1) {
    const first = size;
    for (let at = start[latent]; at < start[latent + 1]; at += 1) {
      const t = turns[order[at]];
      const value = maxima[order[at]];
      if (entryOfTurn[t] < 0) {
        entryOfTurn[t] = size;
        turn[size] = t;
        maximum[size] = value;
        size += 1;
      } else if (value > maximum[entryOfTurn[t]]) maximum[entryOfTurn[t]] = value;
    }
    for (let entry = first; entry < size; entry += 1) entryOfTurn[turn[entry]] = -1;
    latentStart[latent + 1] = size;
  }
  return { latentStart, turn: turn.slice(0, size), maximum: maximum.slice(0, size) };
}
