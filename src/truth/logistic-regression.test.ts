import { describe, expect, test } from "vitest";
import { createRng } from "../numerics/rng.ts";
import { aurocDense } from "../numerics/statistics.ts";
import { fitLogistic, type LogisticProblem, logisticScores, objective } from "./logistic-regression.ts";

function noisyProblem(nRows: number, width: number): LogisticProblem {
  const rng = createRng(3, "logistic");
  const features = Float64Array.from({ length: nRows * width }, (_, i) => rng.normal(0, i));
  const labels = Uint8Array.from({ length: nRows }, (_, row) =>
    features[row * width] - 0.5 * features[row * width + 1] + rng.normal(1, row) > 0.8 ? 1 : 0,
  );
  return { features, width, labels };
}

describe("logistic regression", () => {
  test("the gradient of the objective agrees with central differences", () => {
    const problem = noisyProblem(40, 3);
    const point = Float64Array.from([0.4, -0.2, 0.1, -0.3]);
    const { gradient } = objective(problem, point);
    for (let c = 0; c < point.length; c += 1) {
      const shifted = (by: number) =>
        objective(
          problem,
          point.map((value, i) => (i === c ? value + by : value)),
        ).value;
      // error of central differences with h = 1e-5: h² ≈ 1e-10 times the third derivative, below 1e-6
      expect((shifted(1e-5) - shifted(-1e-5)) / 2e-5).toBeCloseTo(gradient[c], 6);
    }
  });

  test("the fit is the minimum: the gradient vanishes and no small step helps", () => {
    const problem = { ...noisyProblem(300, 6), tolerance: 1e-9 };
    const { weights, bias } = fitLogistic(problem);
    const point = Float64Array.from([...weights, bias]);
    const { value, gradient } = objective(problem, point);
    expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(1e-6);
    for (let c = 0; c < point.length; c += 1) {
      for (const by of [-1e-3, 1e-3]) {
        const moved = point.map((entry, i) => (i === c ? entry + by : entry));
        expect(objective(problem, moved).value).toBeGreaterThan(value);
      }
    }
  });

  test("with one feature it gives the weights that Newton's method reaches", () => {
    const problem: LogisticProblem = {
      features: Float64Array.from([-1, -1, 1, 1]),
      width: 1,
      labels: Uint8Array.from([0, 1, 1, 1]),
      tolerance: 1e-12,
    };
    let [w, b] = [0, 0];
    for (let step = 0; step < 20; step += 1) {
      let [gw, gb, hww, hwb, hbb] = [w, 0, 1, 0, 0];
      problem.features.forEach((x, i) => {
        const p = 1 / (1 + Math.exp(-(w * x + b)));
        gw += (p - problem.labels[i]) * x;
        gb += p - problem.labels[i];
        hww += p * (1 - p) * x * x;
        hwb += p * (1 - p) * x;
        hbb += p * (1 - p);
      });
      const determinant = hww * hbb - hwb * hwb;
      w -= (hbb * gw - hwb * gb) / determinant;
      b -= (hww * gb - hwb * gw) / determinant;
    }
    const model = fitLogistic(problem);
    expect(model.weights[0]).toBeCloseTo(w, 6);
    expect(model.bias).toBeCloseTo(b, 6);
  });

  test("columns of very different scale converge in few steps, as second-order information allows", () => {
    const { features, width, labels } = noisyProblem(300, 12);
    const scaled = features.map((value, i) => value * 3 ** ((i % width) % 3));
    const problem = { features: scaled, width, labels, tolerance: 1e-9, maxIterations: 60 };
    const { weights, bias } = fitLogistic(problem);
    const { gradient } = objective(problem, Float64Array.from([...weights, bias]));
    // reaches 2e-5; with one half of the two-loop recursion missing it stays above 1e-3
    expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(3e-4);
  });

  test("separable data is separated, and labels of one class fit nothing", () => {
    const features = Float64Array.from([-3, -2, -1, 1, 2, 3]);
    const labels = Uint8Array.from([0, 0, 0, 1, 1, 1]);
    const model = fitLogistic({ features, width: 1, labels });
    expect(aurocDense(logisticScores(model, features), labels)).toBe(1);
    const none = fitLogistic({ features, width: 1, labels: new Uint8Array(6) });
    expect(none).toEqual({ weights: new Float64Array(1), bias: 0 });
  });
});
