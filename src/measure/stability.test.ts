import { describe, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { decoderNorms } from "../dictionary/latent-norms.ts";
import { MismatchError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { Store } from "../store/store-contract.ts";
import { deltaNormOf } from "./claims.ts";
import type { Claim } from "./measure-contract.ts";
import { createMemoryStore } from "./memory-store.test.helper.ts";
import {
  claimOfSide,
  isMatch,
  type LatentStability,
  type MeasuredDictionary,
  sideOf,
  stability,
  summariseStability,
} from "./stability.ts";
import { matchesReference } from "./stability-reference.ts";

const D = 6;
const N = 24;

function randomStore(): Store {
  const rng = createRng(21, "stability");
  return createMemoryStore(
    randomDictionary({ widths: [D, D] }).sites,
    Array.from({ length: 40 }, (_, d) => ({
      split: d % 2 === 0 ? ("heldout" as const) : ("train" as const),
      tokens: Array.from({ length: 12 }, (_, t) => ({
        role: t === 0 ? ("bos" as const) : ("text" as const),
        activation: Array.from({ length: 2 * D }, (_, c) => rng.normal(100 * d + t, c)),
      })),
    })),
  );
}

/** Random rows of norm 1; latents j % 4 = 0 lean to the base, 1 to the fine-tune, the rest are shared; 23 never fires. */
function leaningDictionary(seed = 7): Dictionary {
  const dictionary = randomDictionary({ widths: [D, D], nLatents: N, seed, normalised: false });
  for (let side = 0; side < 2 * N; side += 1) {
    const row = dictionary.decoderWeight.subarray(side * D, (side + 1) * D);
    const norm = Math.hypot(...row);
    const isWeak = side % 8 === 1 || side % 8 === 2; // the fine-tune's of latent 0, the base's of latent 1
    for (let c = 0; c < D; c += 1) row[c] *= (isWeak ? 0.05 : 1) / norm;
  }
  dictionary.encoderBias[23] = -1000;
  return dictionary;
}

/** Latents that lean to a side are claimed, but every third. */
function measured(name: string, dictionary: Dictionary): MeasuredDictionary {
  const [base, finetuned] = decoderNorms(dictionary);
  const latents = Array.from(base, (norm, j) => {
    const deltaNorm = deltaNormOf(norm, finetuned[j]);
    const claimed = (deltaNorm < 0.4 || deltaNorm > 0.6) && j % 3 !== 0;
    return { deltaNorm, claim: claimed ? claimOfSide(sideOf(deltaNorm)) : ("none" as Claim) };
  });
  return { name, dictionary, latents };
}

/** The same dictionary with latent order[i] at i, and every weight moved a little. */
function permuted(dictionary: Dictionary, order: number[], noise = 0.01): Dictionary {
  const rng = createRng(5, "permuted");
  const { width } = dictionary;
  const rows = (matrix: Float32Array, size: number, step: number): Float32Array =>
    Float32Array.from(
      { length: order.length * size },
      (_, at) =>
        matrix[order[Math.floor(at / size)] * size + (at % size)] * (1 + noise * rng.normal(step, at)),
    );
  return {
    ...dictionary,
    nLatents: order.length,
    encoderWeight: rows(dictionary.encoderWeight, width, 1),
    encoderBias: rows(dictionary.encoderBias, 1, 2),
    decoderWeight: rows(dictionary.decoderWeight, width, 3),
  };
}

const shuffled = Array.from({ length: N }, (_, i) => (i * 7 + 3) % N);
const partnersOf = ({ matches }: LatentStability): string[] =>
  matches.map(({ dictionary, latent }) => `${dictionary} ${latent}`);

describe("matches", () => {
  test("agree with nearest rows and correlations over dense arrays, for several dictionaries of several sizes", async () => {
    const reference = measured("main", leaningDictionary());
    // Noise by which some latents stay themselves and some do not.
    const near = permuted(reference.dictionary, shuffled, 0.8);
    const larger = permuted(reference.dictionary, [...shuffled, 3, 4, 5, 6, 7], 0.5);
    // Fires where the reference does, in directions that are half noise.
    const turned = {
      ...permuted(reference.dictionary, shuffled, 0),
      decoderWeight: permuted(reference.dictionary, shuffled, 1.5).decoderWeight,
    };
    const others = [
      measured("near", near),
      measured("turned", turned),
      measured("larger", larger),
      measured("strange", leaningDictionary(8)),
    ];
    const options = { store: randomStore(), reference, others, threads: 1, tile: { rows: 7, columns: 10 } };
    const { latents, nRows } = await stability(options);
    expect(nRows).toBe(20 * 11);
    expect(latents.map(partnersOf)).toEqual(await matchesReference(options));
    const found = latents.map(({ directionFound }) => directionFound);
    expect(new Set(found).size).toBeGreaterThan(2); // some nowhere, some in one, some in two
    for (const row of latents) {
      expect(row.directionFound).toBe(row.matches.length);
      expect(row.claimReplicated).toBe(
        row.matches.filter(({ claim }) => claim === claimOfSide(row.side)).length,
      );
      for (const match of row.matches) {
        expect(isMatch(match)).toBe(true);
        expect(row.bestCosine).toBeGreaterThanOrEqual(match.cosine);
        expect(row.bestCorrelation).toBeGreaterThanOrEqual(match.correlation);
      }
    }
  });

  test("a dictionary whose latents stand in another order is found again whole, claims and all", async () => {
    const reference = measured("main", leaningDictionary());
    const copy = {
      ...measured("copy", permuted(reference.dictionary, shuffled)),
      latents: shuffled.map((j) => reference.latents[j]),
    };
    const { latents } = await stability({ store: randomStore(), reference, others: [copy], threads: 1 });
    const fired = latents.filter(({ nCompared }) => nCompared > 0);
    expect(fired.length).toBeGreaterThan(N - 4);
    for (const row of fired) {
      expect(partnersOf(row)).toEqual([`copy ${shuffled.indexOf(row.latent)}`]);
      expect(row.claimReplicated).toBe(reference.latents[row.latent].claim === "none" ? 0 : 1);
    }
    const { finetunedSpecific, baseSpecific, shared } = summariseStability(latents, reference.latents);
    for (const counts of [finetunedSpecific, baseSpecific]) {
      expect(counts.latents).toBeGreaterThan(2);
      expect(counts).toMatchObject({
        claimReplicatedInAll: counts.compared,
        meanDirectionFound: 1,
        meanClaimReplicated: 1,
      });
    }
    expect(shared).toMatchObject({ directionFoundInAll: shared.compared, meanClaimReplicated: 0 });
    expect(shared.latents - shared.compared).toBeGreaterThan(0); // 23 never fires
  });

  test("the same directions that fire on other rows are not found", async () => {
    const reference = measured("main", leaningDictionary());
    const strange = leaningDictionary(9);
    const other = { ...strange, decoderWeight: reference.dictionary.decoderWeight.slice() };
    const { latents } = await stability({
      store: randomStore(),
      reference,
      others: [measured("other", other)],
      threads: 1,
    });
    const compared = latents.filter(({ nCompared }) => nCompared > 0);
    expect(compared.every(({ bestCosine }) => bestCosine > 0.999999)).toBe(true);
    expect(
      compared.every(
        ({ directionFound, bestCorrelation }) => directionFound === (bestCorrelation >= 0.5 ? 1 : 0),
      ),
    ).toBe(true);
    expect(compared.filter(({ directionFound }) => directionFound === 0).length).toBeGreaterThan(N / 2);
  });

  test("a latent is compared along the side it leans to: the other row may be anything", async () => {
    const reference = measured("main", leaningDictionary());
    const other = permuted(reference.dictionary, shuffled, 0);
    const rng = createRng(3, "noise");
    shuffled.forEach((j, i) => {
      const from = i * 2 * D + (j % 4 === 0 ? D : 0);
      // W stays what it was: only the direction of the row that is not looked at is another one.
      const row = other.decoderWeight.subarray(from, from + D);
      const norm = Math.hypot(...row);
      const random = Array.from(row, (_, c) => rng.normal(i, c));
      const scale = norm / Math.hypot(...random);
      for (let c = 0; c < D; c += 1) row[c] = random[c] * scale;
    });
    const { latents } = await stability({
      store: randomStore(),
      reference,
      others: [measured("other", other)],
      threads: 1,
    });
    expect(latents.filter(({ side }) => side === "base").map(({ latent }) => latent % 4)).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
    for (const row of latents.filter(({ nCompared }) => nCompared > 0)) {
      expect(partnersOf(row)).toEqual([`other ${shuffled.indexOf(row.latent)}`]);
    }
  });

  test("a latent that never fired, or has no direction, is not compared: NaN there and nowhere else", async () => {
    const dictionary = leaningDictionary();
    dictionary.decoderWeight.fill(0, 2 * 2 * D, 3 * 2 * D);
    const reference = measured("main", dictionary);
    const silent = permuted(dictionary, shuffled);
    silent.encoderBias.fill(-1000);
    const { latents } = await stability({
      store: randomStore(),
      reference,
      others: [measured("silent", silent)],
      threads: 1,
    });
    for (const { latent, nCompared, bestCosine, bestCorrelation, directionFound } of latents) {
      const nothing = latent === 2 || latent === 23;
      if (nothing) expect(nCompared).toBe(0);
      expect([Number.isNaN(bestCosine), Number.isNaN(bestCorrelation)]).toEqual([
        nCompared === 0,
        nCompared === 0,
      ]);
      if (nCompared > 0) expect([bestCorrelation, directionFound]).toEqual([0, 0]);
    }
    expect(latents.filter(({ nCompared }) => nCompared === 1).length).toBeGreaterThan(N - 5);
  });
});

test("a match needs both the direction and the firing; the limits themselves suffice", () => {
  expect(isMatch({ cosine: 0.7, correlation: 0.5 })).toBe(true);
  expect(isMatch({ cosine: 0.69, correlation: 1 })).toBe(false);
  expect(isMatch({ cosine: 1, correlation: 0.49 })).toBe(false);
});

test("what does not belong together is refused", async () => {
  const store = randomStore();
  const reference = measured("main", leaningDictionary());
  await expect(stability({ store, reference, others: [] })).rejects.toThrow(MismatchError);
  await expect(stability({ store, reference, others: [reference] })).rejects.toThrow(/this one twice/);
  const wide = measured("wide", randomDictionary({ widths: [D, D + 1] }));
  await expect(stability({ store, reference, others: [wide] })).rejects.toThrow(MismatchError);
  const uncalibrated = measured("new", { ...leaningDictionary(), inferenceThreshold: -1 });
  await expect(stability({ store, reference, others: [uncalibrated] })).rejects.toThrow(/calibrated/);
  const short = { ...measured("short", leaningDictionary()), latents: reference.latents.slice(1) };
  await expect(stability({ store, reference, others: [short] })).rejects.toThrow(ShapeError);
});
