import { describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { InterruptedError, MismatchError, NumericsError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { Role } from "../store/rows.ts";
import { activationEdges, countedFirings, mergeFineBins } from "./activation-bins.ts";
import { assertBelongTogether } from "./encoded-rows.ts";
import { N_SUMS, totalSums } from "./latent-scaling.ts";
import { type DenseCase, latentScalingReference } from "./latent-scaling-reference.ts";
import type { LatentMeasure, LatentScaling } from "./measure-contract.ts";
import { createMemoryStore, type MemoryDocument, pairSites } from "./memory-store.test.helper.ts";
import { measureWhole, type PassOptions, readableEncoder, runWholePass } from "./pass.test.helper.ts";

const D_MODEL = 5;
const N_LATENTS = 12;
const N_DOCUMENTS = 40;

function randomDictionary(seed: number): Dictionary {
  const rng = createRng(seed, "dictionary");
  const width = 2 * D_MODEL;
  const fill = (length: number, step: number, scale = 1) =>
    Float32Array.from({ length }, (_, i) => scale * rng.normal(step, i));
  const decoderWeight = fill(N_LATENTS * width, 1, 0.5);
  decoderWeight.fill(0, 0, D_MODEL); // latent 0 has no base decoder
  decoderWeight.fill(0, width + D_MODEL, 2 * width); // latent 1 no finetuned one
  const encoderBias = fill(N_LATENTS, 2, 0.3);
  encoderBias[2] = -1000; // latent 2 never fires
  return {
    sites: pairSites(D_MODEL),
    nLatents: N_LATENTS,
    width,
    encoderWeight: fill(N_LATENTS * width, 3, 0.5),
    encoderBias,
    decoderWeight,
    decoderBias: fill(width, 4, 0.1),
    k: 3,
    inferenceThreshold: 0.4,
    normaliser: undefined,
  };
}

/** Heldout and train documents in turn; a BOS row first, then template and text rows. */
function randomDocuments(seed: number): MemoryDocument[] {
  const rng = createRng(seed, "activations");
  return Array.from({ length: N_DOCUMENTS }, (_, document) => ({
    split: document % 2 === 0 ? ("heldout" as const) : ("train" as const),
    tokens: Array.from({ length: 3 + (document % 7) }, (_, position) => ({
      role: (position === 0 ? "bos" : position % 3 === 1 ? "template" : "text") as Role,
      token: document * 100 + position,
      activation: Array.from(
        { length: 2 * D_MODEL },
        (_, c) => rng.normal(document * 16 + position, c) + 0.5,
      ),
    })),
  }));
}

function passOptions(
  dictionary: Dictionary,
  documents: MemoryDocument[],
  overrides: Partial<PassOptions> = {},
): PassOptions {
  return {
    store: createMemoryStore(dictionary.sites, documents),
    dictionary,
    ...overrides,
  };
}

async function measured(
  dictionary: Dictionary,
  documents: MemoryDocument[],
  overrides?: Partial<PassOptions>,
) {
  return measureWhole(passOptions(dictionary, documents, overrides));
}

/** The same data as dense f64 arrays, BOS dropped. */
function denseCase(dictionary: Dictionary, documents: MemoryDocument[]): DenseCase {
  const tokens = documents
    .filter((document) => document.split === "heldout")
    .flatMap((document) => document.tokens.filter((token) => token.role !== "bos"));
  const x = Float32Array.from(tokens.flatMap((token) => Array.from(token.activation)));
  normaliseInPlace(x, tokens.length, dictionary);
  const codes = encodeReference(dictionary, x, tokens.length);
  const half = (row: ArrayLike<number>, start: number, from: number): number[] =>
    Array.from({ length: D_MODEL }, (_, c) => row[start + from + c]);
  const rowsOf = (matrix: Float32Array, n: number, from: number): number[][] =>
    Array.from({ length: n }, (_, i) => half(matrix, i * 2 * D_MODEL, from));
  return {
    activation: { base: rowsOf(x, tokens.length, 0), finetuned: rowsOf(x, tokens.length, D_MODEL) },
    decoder: {
      base: rowsOf(dictionary.decoderWeight, N_LATENTS, 0),
      finetuned: rowsOf(dictionary.decoderWeight, N_LATENTS, D_MODEL),
    },
    decoderBias: {
      base: half(dictionary.decoderBias, 0, 0),
      finetuned: half(dictionary.decoderBias, 0, D_MODEL),
    },
    code: tokens.map((_, i) => {
      const row = new Array<number>(N_LATENTS).fill(0);
      for (let e = codes.rowStart[i]; e < codes.rowStart[i + 1]; e += 1) row[codes.latent[e]] = codes.code[e];
      return row;
    }),
  };
}

/** Relative error, absolute below 1; f64 sums of a few hundred terms leave far less than 1e-9. */
function expectClose(actual: number, expected: number, what: string): void {
  if (Number.isNaN(expected)) {
    expect(actual, what).toBeNaN();
    return;
  }
  expect(Math.abs(actual - expected), what).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(expected)));
}

function expectSameScaling(actual: LatentScaling, expected: LatentScaling, what: string): void {
  for (const key of Object.keys(expected) as (keyof LatentScaling)[]) {
    expectClose(actual[key], expected[key], `${what} ${key}`);
  }
}

/** Columns [base, finetuned] of every row exchanged. */
function swapHalves(matrix: Float32Array): Float32Array {
  const swapped = new Float32Array(matrix.length);
  for (let at = 0; at < matrix.length; at += 2 * D_MODEL) {
    swapped.set(matrix.subarray(at + D_MODEL, at + 2 * D_MODEL), at);
    swapped.set(matrix.subarray(at, at + D_MODEL), at + D_MODEL);
  }
  return swapped;
}

function withActivations(
  documents: MemoryDocument[],
  change: (activation: number[]) => number[],
): MemoryDocument[] {
  return documents.map((document) => ({
    ...document,
    tokens: document.tokens.map((token) => ({
      ...token,
      activation: change(Array.from(token.activation)),
    })),
  }));
}

describe("the streaming pass against dense least squares", () => {
  test.each([1, 2, 3])(
    "all betas of both directions agree with the slow twin to 1e-9, seed %i",
    async (seed) => {
      const dictionary = randomDictionary(seed);
      const documents = randomDocuments(seed);
      const { latents } = await measured(dictionary, documents);
      const problem = denseCase(dictionary, documents);
      expect(latents.filter((latent) => latent.frequency > 0).length).toBeGreaterThan(8);
      for (const { latent, scalingFinetuned, scalingBase } of latents) {
        expectSameScaling(
          scalingFinetuned,
          latentScalingReference(problem, latent, "finetuned"),
          `${latent} ft`,
        );
        expectSameScaling(scalingBase, latentScalingReference(problem, latent, "base"), `${latent} base`);
      }
    },
  );

  test("the same holds in a normalised space", async () => {
    const dictionary: Dictionary = {
      ...randomDictionary(4),
      normaliser: {
        mean: Float32Array.from({ length: 2 * D_MODEL }, (_, i) => 0.3 - 0.1 * i),
        std: new Float32Array(2 * D_MODEL).fill(1),
        scale: Float32Array.from([0.7, 1.3]),
        targetRms: 1,
      },
    };
    const documents = randomDocuments(4);
    const { latents } = await measured(dictionary, documents);
    const problem = denseCase(dictionary, documents);
    for (const { latent, scalingFinetuned } of latents) {
      expectSameScaling(scalingFinetuned, latentScalingReference(problem, latent, "finetuned"), `${latent}`);
    }
  });

  test("frequency, maxima, means, documents and template share equal direct counts", async () => {
    const dictionary = randomDictionary(1);
    const documents = randomDocuments(1);
    const { latents, pass, summary } = await measured(dictionary, documents);
    const { code } = denseCase(dictionary, documents);
    const heldout = documents.filter((document) => document.split === "heldout");
    const places = heldout.flatMap((document, d) =>
      document.tokens.filter((t) => t.role !== "bos").map((t) => ({ d, template: t.role === "template" })),
    );
    const weights = latentWeights(dictionary);
    let nonZero = 0;
    for (const measure of latents) {
      const j = measure.latent;
      const fired = places.flatMap((place, i) => (code[i][j] > 0 ? [{ ...place, f: code[i][j] }] : []));
      nonZero += fired.length;
      const mass = fired.reduce((sum, { f }) => sum + f, 0);
      expect(measure.frequency).toBeCloseTo(fired.length / code.length, 12);
      expect(measure.documents).toBe(new Set(fired.map(({ d }) => d)).size);
      const bins = measure.activationHistogram ?? mergeFineBins([]);
      const edges = activationEdges(bins);
      for (const [i, count] of bins.counts.entries()) {
        // as the pass counts: the product rounded to f32
        const inside = fired
          .map(({ f }) => Math.fround(f * weights[j]))
          .filter((a) => a >= edges[i] && a < edges[i + 1]);
        expect(inside).toHaveLength(count);
      }
      expect(countedFirings(bins)).toBe(fired.length);
      if (fired.length === 0) {
        expect(measure.maxActivation).toBeNaN();
        expect(measure.exclusion === "dead" || measure.exclusion === "not-candidate").toBe(true);
        continue;
      }
      expect(measure.maxCode).toBe(Math.max(...fired.map(({ f }) => f)));
      // f32 weight against f64 norms
      expect(measure.maxActivation / (measure.maxCode * weights[j])).toBeCloseTo(1, 6);
      expect(measure.meanActivation / ((mass / fired.length) * weights[j])).toBeCloseTo(1, 6);
      const onTemplate = fired.reduce((sum, { f, template }) => sum + (template ? f : 0), 0);
      expect(measure.templateShare).toBeCloseTo(onTemplate / mass, 12);
    }
    expect(summary.nRows).toBe(code.length);
    expect(summary.nDocuments).toBe(heldout.length);
    expect(summary.nBosRows).toBe(heldout.length);
    expect(summary.l0).toBeCloseTo(nonZero / code.length, 12);
    expect(summary.deadFraction).toBeGreaterThan(0);
    expect(pass.fit.rows[0]).toBe(code.length);
  });

  test("the size of batches changes no bit of the sums", async () => {
    const dictionary = randomDictionary(5);
    const documents = randomDocuments(5);
    const one = await measured(dictionary, documents, { encoder: readableEncoder(dictionary, 3) });
    const other = await measured(dictionary, documents, { encoder: readableEncoder(dictionary, 1000) });
    expect(one.pass.sums.values).toEqual(other.pass.sums.values);
    expect(one.summary).toEqual(other.summary);
    for (let latent = 0; latent < N_LATENTS; latent += 1) {
      expect(one.pass.accumulators.top.ofLatent(latent)).toEqual(
        other.pass.accumulators.top.ofLatent(latent),
      );
    }
  });

  test("group sums add up to the totals, and a weight counts a group that often", async () => {
    const { pass } = await measured(randomDictionary(6), randomDocuments(6));
    const perGroup = Array.from({ length: 64 }, (_, group) =>
      totalSums(
        pass.sums,
        Array.from({ length: 64 }, (_, g) => (g === group ? 2 : 0)),
      ),
    );
    const total = totalSums(pass.sums);
    for (let i = 0; i < N_LATENTS * N_SUMS; i += 1) {
      expectClose(perGroup.reduce((sum, values) => sum + values[i], 0) / 2, total[i], `sum ${i}`);
    }
  });
});

describe("fve", () => {
  test("is pooled over clean rows, and over all rows separately", async () => {
    const dictionary = randomDictionary(7);
    const documents = randomDocuments(7);
    const store = createMemoryStore(dictionary.sites, documents);
    const limit = 3.2; // of the finetuned site: some rows of this data lie above, most below
    const { summary } = await measured(dictionary, documents, {
      normLimits: [Number.POSITIVE_INFINITY, limit],
    });
    const allTokens = documents.flatMap((document) => document.tokens);
    const isNormOutlier = (row: number) =>
      Math.hypot(...Array.from(allTokens[row].activation).slice(D_MODEL)) > limit;
    const direct = (keep: (row: number) => boolean) => {
      const kept = Array.from({ length: store.rows.nRows }, (_, row) => row).filter(
        (row) => store.rows.split[row] === 1 && keep(row),
      );
      const h = kept.map((row) => Array.from(allTokens[row].activation, Math.fround));
      const codes = encodeReference(dictionary, Float32Array.from(h.flat()), kept.length);
      let [error, variance] = [0, 0];
      const mean = h[0].map((_, c) => h.reduce((sum, row) => sum + row[c], 0) / h.length);
      h.forEach((row, i) => {
        row.forEach((value, c) => {
          let reconstruction = dictionary.decoderBias[c];
          for (let e = codes.rowStart[i]; e < codes.rowStart[i + 1]; e += 1) {
            reconstruction += codes.code[e] * dictionary.decoderWeight[codes.latent[e] * 2 * D_MODEL + c];
          }
          error += (value - reconstruction) ** 2;
          variance += (value - mean[c]) ** 2;
        });
      });
      return 1 - error / variance;
    };
    expect(summary.fveAllRows.total).toBeCloseTo(
      direct(() => true),
      10,
    );
    expect(summary.fve.total).toBeCloseTo(
      direct((row) => store.rows.position[row] > 0 && !isNormOutlier(row)),
      10,
    );
    expect(summary.nOutlierRows).toBeGreaterThan(3);
    expect(summary.nOutlierRows).toBeLessThan(summary.nRows / 2);
  });
});

test("rows of huge norm change nothing that is said of a latent", async () => {
  const dictionary = randomDictionary(8);
  const documents = randomDocuments(8);
  const normLimits = [100, 100];
  const before = await measured(dictionary, documents, { normLimits });
  const strange = documents.map((document) => ({
    ...document,
    tokens: [
      ...document.tokens,
      {
        ...document.tokens[1],
        activation: Array.from(document.tokens[1].activation, (value) => 300 * value),
      },
    ],
  }));
  const after = await measured(dictionary, strange, { normLimits });
  expect(after.summary.nOutlierRows).toBeGreaterThan(10);
  expect(after.summary.nRows).toBe(before.summary.nRows);
  expect(after.summary.fve).toEqual(before.summary.fve);
  for (const [latent, row] of after.latents.entries()) {
    expect(row.scalingFinetuned).toEqual(before.latents[latent].scalingFinetuned);
    expect(row.maxActivation).toEqual(before.latents[latent].maxActivation);
  }
});

describe("invariants", () => {
  const numbersOf = (latent: LatentMeasure): LatentMeasure => ({ ...latent, latent: 0 });

  test("permuting latents permutes the rows and nothing else", async () => {
    const dictionary = randomDictionary(9);
    const order = Array.from({ length: N_LATENTS }, (_, j) => (j * 5 + 3) % N_LATENTS);
    const permuteRows = (matrix: Float32Array, width: number): Float32Array =>
      Float32Array.from(order.flatMap((j) => Array.from(matrix.subarray(j * width, (j + 1) * width))));
    const permuted: Dictionary = {
      ...dictionary,
      encoderWeight: permuteRows(dictionary.encoderWeight, dictionary.width),
      decoderWeight: permuteRows(dictionary.decoderWeight, dictionary.width),
      encoderBias: permuteRows(dictionary.encoderBias, 1),
    };
    const before = await measured(dictionary, randomDocuments(9));
    const after = await measured(permuted, randomDocuments(9));
    order.forEach((j, at) => {
      const [expected, actual] = [before.latents[j], after.latents[at]];
      expect(actual.documents).toBe(expected.documents);
      expect(actual.deltaNorm).toBe(expected.deltaNorm);
      expect(actual.claim).toBe(expected.claim);
      // the order of latents is the order in which ĥ is summed
      expectSameScaling(actual.scalingFinetuned, expected.scalingFinetuned, `latent ${j}`);
    });
  });

  test("swapping base and finetuned mirrors deltaNorm about one half and exchanges the scalings", async () => {
    const dictionary = randomDictionary(10);
    const swapped: Dictionary = {
      ...dictionary,
      encoderWeight: swapHalves(dictionary.encoderWeight),
      decoderWeight: swapHalves(dictionary.decoderWeight),
      decoderBias: swapHalves(dictionary.decoderBias),
    };
    const documents = randomDocuments(10);
    const before = await measured(dictionary, documents);
    const after = await measured(
      swapped,
      withActivations(documents, (a) => [...a.slice(D_MODEL), ...a.slice(0, D_MODEL)]),
    );
    before.latents.forEach((latent, j) => {
      const mirror = after.latents[j];
      expect(mirror.deltaNorm).toBeCloseTo(1 - latent.deltaNorm, 12);
      // the encoder adds its terms in another order, so codes may differ in the last bit of f32
      const close = (actual: number, expected: number): void => {
        if (Number.isNaN(expected)) expect(actual).toBeNaN();
        else expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(expected)));
      };
      close(mirror.scalingBase.nuReconstruction, latent.scalingFinetuned.nuReconstruction);
      close(mirror.scalingBase.nuError, latent.scalingFinetuned.nuError);
      close(mirror.scalingFinetuned.nuError, latent.scalingBase.nuError);
      close(mirror.scalingBase.betaErrorBase, latent.scalingFinetuned.betaErrorFinetuned);
    });
    expect(after.summary.counts.baseOnly).toBe(before.summary.counts.finetunedOnly);
    expect(after.summary.exclusionsBase).toEqual(before.summary.exclusionsFinetuned);
    expect(after.summary.fve.base).toBeCloseTo(before.summary.fve.finetuned, 5);
  });

  test("identical models with identical decoders: every nu is 1 and nothing is specific", async () => {
    const dictionary = randomDictionary(11);
    const both = (matrix: Float32Array): Float32Array => {
      const copy = matrix.slice();
      for (let at = 0; at < copy.length; at += 2 * D_MODEL) copy.copyWithin(at + D_MODEL, at, at + D_MODEL);
      return copy;
    };
    const decoderWeight = dictionary.decoderWeight.map((value) => value || 0.25);
    const same: Dictionary = {
      ...dictionary,
      decoderWeight: both(decoderWeight),
      decoderBias: both(dictionary.decoderBias),
    };
    const documents = withActivations(randomDocuments(11), (a) => [
      ...a.slice(0, D_MODEL),
      ...a.slice(0, D_MODEL),
    ]);
    const { latents, summary } = await measured(same, documents);
    for (const latent of latents) {
      expect(latent.deltaNorm).toBe(0.5);
      expect(latent.claim).toBe("none");
      if (latent.frequency === 0) continue;
      for (const scaling of [latent.scalingFinetuned, latent.scalingBase]) {
        expect(scaling.nuActivation).toBe(1);
        expect(scaling.nuReconstruction).toBe(1);
        expect(scaling.nuError).toBeCloseTo(1, 12);
      }
    }
    expect(summary.counts.finetunedSpecific + summary.counts.baseSpecific).toBe(0);
    expect(summary.exclusionsFinetuned["not-candidate"]).toBe(N_LATENTS);
  });

  test("repeating a run gives the same rows", async () => {
    const one = await measured(randomDictionary(12), randomDocuments(12));
    const other = await measured(randomDictionary(12), randomDocuments(12));
    expect(one.latents.map(numbersOf)).toEqual(other.latents.map(numbersOf));
  });
});

describe("bad input", () => {
  test("a row with NaN is refused by document and position", async () => {
    const documents = randomDocuments(13);
    documents[4].tokens[2] = {
      ...documents[4].tokens[2],
      activation: new Array(2 * D_MODEL).fill(Number.NaN),
    };
    const options = passOptions(randomDictionary(13), documents);
    await expect(runWholePass(options)).rejects.toThrow(NumericsError);
    await expect(runWholePass(options)).rejects.toThrow(/document document-4, position 2/);
  });

  test("an aborted signal interrupts between batches", async () => {
    const controller = new AbortController();
    controller.abort();
    const options = passOptions(randomDictionary(14), randomDocuments(14), { signal: controller.signal });
    await expect(runWholePass(options)).rejects.toThrow(InterruptedError);
  });

  test("a store of other sites, a single site and an uncalibrated threshold are refused", () => {
    const dictionary = randomDictionary(15);
    const store = createMemoryStore(dictionary.sites, randomDocuments(15));
    const otherLayer = dictionary.sites.map((site) => ({ ...site, layer: 9 }));
    expect(() => assertBelongTogether(store, { ...dictionary, sites: otherLayer })).toThrow(MismatchError);
    expect(() => assertBelongTogether(store, { ...dictionary, inferenceThreshold: -1 })).toThrow(
      /calibrated/,
    );
    const single = createMemoryStore(dictionary.sites.slice(0, 1), []);
    expect(() =>
      assertBelongTogether(single, { ...dictionary, sites: dictionary.sites.slice(0, 1) }),
    ).toThrow(/two sites/);
    expect(() => assertBelongTogether(store, dictionary)).not.toThrow();
  });
});
