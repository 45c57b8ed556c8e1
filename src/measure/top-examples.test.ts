import { describe, expect, test } from "vitest";
import { createDocumentCodes } from "./document-codes.ts";
import { createTopExamples, type DocumentRows, WINDOW_RADIUS } from "./top-examples.ts";

const firings = (entries: [row: number, activation: number][]) => ({
  rows: Uint32Array.from(entries, ([row]) => row),
  activations: Float32Array.from(entries, ([, activation]) => activation),
});
const LENGTH = 100;
const document = (index: number): DocumentRows => ({
  index,
  rowStart: index * LENGTH,
  rowEnd: (index + 1) * LENGTH,
});
/** Every row its own token, so that no two windows are alike. */
const ownTokens = Uint32Array.from({ length: 50 * LENGTH }, (_, row) => row);

describe("top examples", () => {
  test("keep the strongest documents in order, equal to sorting them all", () => {
    const top = createTopExamples({ nLatents: 2, perLatent: 5, tokens: ownTokens });
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
    const top = createTopExamples({ nLatents: 1, perLatent: 2, tokens: ownTokens });
    for (let d = 0; d < 4; d += 1) top.offer(0, firings([[d * LENGTH + 50, 7]]), document(d));
    expect(top.ofLatent(0).map((example) => example.document)).toEqual([0, 1]);
  });

  test("the window reaches 12 tokens to each side, stops at the document and holds every firing in it", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 2, tokens: ownTokens });
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
    const alike = Uint32Array.from({ length: 10 * LENGTH }, (_, row) => row % LENGTH);
    const top = createTopExamples({ nLatents: 1, perLatent: 3, tokens: alike });
    for (const [d, maximum] of [4, 9, 6].entries()) {
      top.offer(0, firings([[d * LENGTH + 50, maximum]]), document(d));
    }
    top.offer(0, firings([[3 * LENGTH + 60, 1]]), document(3));
    expect(top.ofLatent(0).map((e) => [e.document, e.maxActivation])).toEqual([
      [1, 9],
      [3, 1],
    ]);
  });

  test("a stronger document takes the place of a weaker one and leaves nothing of it behind", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 1, tokens: ownTokens });
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
    const top = createTopExamples({ nLatents: 1, perLatent: 0, tokens: ownTokens });
    top.offer(0, firings([[50, 1]]), document(0));
    expect(top.ofLatent(0)).toEqual([]);
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
