import { describe, expect, test } from "vitest";
import { createRng } from "../numerics/rng.ts";
import { errorImprovementOfLatent, type SquaredTotals } from "./error-improvement.ts";
import { addRow, createLatentSums, N_SUMS, rowGeometry, totalSums } from "./latent-scaling.ts";
import { type DenseCase, latentScalingReference } from "./latent-scaling-reference.ts";
import type { ErrorImprovement } from "./measure-contract.ts";

type Model = "base" | "finetuned";
const MODELS: Model[] = ["base", "finetuned"];

function randomCase(widths: Record<Model, number>, seed: number): DenseCase {
  const [nRows, nLatents] = [60, 5];
  const rng = createRng(seed, "error improvement");
  const matrix = (tag: number, nRowsOf: number, nColumns: number): number[][] =>
    Array.from({ length: nRowsOf }, (_, i) =>
      Array.from({ length: nColumns }, (_, c) => Math.fround(rng.normal(tag, i * 100 + c) + 0.2)),
    );
  return {
    activation: { base: matrix(0, nRows, widths.base), finetuned: matrix(1, nRows, widths.finetuned) },
    decoder: { base: matrix(2, nLatents, widths.base), finetuned: matrix(3, nLatents, widths.finetuned) },
    decoderBias: { base: matrix(4, 1, widths.base)[0], finetuned: matrix(5, 1, widths.finetuned)[0] },
    // the last latent never fires
    code: matrix(6, nRows, nLatents).map((row) => row.map((v, j) => (v > 0.5 && j < nLatents - 1 ? v : 0))),
  };
}

const reconstruct = (problem: DenseCase, model: Model): number[][] =>
  problem.code.map((codes) =>
    problem.decoderBias[model].map((bias, c) =>
      codes.reduce((sum, f, j) => sum + f * problem.decoder[model][j][c], bias),
    ),
  );
const difference = (a: number[][], b: number[][]): number[][] =>
  a.map((row, i) => row.map((value, c) => value - b[i][c]));
const squared = (rows: number[][]): number => rows.flat().reduce((sum, value) => sum + value * value, 0);

/** By definition: (Σ‖y‖² − Σ‖y − β·f·d‖²) / Σ‖y‖², every target built and every residual formed. */
function bruteForce(problem: DenseCase, latent: number, along: Model): Partial<ErrorImprovement> {
  const betas = latentScalingReference(problem, latent, along);
  const direction = problem.decoder[along][latent];
  const improvement = (model: Model, target: number[][], beta: number): number => {
    const own = problem.decoder[model][latent];
    const factor = Math.hypot(...direction) / Math.hypot(...own);
    const d = own.length === direction.length ? direction : own.map((value) => value * factor);
    const scaled = problem.code.map((codes) => d.map((value) => beta * codes[latent] * value));
    return (squared(target) - squared(difference(target, scaled))) / squared(target);
  };
  const errorTarget = (model: Model): number[][] =>
    difference(
      problem.activation[model],
      reconstruct(
        { ...problem, code: problem.code.map((row) => row.map((f, j) => (j === latent ? 0 : f))) },
        model,
      ),
    );
  return {
    activationBase: improvement("base", problem.activation.base, betas.betaActivationBase),
    activationFinetuned: improvement(
      "finetuned",
      problem.activation.finetuned,
      betas.betaActivationFinetuned,
    ),
    reconstructionBase: improvement("base", reconstruct(problem, "base"), betas.betaReconstructionBase),
    reconstructionFinetuned: improvement(
      "finetuned",
      reconstruct(problem, "finetuned"),
      betas.betaReconstructionFinetuned,
    ),
    errorBase: improvement("base", errorTarget("base"), betas.betaErrorBase),
    errorFinetuned: improvement("finetuned", errorTarget("finetuned"), betas.betaErrorFinetuned),
  };
}

/** The product's way: one sparse pass over the rows, then the closed form. */
function streamed(problem: DenseCase): { finetuned: ErrorImprovement; base: ErrorImprovement }[] {
  const nLatents = problem.code[0].length;
  const widths = { base: problem.decoder.base[0].length, finetuned: problem.decoder.finetuned[0].length };
  const decoder = Float32Array.from(
    problem.decoder.base.flatMap((row, j) => [...row, ...problem.decoder.finetuned[j]]),
  );
  const reconstructions = {
    base: reconstruct(problem, "base"),
    finetuned: reconstruct(problem, "finetuned"),
  };
  const sums = createLatentSums(2, nLatents);
  for (const [i, codes] of problem.code.entries()) {
    const fired = codes.flatMap((f, j) => (f > 0 ? [j] : []));
    addRow(sums, decoder, widths, {
      group: i % 2,
      onTemplate: false,
      activation: Float64Array.from(MODELS.flatMap((model) => problem.activation[model][i])),
      reconstruction: Float64Array.from(MODELS.flatMap((model) => reconstructions[model][i])),
      latent: Uint32Array.from(fired),
      code: Float32Array.from(fired, (j) => codes[j]),
      from: 0,
      to: fired.length,
    });
  }
  const of = (square: (model: Model) => number): Record<Model, number> => ({
    base: square("base"),
    finetuned: square("finetuned"),
  });
  const totals: SquaredTotals = {
    squaredActivation: of((model) => squared(problem.activation[model])),
    squaredReconstruction: of((model) => squared(reconstructions[model])),
    squaredError: of((model) => squared(difference(problem.activation[model], reconstructions[model]))),
  };
  const all = totalSums(sums);
  return Array.from({ length: nLatents }, (_, j) =>
    errorImprovementOfLatent(
      all.subarray(j * N_SUMS, (j + 1) * N_SUMS),
      rowGeometry(decoder, widths, j),
      totals,
    ),
  );
}

const RATIOS = ["activation", "reconstruction", "error"] as const;

describe("the closed form against residuals that are really formed", () => {
  test.each([
    [6, 6],
    [4, 7],
  ])("widths %i and %i: all improvements agree to 1e-9 in both directions", (base, finetuned) => {
    const problem = randomCase({ base, finetuned }, 1);
    const improvements = streamed(problem);
    for (const latent of [0, 1, 2, 3]) {
      for (const along of MODELS) {
        const expected = bruteForce(problem, latent, along);
        expect(Object.keys(expected)).toHaveLength(6);
        for (const [key, value] of Object.entries(expected)) {
          const actual = improvements[latent][along][key as keyof ErrorImprovement];
          // f64 sums of some hundred terms of order 1
          expect(Math.abs(actual - value), `${latent} ${along} ${key}`).toBeLessThan(1e-9);
          expect(actual > 0 && actual < 1).toBe(true);
        }
        for (const target of RATIOS) {
          const [own, other] =
            along === "base"
              ? [expected[`${target}Base`], expected[`${target}Finetuned`]]
              : [expected[`${target}Finetuned`], expected[`${target}Base`]];
          const ratio = (other as number) / (own as number);
          // relative: an own improvement may be as small as 1e-4
          expect(
            Math.abs(improvements[latent][along][`${target}Ratio`] / ratio - 1),
            `${latent} ${along} ${target}`,
          ).toBeLessThan(1e-9);
        }
      }
    }
  });
});

describe("what it says", () => {
  test("a latent that never fired has no improvement", () => {
    const { finetuned, base } = streamed(randomCase({ base: 6, finetuned: 6 }, 2))[4];
    for (const value of [...Object.values(finetuned), ...Object.values(base)]) expect(value).toBeNaN();
  });

  test("a dictionary of one latent that explains its model wholly improves the error by all of it", () => {
    const code = [[1], [2], [0], [3]];
    const rows = (d: number[], factor: number): number[][] =>
      code.map(([f]) => d.map((value) => factor * f * value));
    const problem: DenseCase = {
      activation: { base: rows([3, 4], 0.25), finetuned: rows([3, 4], 1) },
      decoder: { base: [[0.75, 1]], finetuned: [[3, 4]] },
      decoderBias: { base: [0, 0], finetuned: [0, 0] },
      code,
    };
    const [{ finetuned, base }] = streamed(problem);
    expect(finetuned.errorFinetuned).toBeCloseTo(1, 12);
    expect(finetuned.errorBase).toBeCloseTo(1, 12);
    expect(base.reconstructionRatio).toBeCloseTo(1, 12);
  });

  test("what the other model does not hold improves nothing there", () => {
    const code = [[1], [2], [3], [4]];
    const problem: DenseCase = {
      activation: { base: code.map(() => [0, 1]), finetuned: code.map(([f]) => [f, 1]) },
      decoder: { base: [[0, 0]], finetuned: [[1, 0]] },
      decoderBias: { base: [0, 0], finetuned: [0, 1] },
      code,
    };
    const [{ finetuned, base }] = streamed(problem);
    expect([finetuned.errorBase, finetuned.errorFinetuned, finetuned.errorRatio]).toEqual([0, 1, 0]);
    expect(finetuned.activationRatio).toBe(0);
    expect(base.errorRatio).toBeNaN(); // it has no base row to look along
  });

  test("swapping base and finetuned swaps the directions", () => {
    const problem = randomCase({ base: 5, finetuned: 5 }, 3);
    const swap = <T>({ base, finetuned }: Record<Model, T>): Record<Model, T> => ({
      base: finetuned,
      finetuned: base,
    });
    const swapped = streamed({
      activation: swap(problem.activation),
      decoder: swap(problem.decoder),
      decoderBias: swap(problem.decoderBias),
      code: problem.code,
    });
    const original = streamed(problem);
    for (const latent of [0, 1, 2, 3]) {
      for (const target of RATIOS) {
        expect(swapped[latent].base[`${target}Base`]).toBe(original[latent].finetuned[`${target}Finetuned`]);
        expect(swapped[latent].base[`${target}Ratio`]).toBe(original[latent].finetuned[`${target}Ratio`]);
      }
    }
  });
});
