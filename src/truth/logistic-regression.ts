// Logistic regression with an L2 penalty, full batch, by L-BFGS: the linear probe's fit.
//
// Minimises Σ_i log(1 + exp(−y_i(w·x_i + b))) + ½·l2·‖w‖², y = ±1, the intercept unpenalised (scikit-learn's objective
// with C = 1/l2). Nocedal & Wright, Numerical Optimization, ch. 7 (two-loop recursion) with Armijo backtracking: the
// objective is convex and smooth, so that suffices. Deterministic, f64.

const MEMORY = 8;
const ARMIJO = 1e-4;

export interface LogisticProblem {
  /** [nRows, width] f64, row-major; standardised columns converge fastest. */
  features: Float64Array;
  width: number;
  /** [nRows] 1 or 0. */
  labels: Uint8Array;
  /** Default 1. */
  l2?: number;
  /** Default 100. */
  maxIterations?: number;
  /** Stop when the largest gradient entry is below tolerance · nRows. Default 1e-5. */
  tolerance?: number;
}

export interface LogisticModel {
  weights: Float64Array;
  bias: number;
}

/** Fits the probe. With one class only, the weights stay 0. */
export function fitLogistic(problem: LogisticProblem): LogisticModel {
  const { width, labels, maxIterations = 100, tolerance = 1e-5 } = problem;
  const nRows = labels.length;
  let point: Float64Array = new Float64Array(width + 1); // weights, then the intercept
  const positives = labels.reduce((sum, label) => sum + label, 0);
  if (positives === 0 || positives === nRows) return { weights: point.slice(0, width), bias: 0 };
  point[width] = Math.log(positives / (nRows - positives));
  let { value, gradient } = objective(problem, point);
  const steps: { step: Float64Array; change: Float64Array; curvature: number }[] = [];
  for (let iteration = 0; iteration < maxIterations; iteration += 1) {
    if (largest(gradient) < tolerance * nRows) break;
    const direction = descentDirection(gradient, steps);
    const slope = dot(direction, gradient);
    let length = steps.length === 0 ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient))) : 1;
    let next = along(point, direction, length);
    let there = objective(problem, next);
    while (there.value > value + ARMIJO * length * slope && length > 1e-12) {
      length /= 2;
      next = along(point, direction, length);
      there = objective(problem, next);
    }
    if (!(there.value < value)) break; // at the precision of f64
    const step = along(next, point, -1);
    const change = along(there.gradient, gradient, -1);
    const curvature = dot(step, change);
    if (curvature > 0) steps.push({ step, change, curvature });
    if (steps.length > MEMORY) steps.shift();
    point = next;
    value = there.value;
    gradient = there.gradient;
  }
  return { weights: point.slice(0, width), bias: point[width] };
}

/** w·x + b of every row. */
export function logisticScores(model: LogisticModel, features: Float64Array): Float64Array {
  const width = model.weights.length;
  return Float64Array.from({ length: width === 0 ? 0 : features.length / width }, (_, row) => {
    let score = model.bias;
    for (let c = 0, at = row * width; c < width; c += 1, at += 1) score += model.weights[c] * features[at];
    return score;
  });
}

/** Value and gradient [width + 1] of the penalised loss. */
export function objective(
  { features, width, labels, l2 = 1 }: LogisticProblem,
  point: Float64Array,
): { value: number; gradient: Float64Array } {
  const gradient = new Float64Array(width + 1);
  let value = 0;
  for (let c = 0; c < width; c += 1) {
    value += 0.5 * l2 * point[c] * point[c];
    gradient[c] = l2 * point[c];
  }
  for (let row = 0; row < labels.length; row += 1) {
    const start = row * width;
    let score = point[width];
    for (let c = 0; c < width; c += 1) score += point[c] * features[start + c];
    const tail = Math.exp(-Math.abs(score)); // in (0, 1]: nothing overflows
    const probability = score >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
    value += Math.max(score, 0) - labels[row] * score + Math.log1p(tail);
    const residual = probability - labels[row];
    for (let c = 0; c < width; c += 1) gradient[c] += residual * features[start + c];
    gradient[width] += residual;
  }
  return { value, gradient };
}

/** −H·gradient by the two-loop recursion. */
function descentDirection(
  gradient: Float64Array,
  steps: { step: Float64Array; change: Float64Array; curvature: number }[],
): Float64Array {
  const direction = gradient.map((value) => -value);
  const factors: number[] = [];
  for (let i = steps.length - 1; i >= 0; i -= 1) {
    const { step, change, curvature } = steps[i];
    factors[i] = dot(step, direction) / curvature;
    addScaled(direction, change, -factors[i]);
  }
  const last = steps.at(-1);
  if (last !== undefined) {
    const scale = last.curvature / dot(last.change, last.change);
    for (let i = 0; i < direction.length; i += 1) direction[i] *= scale;
  }
  for (let i = 0; i < steps.length; i += 1) {
    const { step, change, curvature } = steps[i];
    addScaled(direction, step, factors[i] - dot(change, direction) / curvature);
  }
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}

function addScaled(target: Float64Array, other: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i += 1) target[i] += factor * other[i];
}

/** start + length · direction, as a new array. */
function along(start: Float64Array, direction: Float64Array, length: number): Float64Array {
  const result = start.slice();
  addScaled(result, direction, length);
  return result;
}

function largest(values: Float64Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
