// Measuring dictionaries over two models of different width: what still holds, and what the own directions can see.

import { describe, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { createRng } from "../numerics/rng.ts";
import { assertBelongTogether } from "./encoded-rows.ts";
import { type DenseCase, latentScalingReference } from "./latent-scaling-reference.ts";
import type { LatentScaling } from "./measure-contract.ts";
import { createMemoryStore, type MemoryDocument } from "./memory-store.test.helper.ts";
import { measureWhole } from "./pass.test.helper.ts";

function documentsOf(activations: number[][], perDocument = 10): MemoryDocument[] {
  return Array.from({ length: Math.ceil(activations.length / perDocument) }, (_, d) => ({
    split: "heldout" as const,
    tokens: activations
      .slice(d * perDocument, (d + 1) * perDocument)
      .map((activation) => ({ role: "text" as const, activation })),
  }));
}

async function measured(dictionary: Dictionary, activations: number[][]) {
  const store = createMemoryStore(dictionary.sites, documentsOf(activations));
  assertBelongTogether(store, dictionary);
  return measureWhole({ store, dictionary });
}

function denseCase(dictionary: Dictionary, activations: number[][]): DenseCase {
  const { width, nLatents, decoderWeight, decoderBias } = dictionary;
  const [base] = dictionary.sites.map((site) => site.width);
  const x = Float32Array.from(activations.flat());
  normaliseInPlace(x, activations.length, dictionary);
  const codes = encodeReference(dictionary, x, activations.length);
  const rowsOf = (matrix: Float32Array, n: number) => {
    const rows = Array.from({ length: n }, (_, i) => Array.from(matrix.subarray(i * width, (i + 1) * width)));
    return {
      base: rows.map((row) => row.slice(0, base)),
      finetuned: rows.map((row) => row.slice(base)),
    };
  };
  const bias = rowsOf(decoderBias, 1);
  return {
    activation: rowsOf(x, activations.length),
    decoder: rowsOf(decoderWeight, nLatents),
    decoderBias: { base: bias.base[0], finetuned: bias.finetuned[0] },
    code: activations.map((_, i) => {
      const row = new Array<number>(nLatents).fill(0);
      for (let e = codes.rowStart[i]; e < codes.rowStart[i + 1]; e += 1) row[codes.latent[e]] = codes.code[e];
      return row;
    }),
  };
}

/** f64 sums of some hundred terms: far less than 1e-9 relative, absolute below 1. */
function expectSameScaling(actual: LatentScaling, expected: LatentScaling, what: string): void {
  for (const key of Object.keys(expected) as (keyof LatentScaling)[]) {
    const [a, b] = [actual[key], expected[key]];
    if (Number.isNaN(b)) expect(a, `${what} ${key}`).toBeNaN();
    else expect(Math.abs(a - b), `${what} ${key}`).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(b)));
  }
}

function randomActivations(nRows: number, width: number, seed: number): number[][] {
  const rng = createRng(seed, "unequal activations");
  return Array.from({ length: nRows }, (_, row) =>
    Array.from({ length: width }, (_, i) => Math.fround(rng.normal(row, i) + 0.3)),
  );
}

describe("the streaming pass against dense least squares along each model's own row", () => {
  test.each([
    [4, 7],
    [9, 2],
  ])("widths %i and %i: all betas and nus agree with the slow twin to 1e-9", async (base, finetuned) => {
    const dictionary = randomDictionary({ widths: [base, finetuned], nLatents: 10 });
    dictionary.decoderWeight.fill(0, 0, base); // latent 0 has no base decoder
    const activations = randomActivations(120, base + finetuned, 1);
    const { latents, summary } = await measured(dictionary, activations);
    const problem = denseCase(dictionary, activations);
    expect(latents.filter(({ frequency }) => frequency > 0).length).toBeGreaterThan(6);
    for (const { latent, scalingFinetuned, scalingBase } of latents) {
      expectSameScaling(
        scalingFinetuned,
        latentScalingReference(problem, latent, "finetuned"),
        `${latent} ft`,
      );
      expectSameScaling(scalingBase, latentScalingReference(problem, latent, "base"), `${latent} base`);
    }
    expect(latents[0].claim).toBe("none"); // without a base row nothing can be said about the base
    expect(latents.every(({ decoderCosine }) => Number.isNaN(decoderCosine))).toBe(true);
    expect(latents.every(({ decoderNormFinetuned }) => decoderNormFinetuned > 0)).toBe(true);
    expect(summary.scalingDirections).toBe("own");
  });
});

/** The dictionary of one site width with zero coordinates added to the finetuned side: the same functions, wider. */
function widened(dictionary: Dictionary, by: number): Dictionary {
  const [base, finetuned] = dictionary.sites.map((site) => site.width);
  const wider = (matrix: Float32Array): Float32Array =>
    Float32Array.from(
      Array.from({ length: matrix.length / dictionary.width }, (_, row) => [
        ...matrix.subarray(row * dictionary.width, (row + 1) * dictionary.width),
        ...new Array<number>(by).fill(0),
      ]).flat(),
    );
  return {
    ...dictionary,
    sites: [dictionary.sites[0], { ...dictionary.sites[1], width: finetuned + by }],
    width: base + finetuned + by,
    encoderWeight: wider(dictionary.encoderWeight),
    decoderWeight: wider(dictionary.decoderWeight),
    decoderBias: wider(dictionary.decoderBias),
  };
}

test("where both rows point the same way, own directions give the published nus: widening a model changes nothing", async () => {
  const dictionary = randomDictionary({ widths: [6, 6], nLatents: 8, normalised: false });
  for (let latent = 0; latent < 8; latent += 1) {
    const at = latent * 12;
    for (let i = 0; i < 6; i += 1) {
      dictionary.decoderWeight[at + 6 + i] = 0.25 * 2 ** (latent % 4) * dictionary.decoderWeight[at + i];
    }
  }
  const activations = randomActivations(200, 12, 3);
  const published = await measured(dictionary, activations);
  const own = await measured(
    widened(dictionary, 3),
    activations.map((row) => [...row, 0, 0, 0]),
  );
  expect([published.summary.scalingDirections, own.summary.scalingDirections]).toEqual(["shared", "own"]);
  expect(published.latents.filter(({ frequency }) => frequency > 0).length).toBeGreaterThan(4);
  for (const [latent, expected] of published.latents.entries()) {
    expect(own.latents[latent].deltaNorm).toBe(expected.deltaNorm);
    expect(own.latents[latent].frequency).toBe(expected.frequency);
    expectSameScaling(own.latents[latent].scalingFinetuned, expected.scalingFinetuned, `${latent} ft`);
    expectSameScaling(own.latents[latent].scalingBase, expected.scalingBase, `${latent} base`);
  }
});

/**
 * Concept j lies along coordinate j of either model (base 8 wide, finetuned 11). 0 shared, 1 only in the fine-tune, 2 only
 * in the base, 3 in both, although the dictionary has nearly shrunk its base row away.
 */
test("planted concepts: shared, new and lost are told apart, and a shrunk base row is not taken for news", async () => {
  const [base, finetuned] = [8, 11];
  const width = base + finetuned;
  const inBase = [1, 0, 1, 1];
  const inFinetuned = [1, 1, 0, 1];
  const dictionary = randomDictionary({ widths: [base, finetuned], nLatents: 4, normalised: false });
  for (const array of [dictionary.encoderWeight, dictionary.decoderWeight, dictionary.encoderBias])
    array.fill(0);
  dictionary.decoderBias.fill(0);
  dictionary.inferenceThreshold = 0.5;
  const rowLength = { base: [1, 1e-3, 1, 0.02], finetuned: [1, 1, 1e-3, 1] };
  for (let j = 0; j < 4; j += 1) {
    dictionary.encoderWeight[j * width + j] = inBase[j] / (inBase[j] + inFinetuned[j]);
    dictionary.encoderWeight[j * width + base + j] = inFinetuned[j] / (inBase[j] + inFinetuned[j]);
    dictionary.decoderWeight[j * width + j] = rowLength.base[j];
    dictionary.decoderWeight[j * width + base + j] = rowLength.finetuned[j];
  }
  const rng = createRng(5, "unequal planted");
  const activations = Array.from({ length: 600 }, (_, row) => {
    const x = new Array<number>(width).fill(0);
    for (let j = 0; j < 4; j += 1) {
      if (rng.uniform(row, j) > 0.3) continue;
      const strength = 1 + rng.uniform(row, 10 + j);
      x[j] = strength * inBase[j];
      x[base + j] = strength * inFinetuned[j];
    }
    return x;
  });
  const { latents } = await measured(dictionary, activations);
  expect(latents.map(({ claim }) => claim)).toEqual(["none", "finetuned-specific", "base-specific", "none"]);
  expect(latents.map(({ latentClass }) => latentClass)).toEqual([
    "shared",
    "finetuned-only",
    "base-only",
    "finetuned-only",
  ]);
  expect(latents[3].scalingFinetuned.nuError).toBeGreaterThan(0.9); // complete shrinkage is seen for what it is
});
