// Components of a planted difference, against its dense covariance; and the places and words shown with them.

import { expect, test } from "vitest";
import { lensScoresReference } from "../lens/lens-reference.ts";
import type { Unembedding } from "../lm/runner.ts";
import { createRng } from "../numerics/rng.ts";
import { differencePca, principalComponents } from "./difference-pca.ts";
import { componentsReference } from "./difference-pca-reference.ts";
import { type MadeRows, makeRows } from "./difference-rows.test.data.ts";
import { createDifferenceSums, type DifferenceRows, type SummedDifference } from "./difference-sums.ts";
import { differenceReference } from "./difference-sums-reference.ts";
import { readDirections } from "./read-directions.ts";

const dModel = 12;
const texts = { documents: 30, tokens: 10 };
const planted: MadeRows = { ...texts, dModel, shift: Array(dModel).fill(0.3), spread: (i) => 0.8 ** (2 * i) };

async function summed(rows: DifferenceRows): Promise<SummedDifference> {
  const sums = createDifferenceSums({ dModel, threads: 1 });
  await sums.add(rows);
  const result = await sums.finish();
  await sums.dispose();
  return result;
}

function unembedding(name: string, vocab: number): Unembedding {
  const rng = createRng(2, name);
  return {
    vocab,
    dModel,
    head: Float32Array.from({ length: vocab * dModel }, (_, i) => rng.normal(0, i)),
    finalNorm: Float32Array.from({ length: dModel }, (_, i) => 1 + 0.3 * rng.normal(1, i)),
  };
}

const unembeddings = { base: unembedding("base", 40), finetuned: unembedding("finetuned", 53) };
const reading = {
  unembeddings,
  tokenString: (id: number) => `<${id}>`,
  document: (index: number) => ({
    id: `text-${index}`,
    tokens: Array.from({ length: texts.tokens }, (_, t) => `${index}.${t}`),
  }),
  threads: 1,
};

test("components, their shares and signs are those of the dense covariance", async () => {
  const rows = makeRows(planted);
  const expected = differenceReference(rows, dModel, (row) => rows.isBos[row] === 0);
  const all = componentsReference(expected.scatter, expected.mean);
  const got = principalComponents(await summed(rows), 5);
  expect(got.length).toBe(5);
  for (const [k, { share, direction }] of got.entries()) {
    expect(share).toBeCloseTo(all[k].share, 6); // f32 products of one block
    const along = direction.reduce((sum, value, i) => sum + value * all[k].direction[i], 0);
    expect(along).toBeCloseTo(1, 6); // eigenvalues lie a third apart, so vectors are as good as shares
  }
});

test("what the mean holds and how much changed are stated beside the components", async () => {
  const rows = makeRows(planted);
  const expected = differenceReference(rows, dModel, (row) => rows.isBos[row] === 0);
  const { rows: n, meanShare, changeRatio } = await differencePca({ ...reading, sums: await summed(rows) });
  expect(n).toBe(texts.documents * (texts.tokens - 1));
  expect(meanShare).toBeCloseTo(expected.meanShare, 6);
  expect(changeRatio).toBeCloseTo(expected.changeRatio, 5);
});

test("the places shown are the greatest and least projections of the centred difference, one a text", async () => {
  const rows = makeRows(planted);
  const sums = await summed(rows);
  const [{ highest, lowest }] = (await differencePca({ ...reading, sums })).components;
  const [{ direction }] = principalComponents(sums, 1);
  const values = Array.from(rows.document, (document, row) => {
    let value = 0;
    for (let i = 0; i < dModel; i += 1) {
      const at = row * dModel + i;
      value += direction[i] * (rows.hFinetuned[at] - rows.hBase[at] - sums.moment.mean[i]);
    }
    return { value, document, position: rows.position[row] };
  }).filter(({ position }) => position > 0);
  for (const [shown, sign] of [
    [highest, 1],
    [lowest, -1],
  ] as const) {
    const sorted = values.toSorted((a, b) => sign * (b.value - a.value));
    const first = sorted.filter(
      ({ document }, i) => sorted.findIndex((other) => other.document === document) === i,
    );
    for (const [i, { document, tokens, values: near, peak }] of shown.entries()) {
      expect(document).toBe(`text-${first[i].document}`);
      expect(tokens[peak]).toBe(`${first[i].document}.${first[i].position}`);
      expect(near[peak]).toBeCloseTo(first[i].value, 5); // f32 rows
      expect(tokens.length).toBe(near.length);
      expect(tokens[0]).toBe(`${first[i].document}.${first[i].position - peak}`);
    }
    expect(shown.length).toBe(3);
  }
});

test("directions are read as src/lens reads them, in both vocabularies, and their negative by the least scores", async () => {
  const rng = createRng(9, "direction");
  const direction = Float64Array.from({ length: dModel }, (_, i) => 5 * rng.normal(0, i));
  const [read] = await readDirections({ ...reading, directions: [direction] });
  expect(read.map(({ model, by }) => `${model} ${by}`)).toEqual(["base logit lens", "finetuned logit lens"]);
  for (const { model, promoted, suppressed } of read) {
    for (const [list, sign] of [
      [promoted, 1],
      [suppressed, -1],
    ] as const) {
      const scores = lensScoresReference(
        direction.map((value) => sign * value),
        unembeddings[model],
      );
      const ids = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 10);
      expect(list.map(({ tokenId }) => tokenId)).toEqual(ids);
      for (const { tokenId, score } of list) expect(score).toBeCloseTo(scores[tokenId], 5); // 12 f32 terms
    }
  }
});

test("a zero direction is read as nothing", async () => {
  expect(await readDirections({ ...reading, directions: [new Float64Array(dModel)] })).toEqual([[]]);
});

test("identical models have no component and change nothing", async () => {
  const rows = makeRows({ ...texts, dModel });
  const found = await differencePca({ ...reading, sums: await summed(rows) });
  expect(found).toEqual({ rows: 270, changeRatio: 0, meanShare: 0, components: [] });
});

test("models that differ by one constant vector have a mean share of 1 and no component", async () => {
  const rows = makeRows({ ...texts, dModel, shift: Array(dModel).fill(2) });
  const found = await differencePca({ ...reading, sums: await summed(rows) });
  expect(found.meanShare).toBeCloseTo(1, 6);
  expect(found.components).toEqual([]);
});

test("no text gives no component", async () => {
  const sums = createDifferenceSums({ dModel, threads: 1 });
  const found = await differencePca({ ...reading, sums: await sums.finish() });
  expect(found).toEqual({ rows: 0, changeRatio: 0, meanShare: 0, components: [] });
});
