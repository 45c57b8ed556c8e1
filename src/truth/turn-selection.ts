// Which latent answers to which concept: chosen with its threshold on heldout turns, scored on test turns.
//
// The same function serves the score and its control (labels permuted across documents), so the control runs through
// every choice that the score makes. The two splits never mix: nothing of `test` is looked at before the choice stands.

import { createRng, keyedPermutation } from "../numerics/rng.ts";
import { auroc, bestF1Threshold, f1AtThreshold, type ScoredItems } from "../numerics/statistics.ts";
import type { Split } from "../store/rows.ts";
import type { TurnMaxima } from "./turn-maxima.ts";
import type { AssistantTurn, TurnLabels } from "./turns.ts";

/** The turns of one split in which a latent fired, strongest first; every other turn has the score 0. */
interface Ranking {
  turns: Uint32Array;
  scores: Float32Array;
}

export interface TurnRankings {
  nTurns: { heldout: number; test: number };
  heldout: Ranking[];
  test: Ranking[];
}

/** Rankings of all latents in both splits. */
export function rankTurns(turns: readonly AssistantTurn[], maxima: TurnMaxima): TurnRankings {
  const ofSplit = (split: Split): Ranking[] =>
    Array.from({ length: maxima.latentStart.length - 1 }, (_, latent) => {
      const entries: number[] = [];
      for (let e = maxima.latentStart[latent]; e < maxima.latentStart[latent + 1]; e += 1) {
        if (turns[maxima.turn[e]].split === split) entries.push(e);
      }
      entries.sort((a, b) => maxima.maximum[b] - maxima.maximum[a] || a - b);
      return {
        turns: Uint32Array.from(entries, (e) => maxima.turn[e]),
        scores: Float32Array.from(entries, (e) => maxima.maximum[e]),
      };
    });
  const count = (split: Split): number => turns.filter((turn) => turn.split === split).length;
  return {
    nTurns: { heldout: count("heldout"), test: count("test") },
    heldout: ofSplit("heldout"),
    test: ofSplit("test"),
  };
}

export interface Choice {
  /** −1: no latent of the pool fires in any turn that shows the concept on heldout. */
  latent: number;
  threshold: number;
  heldoutF1: number;
  testF1: number;
  testAuroc: number;
}

/** What the choice is made from. labels: [turn] of one concept. positives: turns that show it, by split. */
interface Question {
  rankings: TurnRankings;
  labels: Uint8Array;
  positives: { heldout: number; test: number };
}

function items(
  { rankings, labels, positives }: Question,
  split: "heldout" | "test",
  latent: number,
): ScoredItems {
  const { turns, scores } = rankings[split][latent];
  const own = new Uint8Array(turns.length);
  for (let i = 0; i < turns.length; i += 1) own[i] = labels[turns[i]];
  return {
    scores,
    labels: own,
    nPositive: positives[split],
    nNegative: rankings.nTurns[split] - positives[split],
  };
}

/** For each concept the latent of `pool` with the best heldout F1 (of equals the first), scored on test. */
export function chooseLatents(options: {
  rankings: TurnRankings;
  turns: readonly AssistantTurn[];
  labels: TurnLabels;
  pool: readonly number[];
}): Choice[] {
  const { rankings, turns, labels, pool } = options;
  const longest = pool.reduce((most, j) => Math.max(most, rankings.heldout[j].turns.length), 0);
  const inOrder = Uint32Array.from({ length: longest }, (_, i) => i);
  return labels.map((ofConcept): Choice => {
    const positives = { heldout: 0, test: 0 };
    for (const [index, turn] of turns.entries()) {
      if (turn.split !== "train") positives[turn.split] += ofConcept[index];
    }
    const question = { rankings, labels: ofConcept, positives };
    let [latent, threshold, heldoutF1] = [-1, Number.POSITIVE_INFINITY, 0];
    for (const candidate of pool) {
      const list = items(question, "heldout", candidate);
      const best = bestF1Threshold(list, inOrder.subarray(0, list.scores.length));
      if (best.f1 > heldoutF1) [latent, threshold, heldoutF1] = [candidate, best.threshold, best.f1];
    }
    if (latent < 0) return { latent, threshold, heldoutF1, testF1: 0, testAuroc: 0.5 };
    const onTest = items(question, "test", latent);
    return {
      latent,
      threshold,
      heldoutF1,
      testF1: f1AtThreshold(onTest, threshold),
      testAuroc: auroc(onTest),
    };
  });
}

/** Share of choices whose F1 on test reaches the bar; 0 without concepts. */
export function recallAt(choices: readonly Choice[], bar: number): number {
  return choices.length === 0 ? 0 : choices.filter((choice) => choice.testF1 >= bar).length / choices.length;
}

/**
 * Labels exchanged between documents of one split with equally many assistant turns: a document keeps its pattern of
 * turns, but gets it from another document. A pure function of (seed, draw).
 */
export function permuteLabels(options: {
  turns: readonly AssistantTurn[];
  labels: TurnLabels;
  seed: number;
  draw: number;
}): TurnLabels {
  const { turns, labels, seed, draw } = options;
  const ofDocument = new Map<number, number[]>();
  for (const [index, { document }] of turns.entries()) {
    const own = ofDocument.get(document);
    if (own === undefined) ofDocument.set(document, [index]);
    else own.push(index);
  }
  const alike = new Map<string, number[][]>();
  for (const indices of ofDocument.values()) {
    const key = `${turns[indices[0]].split} ${indices.length}`;
    const same = alike.get(key);
    if (same === undefined) alike.set(key, [indices]);
    else same.push(indices);
  }
  const source = new Uint32Array(turns.length);
  for (const [key, documents] of alike) {
    const permutation = keyedPermutation(createRng(seed, `truth.permute.${key}`), draw, documents.length);
    for (const [d, indices] of documents.entries()) {
      const from = documents[permutation(d)];
      for (const [k, index] of indices.entries()) source[index] = from[k];
    }
  }
  return labels.map((ofConcept) => ofConcept.map((_, index) => ofConcept[source[index]]));
}
