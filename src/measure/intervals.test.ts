import { describe, expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { bootstrapIntervals, createResampling, intervalsOfLatent } from "./intervals.ts";
import { intervalsReference } from "./intervals-reference.ts";
import { createLatentSums, type LatentSums, N_SUMS, type RowGeometry, SUM } from "./latent-scaling.ts";
import {
  DIRECTIONS,
  type Direction,
  type Interval,
  type LatentIntervals,
  NU_NAMES,
  type NuName,
} from "./measure-contract.ts";

const UNBOUNDED: Interval = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
const GEOMETRY: RowGeometry = { squaredBase: 0.5, squaredFinetuned: 1.25, inner: 0.4 };

type SumName = keyof typeof SUM;
const ALONG: SumName[] = [
  "alongFinetunedActivationBase",
  "alongFinetunedActivationFinetuned",
  "alongFinetunedReconstructionBase",
  "alongFinetunedReconstructionFinetuned",
  "alongBaseActivationBase",
  "alongBaseActivationFinetuned",
  "alongBaseReconstructionBase",
  "alongBaseReconstructionFinetuned",
];
/** Σ f<d, y> over Σf² in the population from which groups are drawn, in the order of ALONG. */
const MEANS = [0.3, 1.2, 0.25, 0.9, 0.4, 0.35, 0.3, 0.2];

function set(
  sums: LatentSums,
  { group, latent }: { group: number; latent: number },
  entries: Partial<Record<SumName, number>>,
) {
  for (const [name, value] of Object.entries(entries)) {
    sums.values[(group * sums.nLatents + latent) * N_SUMS + SUM[name as SumName]] = value;
  }
}

/** Groups of unequal size, each with means of its own around MEANS; `fires` says where. */
function randomSums({
  nGroups,
  nLatents,
  seed,
  spread = 0.3,
  fires = () => true,
}: {
  nGroups: number;
  nLatents: number;
  seed: number;
  spread?: number;
  fires?: (latent: number, group: number) => boolean;
}): LatentSums {
  const rng = createRng(seed, "interval sums");
  const sums = createLatentSums(nGroups, nLatents);
  for (let latent = 0; latent < nLatents; latent += 1) {
    for (let group = 0; group < nGroups; group += 1) {
      if (!fires(latent, group)) continue;
      const energy = Math.exp(0.5 * rng.normal(latent, group));
      set(sums, { group, latent }, { fired: 10, codeSquared: energy });
      for (const [i, name] of ALONG.entries()) {
        const mean = MEANS[i] + spread * rng.normal(latent, (i + 1) * nGroups + group);
        set(sums, { group, latent }, { [name]: energy * mean });
      }
    }
  }
  return sums;
}

function truth({
  squaredBase,
  squaredFinetuned,
  inner,
}: RowGeometry): Record<Direction, Record<NuName, number>> {
  const [fab, faf, frb, frf, bab, baf, brb, brf] = MEANS;
  const across = inner ?? Number.NaN;
  return {
    finetuned: {
      nuActivation: fab / faf,
      nuReconstruction: frb / frf,
      nuError: (fab - frb + across) / (faf - frf + squaredFinetuned),
    },
    base: {
      nuActivation: baf / bab,
      nuReconstruction: brf / brb,
      nuError: (baf - brf + across) / (bab - brb + squaredBase),
    },
  };
}

function eachInterval(
  intervals: LatentIntervals,
  see: (interval: Interval, direction: Direction, nu: NuName) => void,
): void {
  for (const direction of DIRECTIONS) for (const nu of NU_NAMES) see(intervals[direction][nu], direction, nu);
}

describe("the resampling", () => {
  const resampling = createResampling({ nGroups: 64, seed: 5 });

  test("every draw has as many groups as there are, and no group is favoured", () => {
    const { nDraws, nGroups, counts } = resampling;
    expect(nDraws).toBe(500);
    const perGroup = new Array<number>(nGroups).fill(0);
    for (let draw = 0; draw < nDraws; draw += 1) {
      const row = counts.subarray(draw * nGroups, (draw + 1) * nGroups);
      expect(row.reduce((sum, count) => sum + count, 0)).toBe(nGroups);
      for (const [group, count] of row.entries()) perGroup[group] += count;
    }
    // binomial of 32,000 picks at 1/64: 500 ± 22; five standard deviations
    for (const count of perGroup) expect(Math.abs(count - nDraws)).toBeLessThan(110);
  });

  test("is a pure function of its seed", () => {
    expect(createResampling({ nGroups: 64, seed: 5 }).counts).toEqual(resampling.counts);
    expect(createResampling({ nGroups: 64, seed: 6 }).counts).not.toEqual(resampling.counts);
  });

  test("too many groups for a u8, no group or too few draws are refused", () => {
    expect(() => createResampling({ nGroups: 256, seed: 0 })).toThrow(ShapeError);
    expect(() => createResampling({ nGroups: 0, seed: 0 })).toThrow(ShapeError);
    expect(() => createResampling({ nGroups: 64, nDraws: 40, seed: 0 })).toThrow(ShapeError);
  });
});

describe("the fast path against its slow twin", () => {
  const geometries: Record<string, RowGeometry> = {
    "one width": GEOMETRY,
    "two widths": { ...GEOMETRY, inner: null },
    "no base row": { squaredBase: 0, squaredFinetuned: 1.25, inner: 0 },
    "two widths, no base row": { squaredBase: 0, squaredFinetuned: 1.25, inner: null },
    "no finetuned row": { squaredBase: 0.5, squaredFinetuned: 0, inner: 0 },
  };

  test.each([
    [64, 101],
    [64, 401], // here a limit falls on an order statistic
    [7, 202],
    [2, 150],
    [1, 41],
  ])("%i groups, %i draws: the same limits, infinite ones included", (nGroups, nDraws) => {
    const resampling = createResampling({ nGroups, nDraws, seed: 11 });
    const seen = { finite: 0, infinite: 0 };
    for (const [name, geometry] of Object.entries(geometries)) {
      const firesIn = [nGroups, 0, 1, 5, nGroups];
      const sums = randomSums({
        nGroups,
        nLatents: firesIn.length,
        seed: 3,
        spread: 2, // some sums in the denominator cross zero
        fires: (latent, group) => (group * 5) % nGroups < firesIn[latent],
      });
      if (geometry.squaredBase === 0) clear(sums, "alongBase");
      if (geometry.squaredFinetuned === 0) clear(sums, "alongFinetuned");
      const columns = bootstrapIntervals(
        sums,
        firesIn.map(() => geometry),
        resampling,
      );
      for (let latent = 0; latent < firesIn.length; latent += 1) {
        const expected = intervalsReference(sums, latent, { geometry, resampling });
        const actual = intervalsOfLatent(columns, latent);
        expect(actual.nGroupsFired).toBe(expected.nGroupsFired);
        eachInterval(expected, (interval, direction, nu) => {
          for (const side of ["low", "high"] as const) {
            const [a, b] = [actual[direction][nu][side], interval[side]];
            const what = `${name}, latent ${latent}, ${direction} ${nu} ${side}: ${a} for ${b}`;
            if (!Number.isFinite(b)) expect(a, what).toBe(b);
            // f64 sums of 64 terms in another order; relative because denominators come near zero
            else expect(Math.abs(a - b), what).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(b)));
            seen[Number.isFinite(b) ? "finite" : "infinite"] += 1;
          }
        });
      }
    }
    expect(Math.min(seen.finite, seen.infinite)).toBeGreaterThan(10);
  });
});

function clear(sums: LatentSums, prefix: string): void {
  for (const name of ALONG.filter((sum) => sum.startsWith(prefix))) {
    for (let at = SUM[name]; at < sums.values.length; at += N_SUMS) sums.values[at] = 0;
  }
}

describe("what an interval says", () => {
  const resampling = createResampling({ nGroups: 64, seed: 7 });
  const nLatents = 400;

  test("it covers the true ratio in 90 to 99 of 100 repetitions, for each nu and direction", () => {
    const sums = randomSums({ nGroups: 64, nLatents, seed: 17 });
    const columns = bootstrapIntervals(sums, new Array<RowGeometry>(nLatents).fill(GEOMETRY), resampling);
    const covered: Record<string, number> = {};
    const width: Record<string, number> = {};
    for (let latent = 0; latent < nLatents; latent += 1) {
      eachInterval(intervalsOfLatent(columns, latent), ({ low, high }, direction, nu) => {
        const value = truth(GEOMETRY)[direction][nu];
        const key = `${direction} ${nu}`;
        covered[key] = (covered[key] ?? 0) + (low <= value && value <= high ? 1 : 0) / nLatents;
        width[key] = (width[key] ?? 0) + (high - low) / nLatents;
      });
    }
    expect(Object.keys(covered)).toHaveLength(6);
    // the percentile bootstrap of 64 groups falls a little short of 95; the binomial error of 400 is 1.1
    for (const [key, share] of Object.entries(covered)) {
      expect(share, key).toBeGreaterThan(0.9);
      expect(share, key).toBeLessThan(0.99);
      expect(width[key], key).toBeGreaterThan(0.01);
    }
  });

  test("groups that all say the same leave no width", () => {
    const sums = randomSums({ nGroups: 64, nLatents: 1, seed: 1, spread: 0 });
    eachInterval(
      intervalsOfLatent(bootstrapIntervals(sums, [GEOMETRY], resampling), 0),
      ({ low, high }, direction, nu) => {
        expect(low).toBeCloseTo(truth(GEOMETRY)[direction][nu], 12);
        expect(high).toBeCloseTo(truth(GEOMETRY)[direction][nu], 12);
      },
    );
  });

  test("a latent of up to three groups has no limits, one of four has, and one that never fired is NaN", () => {
    const firesIn = [0, 1, 2, 3, 4];
    const sums = randomSums({
      nGroups: 64,
      nLatents: firesIn.length,
      seed: 2,
      spread: 0.05,
      fires: (latent, group) => group % 16 === 0 && group / 16 < firesIn[latent],
    });
    const columns = bootstrapIntervals(
      sums,
      firesIn.map(() => GEOMETRY),
      resampling,
    );
    expect(Array.from(columns.nGroupsFired)).toEqual(firesIn);
    eachInterval(intervalsOfLatent(columns, 0), (interval) => {
      expect(interval).toEqual({ low: Number.NaN, high: Number.NaN });
    });
    for (const latent of [1, 2, 3]) {
      eachInterval(intervalsOfLatent(columns, latent), (interval) => expect(interval).toEqual(UNBOUNDED));
    }
    eachInterval(intervalsOfLatent(columns, 4), ({ low, high }) => {
      expect(Number.isFinite(low) && Number.isFinite(high)).toBe(true);
    });
  });

  test("a negative own beta gives no limits to its own nu and leaves the others alone", () => {
    const sums = randomSums({ nGroups: 64, nLatents: 1, seed: 4, spread: 0.05 });
    for (let at = SUM.alongFinetunedReconstructionFinetuned; at < sums.values.length; at += N_SUMS) {
      sums.values[at] *= -1;
    }
    const { finetuned, base } = intervalsOfLatent(bootstrapIntervals(sums, [GEOMETRY], resampling), 0);
    expect(finetuned.nuReconstruction).toEqual(UNBOUNDED);
    expect(Number.isFinite(finetuned.nuActivation.high)).toBe(true);
    expect(Number.isFinite(base.nuReconstruction.high)).toBe(true);
  });

  test("no limit is ever NaN for a latent that fired, not even of sums that are NaN", () => {
    const sums = randomSums({ nGroups: 64, nLatents: 1, seed: 4 });
    sums.values[SUM.alongFinetunedActivationBase] = Number.NaN;
    const intervals = intervalsOfLatent(bootstrapIntervals(sums, [GEOMETRY], resampling), 0);
    expect(intervals.finetuned.nuActivation).toEqual(UNBOUNDED);
    eachInterval(intervals, ({ low, high }) => expect(low <= high).toBe(true));
  });
});

describe("invariances", () => {
  const resampling = createResampling({ nGroups: 64, nDraws: 100, seed: 9 });
  const nLatents = 6;
  const sums = randomSums({ nGroups: 64, nLatents, seed: 8 });
  const geometry = Array.from({ length: nLatents }, (_, j) => ({ ...GEOMETRY, inner: 0.1 * j }));
  const whole = bootstrapIntervals(sums, geometry, resampling);

  test("a slice of the latents gives the same bits as the whole", () => {
    const slice = createLatentSums(64, 2);
    for (let group = 0; group < 64; group += 1) {
      const at = (group * nLatents + 3) * N_SUMS;
      slice.values.set(sums.values.subarray(at, at + 2 * N_SUMS), group * 2 * N_SUMS);
    }
    const columns = bootstrapIntervals(slice, geometry.slice(3, 5), resampling);
    for (const latent of [0, 1]) {
      expect(intervalsOfLatent(columns, latent)).toEqual(intervalsOfLatent(whole, latent + 3));
    }
  });

  test("swapping base and finetuned swaps the two directions", () => {
    const swapped = createLatentSums(64, nLatents);
    const other: Record<string, string> = { Base: "Finetuned", Finetuned: "Base" };
    const partner = (name: string): SumName =>
      name.replace(/Base|Finetuned/g, (side) => other[side]) as SumName;
    for (const [name, term] of Object.entries(SUM)) {
      for (let at = 0; at < sums.values.length; at += N_SUMS) {
        swapped.values[at + SUM[partner(name)]] = sums.values[at + term];
      }
    }
    const columns = bootstrapIntervals(
      swapped,
      geometry.map(({ squaredBase, squaredFinetuned, inner }) => ({
        squaredBase: squaredFinetuned,
        squaredFinetuned: squaredBase,
        inner,
      })),
      resampling,
    );
    for (let latent = 0; latent < nLatents; latent += 1) {
      const { finetuned, base, nGroupsFired } = intervalsOfLatent(whole, latent);
      expect(intervalsOfLatent(columns, latent)).toEqual({ finetuned: base, base: finetuned, nGroupsFired });
    }
  });

  test("a resampling of other groups or a geometry of other latents is refused", () => {
    const wrong = createResampling({ nGroups: 63, nDraws: 100, seed: 9 });
    expect(() => bootstrapIntervals(sums, geometry, wrong)).toThrow(ShapeError);
    expect(() => bootstrapIntervals(sums, geometry.slice(1), resampling)).toThrow(ShapeError);
  });
});
