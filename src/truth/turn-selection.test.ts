import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { f1Score } from "../numerics/statistics.ts";
import type { TurnMaxima } from "./turn-maxima.ts";
import { chooseLatents, permuteLabels, rankTurns, recallAt } from "./turn-selection.ts";
import type { AssistantTurn } from "./turns.ts";

/** Turns of one-turn documents; the first half heldout. */
function makeTurns(n: number): AssistantTurn[] {
  return Array.from({ length: n }, (_, i) => ({
    document: i,
    turn: 1,
    split: i < n / 2 ? ("heldout" as const) : ("test" as const),
    rows: Uint32Array.of(i),
  }));
}

/** scores[latent][turn], 0 where silent, to the sparse form. */
function sparse(scores: number[][]): TurnMaxima {
  const entries = scores.flatMap((row, latent) =>
    row.flatMap((value, turn) => (value > 0 ? [{ latent, turn, value }] : [])),
  );
  return {
    latentStart: Uint32Array.from(
      { length: scores.length + 1 },
      (_, j) => entries.filter((entry) => entry.latent < j).length,
    ),
    turn: Uint32Array.from(entries, (entry) => entry.turn),
    maximum: Float32Array.from(entries, (entry) => entry.value),
  };
}

describe("choosing a latent", () => {
  test("equals trying every latent and every threshold on the heldout half", () => {
    const cell = fc.integer({ min: 0, max: 4 });
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { minLength: 12, maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 12, maxLength: 12 }),
        (scores, labels) => {
          const turns = makeTurns(12);
          const [choice] = chooseLatents({
            rankings: rankTurns(turns, sparse(scores)),
            turns,
            labels: [Uint8Array.from(labels)],
            pool: scores.map((_, j) => j),
          });
          const f1 = (latent: number, threshold: number, from: number, to: number): number => {
            const predicted = scores[latent].slice(from, to).map((value) => value > threshold);
            const actual = labels.slice(from, to);
            const hits = predicted.filter((is, i) => is && actual[i] === 1).length;
            return f1Score(
              hits,
              predicted.filter(Boolean).length,
              actual.reduce((sum, label) => sum + label, 0),
            );
          };
          const best = Math.max(
            ...scores.flatMap((_, j) => [0.5, 1.5, 2.5, 3.5].map((threshold) => f1(j, threshold, 0, 6))),
          );
          expect(choice.heldoutF1).toBeCloseTo(best, 12);
          if (choice.latent >= 0) {
            expect(choice.testF1).toBeCloseTo(f1(choice.latent, choice.threshold, 6, 12), 12);
          }
        },
      ),
    );
  });

  test("a latent chosen on heldout that fails on test is not exchanged for one that would do", () => {
    const turns = makeTurns(8);
    const labels = [Uint8Array.from([1, 1, 0, 0, 1, 1, 0, 0])];
    const scores = [
      [5, 5, 0, 0, 0, 0, 5, 5], // perfect on heldout, wrong on test
      [5, 0, 0, 0, 5, 5, 0, 0], // worse on heldout, perfect on test
    ];
    const [choice] = chooseLatents({
      rankings: rankTurns(turns, sparse(scores)),
      turns,
      labels,
      pool: [0, 1],
    });
    expect([choice.latent, choice.heldoutF1, choice.testF1, choice.testAuroc]).toEqual([0, 1, 0, 0]);
    expect(recallAt([choice], 0.7)).toBe(0);
  });

  test("changing test scores or test labels cannot change the choice", () => {
    const turns = makeTurns(8);
    const choose = (testScore: number, testLabel: number) =>
      chooseLatents({
        rankings: rankTurns(turns, sparse([[3, 2, 0, 1, testScore, testScore, 0, 0]])),
        turns,
        labels: [Uint8Array.from([1, 1, 0, 0, testLabel, 0, 0, 1])],
        pool: [0],
      })[0];
    for (const other of [choose(9, 0), choose(0, 1)]) {
      expect([other.latent, other.threshold]).toEqual([choose(1, 1).latent, choose(1, 1).threshold]);
    }
  });

  test("without a latent that fires for it, a concept has none", () => {
    const turns = makeTurns(4);
    const labels = [Uint8Array.from([1, 0, 1, 0])];
    const rankings = rankTurns(turns, sparse([[0, 3, 0, 3]]));
    const none = { latent: -1, testF1: 0, testAuroc: 0.5 };
    expect(chooseLatents({ rankings, turns, labels, pool: [0] })[0]).toMatchObject(none);
    expect(chooseLatents({ rankings, turns, labels, pool: [] })[0]).toMatchObject(none);
  });
});

describe("permuted labels", () => {
  const turns = Array.from({ length: 60 }, (_, i): AssistantTurn => {
    // documents 0–19 have two turns each, the rest one
    const document = i < 40 ? Math.floor(i / 2) : i - 20;
    return {
      document,
      turn: i < 40 ? 1 + 2 * (i % 2) : 1,
      split: document % 2 === 0 ? "heldout" : "test",
      rows: Uint32Array.of(i),
    };
  });
  const labels = [
    Uint8Array.from(turns, (_, i) => (i % 4 === 0 ? 1 : 0)),
    Uint8Array.from(turns, (_, i) => i % 2),
  ];
  const permuted = permuteLabels({ turns, labels, seed: 5, draw: 0 });

  test("move between documents of one split and one length, whole pattern by whole pattern", () => {
    const patterns = (of: Uint8Array[], split: string, length: number): string[] => {
      const byDocument = new Map<number, string>();
      turns.forEach((turn, i) => {
        if (turn.split !== split) return;
        const own = of.map((ofConcept) => ofConcept[i]).join("");
        byDocument.set(turn.document, `${byDocument.get(turn.document) ?? ""}${own} `);
      });
      return [...byDocument.values()].filter((pattern) => pattern.length === length * 3).sort();
    };
    for (const split of ["heldout", "test"]) {
      for (const length of [1, 2]) {
        expect(patterns(permuted, split, length)).toEqual(patterns(labels, split, length));
      }
    }
    expect(permuted).not.toEqual(labels);
  });

  test("are a function of seed and draw", () => {
    expect(permuteLabels({ turns, labels, seed: 5, draw: 0 })).toEqual(permuted);
    expect(permuteLabels({ turns, labels, seed: 5, draw: 1 })).not.toEqual(permuted);
    expect(permuteLabels({ turns, labels, seed: 6, draw: 0 })).not.toEqual(permuted);
  });
});
