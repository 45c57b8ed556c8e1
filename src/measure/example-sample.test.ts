import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MismatchError } from "../errors.ts";
import { createExampleSample, type ExampleSample, SAMPLE_BINS, sampleBins } from "./example-sample.ts";
import { createTopExamples } from "./top-examples.ts";

const SEED = 11;

/** A document of four tokens in which one latent fired at the second. */
interface Offer {
  latent: number;
  index: number;
  maximum: number;
  text: number;
}
const documentOf = ({ index, text }: Offer) => ({
  ...{ index, rowStart: 4 * index, rowEnd: 4 * index + 4 },
  tokens: Uint32Array.of(9, 9, text, 9),
});
const firingsOf = ({ index, maximum }: Offer) => ({
  rows: Uint32Array.of(4 * index + 1, 4 * index + 3),
  activations: Float32Array.of(maximum, maximum / 2),
});
const offerTo = (sample: Pick<ExampleSample, "offer">, offer: Offer): void =>
  sample.offer(offer.latent, firingsOf(offer), documentOf(offer));

const sampleOf = (offers: readonly Offer[], nLatents: number, perFineBin?: number): ExampleSample => {
  const sample = createExampleSample({ nLatents, seed: SEED, perFineBin });
  for (const offer of offers) offerTo(sample, offer);
  return sample;
};

/** The priority of one document, offered alone. */
const priorityOf = (offer: Offer): number => sampleOf([offer], 2, 1).ofLatent(offer.latent)[0].priority;

/** Octave and quarter of it, from the number itself. */
const fineBin = (maximum: number): number => {
  const octave = Math.floor(Math.log2(maximum));
  return 4 * octave + Math.floor(4 * (maximum / 2 ** octave - 1));
};

const groupOf = (list: readonly Offer[], group: number): Offer[] =>
  list.filter(({ index }) => index % 4 === group);

const offers = fc
  .array(
    fc.record({
      latent: fc.integer({ min: 0, max: 1 }),
      maximum: fc.integer({ min: 4, max: 40 }).map((i) => i / 4),
      text: fc.integer({ min: 0, max: 8 }),
    }),
    { maxLength: 60 },
  )
  .map((list) => list.map((offer, index): Offer => ({ ...offer, index })));

describe("the sample of examples", () => {
  test("holds the smallest priorities of every fine bin, each text once, whatever the order and the parts", () => {
    const property = fc.property(
      offers,
      fc.integer({ min: 1, max: 3 }),
      fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      (list, perFineBin, order) => {
        const whole = sampleOf(list, 2, perFineBin);
        for (const latent of [0, 1]) {
          const taken = new Map<number, number[]>();
          const want = list
            .filter((offer) => offer.latent === latent)
            .map((offer) => ({ ...offer, priority: priorityOf(offer) }))
            .sort((a, b) => a.priority - b.priority)
            .filter(({ maximum, text }) => {
              const texts = taken.get(fineBin(maximum)) ?? [];
              if (texts.length === perFineBin || texts.includes(text)) return false;
              taken.set(fineBin(maximum), [...texts, text]);
              return true;
            });
          const got = whole.ofLatent(latent).map((kept) => [kept.priority, kept.example.document]);
          expect(got).toEqual(want.map(({ priority, index }) => [priority, index]));
        }
        const worker = createExampleSample({ nLatents: 2, seed: SEED, perFineBin });
        const parts = [0, 1, 2, 3].map((group) => {
          for (const offer of groupOf(list, group).reverse()) offerTo(worker, offer);
          return worker.takeArrays();
        });
        const merged = createExampleSample({ nLatents: 2, seed: SEED, perFineBin });
        for (const group of order) merged.merge(parts[group]);
        expect([0, 1].map(merged.ofLatent)).toEqual([0, 1].map(whole.ofLatent));
        expect(merged.takeArrays()).toEqual(whole.takeArrays());
        expect(merged.ofLatent(0)).toEqual([]);
        expect(merged.takeArrays()["sample.latent"]).toHaveLength(0);
      },
    );
    fc.assert(property, { seed: 7, numRuns: 150 });
  });

  test("gives every document of a fine bin the same chance", () => {
    const [nLatents, nDocuments] = [2000, 60];
    const sample = createExampleSample({ nLatents, seed: SEED });
    const times = new Array<number>(nDocuments).fill(0);
    for (let latent = 0; latent < nLatents; latent += 1) {
      for (let index = 0; index < nDocuments; index += 1) {
        offerTo(sample, { latent, index, maximum: 5, text: index });
      }
      for (const { example } of sample.ofLatent(latent)) times[example.document] += 1;
    }
    // 3 of 60 in each of 2000: expected 100 each. χ² has 59 degrees of freedom, standard deviation 11; 4 of them.
    const chiSquared = times.reduce((sum, n) => sum + (n - 100) ** 2 / 100, 0);
    expect(chiSquared).toBeLessThan(59 + 44);
    expect(chiSquared).toBeGreaterThan(59 - 44);
  });

  test("differs between seeds and between latents", () => {
    const list = Array.from(
      { length: 200 },
      (_, index): Offer => ({ latent: 0, index, maximum: 3, text: index }),
    );
    const documents = (seed: number, latent: number): number[] => {
      const sample = createExampleSample({ nLatents: 2, seed });
      for (const offer of list) offerTo(sample, { ...offer, latent });
      return sample.ofLatent(latent).map(({ example }) => example.document);
    };
    const draws = [documents(0, 0), documents(1, 0), documents(0, 1)].map(String);
    expect(new Set(draws).size).toBe(3);
    expect(documents(0, 0)).toEqual(documents(0, 0));
  });

  test("does not grow with documents: at most perFineBin windows a fine bin", () => {
    const list = Array.from({ length: 20_000 }, (_, index): Offer => {
      return { latent: 0, index, maximum: 1 + (index % 16) / 16, text: index };
    });
    expect(sampleOf(list, 1).takeArrays()["sample.document"]).toHaveLength(4 * SAMPLE_BINS.perFineBin);
  });

  test("refuses a part drawn with another seed", () => {
    const part = createExampleSample({ nLatents: 1, seed: 1 }).takeArrays();
    expect(() => createExampleSample({ nLatents: 1, seed: 2 }).merge(part)).toThrow(MismatchError);
  });
});

describe("the paper's bins", () => {
  test("hold documents by their share of the latent's maximum; below 1e-4 they are in none", () => {
    const shares = [0.00005, 0.0002, 0.2499, 0.25, 0.5, 0.75, 0.9501, 0.999, 1, 1.0000001];
    const list = shares.map((share, index): Offer => ({ latent: 0, index, maximum: 8 * share, text: index }));
    const shown = sampleBins({ top: [], sample: sampleOf(list, 1).ofLatent(0), maximum: 8 });
    const binned = shown.map(({ bin, example }) => [bin, example.document]);
    expect(binned.filter(([bin]) => bin < 4)).toEqual([
      [0, 2],
      [0, 1],
      [1, 3],
      [2, 4],
      [3, 5],
    ]);
    // four documents, of which a bin shows three
    expect(binned.filter(([bin]) => bin === 4)).toHaveLength(3);
    expect(shown[0].example.activations).toEqual(Float32Array.of(0, list[2].maximum, 0, list[2].maximum / 2));
  });

  test("show no document and no text of the top, and no text twice", () => {
    const top = createTopExamples({ nLatents: 1, perLatent: 2 });
    const sample = createExampleSample({ nLatents: 1, seed: SEED });
    const list = [
      { maximum: 8, text: 0 },
      { maximum: 7, text: 1 },
      { maximum: 6, text: 0 },
      { maximum: 4.1, text: 2 },
      { maximum: 2.1, text: 2 },
      { maximum: 1, text: 3 },
    ].map((offer, index): Offer => ({ ...offer, latent: 0, index }));
    for (const offer of list) {
      offerTo(top, offer);
      offerTo(sample, offer);
    }
    const kept = sample.ofLatent(0);
    expect(kept).toHaveLength(list.length);
    const shown = sampleBins({ top: top.ofLatent(0), sample: kept, maximum: 8 });
    const first = kept.find(({ example }) => [3, 4].includes(example.document))?.example.document;
    expect(shown.map(({ example }) => example.document).sort()).toEqual([first, 5]);
    const all = sampleBins({ top: [], sample: kept, maximum: 8 });
    expect(all.filter(({ example }) => [0, 2].includes(example.document))).toHaveLength(1);
  });

  test("draw evenly from all their fine bins, however unevenly those are filled", () => {
    const nLatents = 3000;
    // The bin .25–.5 of a maximum of 8 is one octave: four whole fine bins, with 14, 4, 1 and 1 documents.
    const maxima = [...new Array<number>(14).fill(2), 2.5, 2.6, 2.7, 2.8, 3, 3.5];
    const sample = createExampleSample({ nLatents, seed: SEED });
    const times = new Array<number>(maxima.length).fill(0);
    for (let latent = 0; latent < nLatents; latent += 1) {
      for (const [index, maximum] of maxima.entries()) {
        offerTo(sample, { latent, index, maximum, text: index });
      }
      const shown = sampleBins({ top: [], sample: sample.ofLatent(latent), maximum: 8 });
      expect(shown).toHaveLength(3);
      for (const { example } of shown) times[example.document] += 1;
    }
    // 3 of 20 in each of 3000: expected 450, standard deviation 19.6; 4 of them for the worst of twenty.
    for (const n of times) expect(Math.abs(n - 450)).toBeLessThan(80);
  });

  test("that straddle a fine bin show only the documents on their side of the edge", () => {
    // Fine bin 7–8 of a maximum of 8: 7.4 is in .75–.95, 7.7 in .95–1.
    const list = [7.4, 7.7, 7.8].map((maximum, index): Offer => ({ latent: 0, index, maximum, text: index }));
    const shown = sampleBins({ top: [], sample: sampleOf(list, 1).ofLatent(0), maximum: 8 });
    expect(shown.map(({ bin, example }) => [bin, example.document])).toEqual([
      [3, 0],
      [4, 2],
      [4, 1],
    ]);
  });
});
