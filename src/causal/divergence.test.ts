import { describe, expect, test } from "vitest";
import { createKernels } from "../compute/kernels.ts";
import { NumericsError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { METRICS, type PositionMetrics } from "./causal-contract.ts";
import { createDivergence } from "./divergence.ts";
import { divergenceReference } from "./divergence-reference.ts";

const rng = createRng(5, "divergence.test");
const row = (n: number, stream: number, scale = 4): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => scale * rng.normal(stream, i));
const one = (): PositionMetrics => ({
  kl: new Float64Array(1),
  nll: new Float64Array(1),
  nllArgmax: new Float64Array(1),
  klBase: new Float64Array(1),
});
const place = (): string => 'conversation "a", position 3';
const DIRECTIONS = ["finetuned-from-hybrid", "hybrid-from-finetuned"] as const;

describe("a row's numbers equal the twin's", () => {
  const cases = [1, 2, 3, 4, 5, 7, 64, 97, 1003].map((n) => ({
    base: n,
    finetuned: n,
    excluded: [] as number[],
  }));
  cases.push(
    { base: 10, finetuned: 13, excluded: [] },
    { base: 13, finetuned: 10, excluded: [2, 7] },
    { base: 40, finetuned: 40, excluded: [0, 39] },
  );
  for (const { base, finetuned, excluded } of cases) {
    for (const klDirection of DIRECTIONS) {
      test(`${klDirection}, vocabularies ${base} and ${finetuned}, ${excluded.length} ids left out`, () => {
        const nShared = Math.min(base, finetuned);
        const marks = Uint8Array.from({ length: nShared }, (_, id) => (excluded.includes(id) ? 1 : 0));
        const divergence = createDivergence({
          ...{ vocabulary: { base, finetuned }, klDirection },
          excluded: excluded.length > 0 ? marks : undefined,
        });
        const common = Array.from({ length: nShared }, (_, id) => id).filter((id) => !excluded.includes(id));
        const own = { base: row(base, 1), finetuned: row(finetuned, 2) };
        divergence.setReference(own, place);
        for (const scale of [0.1, 4, 200]) {
          const hybrid = row(finetuned, 3, scale);
          const into = one();
          const next = finetuned - 1;
          divergence.measure(hybrid, { next, into, at: 0, place });
          const expected = divergenceReference({
            ...{ base: [...own.base], finetuned: [...own.finetuned], hybrid: [...hybrid] },
            ...{ next, common, klDirection },
          });
          // f64 sums of at most 1003 terms up to 1000 in size, in another order; the polynomial's exp is good to 1e-14.
          for (const name of METRICS) {
            expect(Math.abs(into[name][0] - expected[name]), name).toBeLessThan(1e-11 * (1 + expected[name]));
          }
        }
      });
    }
  }
});

test.each(DIRECTIONS)(
  "a row equal to the fine-tune's own has KL 0 without rounding, one equal to the base's klBase 0: %s",
  (klDirection) => {
    const divergence = createDivergence({ vocabulary: { base: 99, finetuned: 99 }, klDirection });
    const own = { base: row(99, 4), finetuned: row(99, 5) };
    divergence.setReference(own, place);
    const [first, second] = [one(), one()];
    divergence.measure(own.finetuned, { next: 0, into: first, at: 0, place });
    divergence.measure(own.base, { next: 0, into: second, at: 0, place });
    expect(first.kl[0]).toBe(0);
    expect(first.klBase[0]).toBeGreaterThan(0.1);
    expect(second.klBase[0]).toBe(0);
    expect(second.kl[0]).toBeGreaterThan(0.1);
  },
);

test("rows that differ by f32 rounding alone have a KL below 1e-11", () => {
  const divergence = createDivergence({
    vocabulary: { base: 999, finetuned: 999 },
    klDirection: DIRECTIONS[0],
  });
  const own = row(999, 6);
  divergence.setReference({ base: own, finetuned: own }, place);
  const into = one();
  // 2^-22 of each logit: KL is of second order in it.
  const near = own.map((logit, i) => logit * (1 + (i % 2 === 0 ? 2 ** -22 : -(2 ** -22))));
  divergence.measure(near, { next: 0, into, at: 0, place });
  expect(into.kl[0]).toBeLessThan(1e-11);
});

test("the kernel's exponentials are those of Math.exp to 1e-14, from 0 down to where f64 ends", () => {
  const kernels = createKernels({ bytes: 1 << 20 });
  const n = 4003;
  const x = kernels.f32(n);
  for (let i = 0; i < n; i += 1) x[i] = 0 - i * i * 4.3e-5;
  const e = kernels.f64(n);
  const { max, sum } = kernels.exponentials(x, e);
  expect(max).toBe(0);
  expect(e[0]).toBe(1);
  expect(sum).toBeCloseTo(
    e.reduce((total, value) => total + value, 0),
    10,
  );
  // Below −700 the kernel stays at exp(−700), nothing against the 1 of the greatest.
  e.forEach((value, i) => {
    const expected = Math.exp(Math.max(-700, x[i]));
    expect(Math.abs(value / expected - 1), `at ${x[i]}`).toBeLessThan(1e-14);
  });
});

describe("refused", () => {
  const make = () => createDivergence({ vocabulary: { base: 9, finetuned: 9 }, klDirection: DIRECTIONS[0] });
  const own = { base: row(9, 7), finetuned: row(9, 8) };

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "a logit of %d, with place and token id, wherever it is",
    (bad) => {
      const damaged = row(9, 9);
      damaged[6] = bad;
      const damagedRow = (which: "base" | "finetuned" | "row") => () => {
        const divergence = make();
        divergence.setReference({ ...own, ...(which === "row" ? {} : { [which]: damaged }) }, place);
        divergence.measure(which === "row" ? damaged : row(9, 10), { next: 0, into: one(), at: 0, place });
      };
      for (const which of ["base", "finetuned", "row"] as const) {
        expect(damagedRow(which)).toThrow(NumericsError);
        expect(damagedRow(which)).toThrow(
          /conversation "a", position 3: the .* token id 6: expected a finite logit/,
        );
      }
    },
  );

  test("rows of another length, an id outside, marks of another length, nothing in common", () => {
    const divergence = make();
    expect(() => divergence.setReference({ ...own, base: row(8, 1) }, place)).toThrow(ShapeError);
    divergence.setReference(own, place);
    const entry = { next: 0, into: one(), at: 0, place };
    expect(() => divergence.measure(row(8, 1), entry)).toThrow(ShapeError);
    expect(() => divergence.measure(row(9, 1), { ...entry, next: 9 })).toThrow(ShapeError);
    const common = { vocabulary: { base: 3, finetuned: 3 }, klDirection: DIRECTIONS[0] };
    expect(() => createDivergence({ ...common, excluded: new Uint8Array(2) })).toThrow(ShapeError);
    expect(() => createDivergence({ ...common, excluded: Uint8Array.of(1, 1, 1) })).toThrow(ShapeError);
  });
});
