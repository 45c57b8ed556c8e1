import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MismatchError } from "../errors.ts";
import { createDocumentCodes } from "./document-codes.ts";
import { createTopExamples, type TopExamples } from "./top-examples.ts";
import { type DocumentTokens, WINDOW_RADIUS } from "./window.ts";

const firings = (entries: [row: number, activation: number][]) => ({
  rows: Uint32Array.from(entries, ([row]) => row),
  activations: Float32Array.from(entries, ([, activation]) => activation),
});
const LENGTH = 100;
/** Unless given, every row has its own token, so that no two windows are alike. */
const document = (index: number, tokens?: Uint32Array): DocumentTokens => {
  const rowStart = index * LENGTH;
  const own = Uint32Array.from({ length: LENGTH }, (_, i) => rowStart + i);
  return { index, rowStart, rowEnd: rowStart + LENGTH, tokens: tokens ?? own };
};

describe("top examples", () => {
  test("keep the strongest documents in order, equal to sorting them all", () => {
    const top = createTopExamples({ nLatents: 2, perLatent: 5 });
    const maxima = Array.from({ length: 40 }, (_, d) => ((d * 17) % 41) + 1);
    for (const [d, maximum] of maxima.entries()) {
      const row = d * LENGTH + 30;
      top.offer(
        1,
        firings([
          [row, maximum / 2],
          [row + 3, maximum],
        ]),
        document(d),
      );
    }
    const expected = maxima
      .map((maximum, d) => ({ maximum, d }))
      .sort((a, b) => b.maximum - a.maximum || a.d - b.d)
      .slice(0, 5);
    expect(top.ofLatent(1).map((e) => [e.maxActivation, e.document])).toEqual(
      expected.map((e) => [e.maximum, e.d]),
    );
    expect(top.ofLatent(0)).toEqual([]);
  });

  test("of equal maxima the earlier documents stay", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 2 });
    for (let d = 0; d < 4; d += 1) top.offer(0, firings([[d * LENGTH + 50, 7]]), document(d));
    expect(top.ofLatent(0).map((example) => example.document)).toEqual([0, 1]);
  });

  test("the window reaches 12 tokens to each side, stops at the document and holds every firing in it", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 2 });
    top.offer(
      0,
      firings([
        [103, 5],
        [115, 1],
        [116, 2],
      ]),
      document(1),
    );
    const [example] = top.ofLatent(0);
    expect(example.windowStart).toBe(100);
    expect(example.windowEnd).toBe(103 + WINDOW_RADIUS + 1);
    expect(example.peakRow).toBe(103);
    const expected = new Float32Array(16);
    expected[3] = 5;
    expected[15] = 1;
    expect(example.activations).toEqual(expected);
  });

  test("windows of the same tokens are kept once, as the strongest", () => {
    const alike = Uint32Array.from({ length: LENGTH }, (_, i) => i);
    const top = createTopExamples({ nLatents: 1, perLatent: 3 });
    for (const [d, maximum] of [4, 9, 6].entries()) {
      top.offer(0, firings([[d * LENGTH + 50, maximum]]), document(d, alike));
    }
    top.offer(0, firings([[3 * LENGTH + 60, 1]]), document(3, alike));
    expect(top.ofLatent(0).map((e) => [e.document, e.maxActivation])).toEqual([
      [1, 9],
      [3, 1],
    ]);
  });

  test("a stronger document takes the place of a weaker one and leaves nothing of it behind", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 1 });
    top.offer(
      0,
      firings([
        [50, 2],
        [52, 1],
      ]),
      document(0),
    );
    top.offer(0, firings([[150, 3]]), document(1));
    const [example] = top.ofLatent(0);
    expect(Array.from(example.activations.entries()).filter(([, value]) => value !== 0)).toEqual([
      [WINDOW_RADIUS, 3],
    ]);
  });

  test("asking for none keeps none", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 0 });
    top.offer(0, firings([[50, 1]]), document(0));
    expect(top.ofLatent(0)).toEqual([]);
  });
});

/** A document of four tokens in which one fired; few texts and few maxima, so that both often coincide. */
interface Candidate {
  latent: number;
  maximum: number;
  text: number;
  group: number;
}
const candidates = fc.array(
  fc.record({
    latent: fc.integer({ min: 0, max: 1 }),
    maximum: fc.integer({ min: 1, max: 6 }),
    text: fc.integer({ min: 0, max: 5 }),
    group: fc.integer({ min: 0, max: 3 }),
  }),
  { maxLength: 60 },
);
const offerTo = (top: TopExamples, { latent, maximum, text }: Candidate, index: number): void => {
  const rowStart = 4 * index;
  const tokens = Uint32Array.of(9, 9, text, 9);
  top.offer(latent, firings([[rowStart + 1, maximum]]), { index, rowStart, rowEnd: rowStart + 4, tokens });
};

describe("top examples in parts", () => {
  test("of any groups, documents and parts in any order, hold the k strongest heads of all texts", () => {
    const property = fc.property(
      candidates,
      fc.integer({ min: 1, max: 4 }),
      fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      (list, perLatent, order) => {
        const whole = createTopExamples({ nLatents: 2, perLatent });
        for (const [i, candidate] of list.entries()) offerTo(whole, candidate, i);
        for (const latent of [0, 1]) {
          const seen = new Set<number>();
          const want = [...list.entries()]
            .filter(([, candidate]) => candidate.latent === latent)
            .sort(([i, a], [j, b]) => b.maximum - a.maximum || i - j)
            .filter(([, { text }]) => !seen.has(text) && seen.add(text))
            .slice(0, perLatent);
          const got = whole.ofLatent(latent).map((e) => [e.document, e.maxActivation]);
          expect(got).toEqual(want.map(([i, { maximum }]) => [i, maximum]));
        }
        const worker = createTopExamples({ nLatents: 2, perLatent });
        const parts = [0, 1, 2, 3].map((group) => {
          // backwards: the order within a group must not matter either
          for (let i = list.length - 1; i >= 0; i -= 1) {
            if (list[i].group === group) offerTo(worker, list[i], i);
          }
          return worker.takeArrays();
        });
        const merged = createTopExamples({ nLatents: 2, perLatent });
        for (const group of order) merged.merge(parts[group]);
        expect([0, 1].map(merged.ofLatent)).toEqual([0, 1].map(whole.ofLatent));
        expect(merged.takeArrays()).toEqual(whole.takeArrays());
        expect(merged.takeArrays()["top.latent"]).toHaveLength(0);
      },
    );
    fc.assert(property, { seed: 6, numRuns: 300 });
  });

  test("of a longer list are refused", () => {
    const longer = createTopExamples({ nLatents: 1, perLatent: 2 });
    const top = createTopExamples({ nLatents: 1, perLatent: 1 });
    expect(() => top.merge(longer.takeArrays())).toThrow(MismatchError);
  });
});

describe("the codes of a document", () => {
  test("come back by latent with rows ascending, then the next document starts empty", () => {
    const codes = createDocumentCodes(8);
    const collect = () => {
      const seen: [number, number[], number[]][] = [];
      codes.flush((latent, { rows, activations }) =>
        seen.push([latent, Array.from(rows), Array.from(activations)]),
      );
      return seen;
    };
    codes.add(5, 10, 1);
    codes.add(2, 10, 2);
    codes.add(5, 12, 3);
    expect(collect()).toEqual([
      [5, [10, 12], [1, 3]],
      [2, [10], [2]],
    ]);
    expect(collect()).toEqual([]);
    codes.add(2, 40, 4);
    expect(collect()).toEqual([[2, [40], [4]]]);
  });

  test("grow beyond their first capacity without losing an entry", () => {
    const codes = createDocumentCodes(3);
    for (let row = 0; row < 5000; row += 1) codes.add(row % 3, row, row);
    let total = 0;
    codes.flush((latent, { rows, activations }) => {
      total += rows.length;
      expect(rows.every((row, i) => row % 3 === latent && activations[i] === row)).toBe(true);
    });
    expect(total).toBe(5000);
  });
});
