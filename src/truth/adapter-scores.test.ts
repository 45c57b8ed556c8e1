import { beforeAll, describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { MismatchError, NumericsError, ShapeError } from "../errors.ts";
import { createMemoryStore, type MemoryDocument, pairSites } from "../measure/memory-store.test.helper.ts";
import { createRng } from "../numerics/rng.ts";
import type { Split } from "../store/rows.ts";
import { createGateReader } from "./adapter-gates.ts";
import { type AdapterTruth, scoreAdapters } from "./adapter-scores.ts";

const D_MODEL = 12;
const rng = createRng(5, "adapters.test");
const vector = (step: number): number[] => Array.from({ length: D_MODEL }, (_, i) => rng.normal(step, i));
/** Oblique on purpose: a gate is not a dot product with its own direction. */
const DIRECTIONS = [vector(0), vector(1).map((x, i) => x + 0.8 * vector(0)[i]), vector(2)];
const adapters = DIRECTIONS.map((direction, i) => ({ name: `adapter-${i}`, direction }));

/** Planted gates of a row: each adapter on a seventh of the rows, the third with a negative gate; small noise elsewhere. */
function gatesOf(document: number, position: number): number[] {
  return DIRECTIONS.map((_, i) => {
    const noise = 0.01 * rng.normal(100 + document, position * 8 + i);
    const isOn = (document + position) % 7 === i;
    return (isOn ? (i === 2 ? -2 : 1.5) : 0) + noise;
  });
}

/** A row of the pair: anything for the base, the gates' sum on top for the fine-tune. The BOS row carries an absurd gate. */
function documentOf(index: number, split: Split): MemoryDocument {
  return {
    split,
    tokens: Array.from({ length: 20 }, (_, position) => {
      const base = Array.from({ length: D_MODEL }, (_, i) => 3 + rng.normal(1000 + index, position * 16 + i));
      const gates = position === 0 ? [500, -500, 500] : gatesOf(index, position);
      const finetuned = base.map((h, c) => h + gates.reduce((sum, g, i) => sum + g * DIRECTIONS[i][c], 0));
      return {
        role: position === 0 ? ("bos" as const) : ("text" as const),
        activation: [...base, ...finetuned],
      };
    }),
  };
}
const documents = (["train", "heldout", "test"] as const).flatMap((split, s) =>
  Array.from({ length: 30 }, (_, i) => documentOf(s * 30 + i, split)),
);
const store = createMemoryStore(pairSites(D_MODEL), documents);

/** Row i of B⁺, from the normal equations by Gauss–Jordan: the slow twin of the reader. */
function pseudoInverse(): number[][] {
  const n = DIRECTIONS.length;
  const rows = DIRECTIONS.map((a, i) => [
    ...DIRECTIONS.map((b) => a.reduce((sum, x, c) => sum + x * b[c], 0)),
    ...DIRECTIONS.map((_, j) => (i === j ? 1 : 0)),
  ]);
  for (let p = 0; p < n; p += 1) {
    const pivot = rows[p][p];
    rows[p] = rows[p].map((x) => x / pivot);
    for (let i = 0; i < n; i += 1) {
      const factor = rows[i][p];
      if (i !== p) rows[i] = rows[i].map((x, j) => x - factor * rows[p][j]);
    }
  }
  const inverse = rows.map((row) => row.slice(n));
  return inverse.map((row) =>
    Array.from({ length: D_MODEL }, (_, c) => row.reduce((sum, x, j) => sum + x * DIRECTIONS[j][c], 0)),
  );
}
const INVERSE = pseudoInverse();

/** A direction with no part in the span of the three. */
const outside = ((): number[] => {
  const rest = vector(3);
  const inSpan = INVERSE.map((row) => row.reduce((sum, x, c) => sum + x * rest[c], 0));
  return rest.map((x, c) => x - inSpan.reduce((sum, g, i) => sum + g * DIRECTIONS[i][c], 0));
})();

/**
 * reads: what the code is made of, as a functional of h_finetuned − h_base. 0: right. 1: the second direction, the first's
 * gate. 2: right, both signs turned. 3: neither direction nor gate. 4: right for the second adapter, but not always claimed.
 * 5: right for the first, less well.
 */
const LATENTS: { reads: number[]; writes: number[]; noise?: number }[] = [
  { reads: INVERSE[0], writes: DIRECTIONS[0] },
  { reads: INVERSE[0], writes: DIRECTIONS[1] },
  { reads: INVERSE[2].map((x) => -x), writes: DIRECTIONS[2].map((x) => -x) },
  { reads: new Array<number>(D_MODEL).fill(0), writes: outside, noise: 1 },
  { reads: INVERSE[1], writes: DIRECTIONS[1] },
  { reads: INVERSE[0], writes: DIRECTIONS[0], noise: 0.25 },
];
const dictionary: Dictionary = {
  sites: pairSites(D_MODEL),
  nLatents: LATENTS.length,
  width: 2 * D_MODEL,
  encoderWeight: Float32Array.from(
    LATENTS.flatMap(({ reads, noise = 0 }) => [...reads.map((x, c) => (c === 0 ? noise : 0) - x), ...reads]),
  ),
  encoderBias: Float32Array.from(LATENTS, ({ noise = 0 }) => -3 * noise),
  decoderWeight: Float32Array.from(LATENTS.flatMap(({ writes }) => [...writes.map(() => 0), ...writes])),
  decoderBias: new Float32Array(2 * D_MODEL),
  k: 1,
  inferenceThreshold: 0,
  normaliser: undefined,
};
const encoder = {
  maxRows: 64,
  encode: async (x: Float32Array, nRows: number) => encodeReference(dictionary, x, nRows),
  dispose: async () => {},
};

let truth: AdapterTruth;
beforeAll(async () => {
  truth = await scoreAdapters({ store, dictionary, adapters, claims: [0, 1, 2, 3, 5], encoder });
});

describe("adapters whose gates and directions are planted", () => {
  test("a claim with direction and gate is found, whatever the sign the two share", () => {
    expect(truth.adapters[0]).toMatchObject({ latent: 0, found: true, claimsAlong: 2 });
    expect(truth.adapters[2]).toMatchObject({ latent: 2, found: true, claimsAlong: 1 });
    for (const i of [0, 2]) {
      expect(truth.adapters[i].cosine).toBeCloseTo(1, 6);
      // ReLU cuts the half of the gate's noise that is below 0
      expect(truth.adapters[i].correlation).toBeGreaterThan(0.999);
    }
  });

  test("the right direction with another's gate is not found", () => {
    expect(truth.adapters[1]).toMatchObject({ latent: 1, found: false });
    expect(truth.adapters[1].cosine).toBeCloseTo(1, 6);
    expect(truth.adapters[1].correlation).toBeLessThan(0.1);
    expect(truth).toMatchObject({ planted: 3, found: 2 });
  });

  test("a latent that is not claimed cannot stand for an adapter", async () => {
    const all = await scoreAdapters({ store, dictionary, adapters, claims: [0, 1, 2, 3, 4, 5], encoder });
    expect(all.adapters[1]).toMatchObject({ latent: 4, found: true });
    expect(all.found).toBe(3);
  });

  test("a claim that has neither is counted as stray, one that has either is not", () => {
    expect(truth.claims.map(({ latent, answers }) => [latent, answers])).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, false],
      [5, true],
    ]);
    expect(truth.claims[3].spanCosine).toBeCloseTo(0, 5);
    expect(truth).toMatchObject({ strayClaims: 1, strayShare: 0.2 });
  });

  test("the claim is chosen on heldout, even where test would have liked another", async () => {
    // Coordinate 0 of the base is what makes latent 5 the worse one: without it, latent 5 is as good as any.
    const steady = documents.map((document) => ({
      ...document,
      tokens: document.tokens.map((token) => {
        const activation = Array.from(token.activation);
        const by = document.split === "test" ? 3 - activation[0] : 0;
        activation[0] += by;
        activation[D_MODEL] += by;
        return { ...token, activation };
      }),
    }));
    const noisy = { ...dictionary, encoderWeight: dictionary.encoderWeight.slice() };
    noisy.encoderWeight[1] += 0.1; // latent 0: a little noise in both splits, from coordinate 1
    const scored = await scoreAdapters({
      store: createMemoryStore(pairSites(D_MODEL), steady),
      dictionary: noisy,
      adapters,
      claims: [0, 5],
      encoder: { ...encoder, encode: async (x, nRows) => encodeReference(noisy, x, nRows) },
    });
    expect(scored.adapters[0].latent).toBe(0);
    expect(scored.claims[1].correlation).toBeGreaterThan(scored.claims[0].correlation);
  });

  test("correlations are Pearson's r over test rows without BOS", () => {
    const pairs = documents.flatMap((document, index) =>
      document.split !== "test"
        ? []
        : document.tokens.flatMap(({ activation }, position) => {
            if (position === 0) return [];
            const { code } = encodeReference(dictionary, Float32Array.from(activation), 1);
            const latents = encodeReference(dictionary, Float32Array.from(activation), 1).latent;
            return [[code[latents.indexOf(5)] ?? 0, gatesOf(index, position)[0]]];
          }),
    );
    const mean = (k: 0 | 1): number => pairs.reduce((sum, pair) => sum + pair[k], 0) / pairs.length;
    const [f, g] = [mean(0), mean(1)];
    const moment = (a: 0 | 1, b: 0 | 1): number =>
      pairs.reduce((sum, pair) => sum + (pair[a] - [f, g][a]) * (pair[b] - [f, g][b]), 0);
    const expected = moment(0, 1) / Math.sqrt(moment(0, 0) * moment(1, 1));
    expect(truth.claims[4].adapter).toBe("adapter-0");
    expect(truth.claims[4].correlation).toBeCloseTo(expected, 4); // gates from f32 activations of size 3
  });

  test("nothing of the difference lies outside the adapters' span", () => {
    expect(truth.unexplainedShare).toBeLessThan(1e-10); // f32 storage of values of size 3
  });

  test("no claims: nothing found, nothing stray", async () => {
    const none = await scoreAdapters({ store, dictionary, adapters, claims: [], encoder });
    expect(none).toMatchObject({ found: 0, strayClaims: 0, strayShare: 0 });
    expect(none.adapters[0].latent).toBe(-1);
  });

  test("a pair that these adapters did not make is refused", async () => {
    await expect(
      scoreAdapters({ store, dictionary, adapters: adapters.slice(1), claims: [0], encoder }),
    ).rejects.toThrow(MismatchError);
  });
});

describe("gates", () => {
  test("least squares gives planted gates back, and what lies outside the span", () => {
    const reader = createGateReader(DIRECTIONS, D_MODEL);
    const gates = new Float64Array(3);
    const planted = [0.5, -2, 0.25];
    const difference = outside.map(
      (x, c) => x + planted.reduce((sum, g, i) => sum + g * DIRECTIONS[i][c], 0),
    );
    const { squaredNorm, squaredResidual } = reader.read(difference, gates);
    for (const [i, gate] of gates.entries()) {
      expect(gate).toBeCloseTo(planted[i], 12);
      expect(gate).toBeCloseTo(
        INVERSE[i].reduce((sum, x, c) => sum + x * difference[c], 0),
        12,
      );
    }
    expect(squaredResidual).toBeCloseTo(
      outside.reduce((sum, x) => sum + x * x, 0),
      10,
    );
    expect(squaredNorm).toBeCloseTo(
      difference.reduce((sum, x) => sum + x * x, 0),
      12,
    );
  });

  test("the span's cosine is 1 inside, 0 outside", () => {
    const reader = createGateReader(DIRECTIONS, D_MODEL);
    expect(reader.spanCosine(DIRECTIONS[0].map((x, c) => x - 3 * DIRECTIONS[2][c]))).toBeCloseTo(1, 12);
    expect(reader.spanCosine(outside)).toBeCloseTo(0, 12);
    expect(reader.spanCosine(new Float64Array(D_MODEL))).toBe(0);
  });

  test("directions that cannot be told apart, have no length or another width are refused", () => {
    const doubled = [DIRECTIONS[0], DIRECTIONS[0].map((x) => 2 * x)];
    expect(() => createGateReader(doubled, D_MODEL)).toThrow(NumericsError);
    expect(() => createGateReader([new Float64Array(D_MODEL)], D_MODEL)).toThrow(NumericsError);
    expect(() => createGateReader(DIRECTIONS, D_MODEL + 1)).toThrow(ShapeError);
  });
});
