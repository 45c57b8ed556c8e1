// How much a linear probe already knows in each model: mean residual over a turn's region → does it show the concept?
//
// Fitted on train turns, AUROC on test turns. Context for the score, no part of it: a probe reads what is linearly
// there, in the base as in the fine-tune (spec: "report it, decide nothing by it").

import { throwIfInterrupted } from "../errors.ts";
import { createRng, keyedPermutation } from "../numerics/rng.ts";
import { aurocDense } from "../numerics/statistics.ts";
import type { Store } from "../store/store-contract.ts";
import { fitLogistic, logisticScores } from "./logistic-regression.ts";
import { type AssistantTurn, assistantTurns, turnLabels } from "./turns.ts";

export const MAX_PROBE_TURNS = 3000;

/** AUROC on test turns, by concept. */
export interface ProbeScores {
  base: number[];
  finetuned: number[];
}

export async function scoreProbes(options: {
  store: Store;
  conceptNames: readonly string[];
  /** Most train turns used; drawn by `seed` where there are more. */
  maxTurns?: number;
  seed: number;
  onFit?: (done: number, total: number) => void;
  signal?: AbortSignal;
}): Promise<ProbeScores> {
  const { store, conceptNames, maxTurns = MAX_PROBE_TURNS, seed, onFit, signal } = options;
  const trainTurns = sampleTurns(assistantTurns(store, ["train"]), maxTurns, seed);
  const testTurns = assistantTurns(store, ["test"]);
  const trainLabels = turnLabels(store, trainTurns, conceptNames);
  const testLabels = turnLabels(store, testTurns, conceptNames);
  const trainMeans = await regionMeans(store, trainTurns, signal);
  const testMeans = await regionMeans(store, testTurns, signal);
  const scores: ProbeScores = { base: [], finetuned: [] };
  const [base, finetuned] = store.manifest.sites;
  const total = 2 * conceptNames.length;
  for (const [side, from, width] of [
    ["base", 0, base.width],
    ["finetuned", base.width, finetuned.width],
  ] as const) {
    const columns = { from, width, stride: store.width };
    const standardiser = fitStandardiser(trainMeans, columns);
    const trainFeatures = standardise(trainMeans, standardiser, columns);
    const testFeatures = standardise(testMeans, standardiser, columns);
    for (let concept = 0; concept < conceptNames.length; concept += 1) {
      throwIfInterrupted(signal);
      await new Promise((resolve) => setImmediate(resolve)); // let signals and progress through between fits
      const model = fitLogistic({ features: trainFeatures, width, labels: trainLabels[concept] });
      scores[side].push(aurocDense(logisticScores(model, testFeatures), testLabels[concept]));
      onFit?.(scores.base.length + scores.finetuned.length, total);
    }
  }
  return scores;
}

function sampleTurns(turns: AssistantTurn[], most: number, seed: number): AssistantTurn[] {
  if (turns.length <= most) return turns;
  const permutation = keyedPermutation(createRng(seed, "truth.probe"), 0, turns.length);
  const chosen = Array.from({ length: most }, (_, i) => permutation(i)).sort((a, b) => a - b);
  return chosen.map((index) => turns[index]);
}

/** Mean raw activation over each turn's region: [nTurns, width] f64. */
async function regionMeans(
  store: Store,
  turns: readonly AssistantTurn[],
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const { width } = store;
  const means = new Float64Array(turns.length * width);
  for (const [index, { rows }] of turns.entries()) {
    throwIfInterrupted(signal);
    const first = rows[0];
    const x = await store.read(first, rows[rows.length - 1] + 1);
    for (const row of rows) {
      const from = (row - first) * width;
      for (let c = 0; c < width; c += 1) means[index * width + c] += x[from + c];
    }
    for (let c = 0; c < width; c += 1) means[index * width + c] /= rows.length;
  }
  return means;
}

interface Columns {
  from: number;
  width: number;
  stride: number;
}

interface Standardiser {
  mean: Float64Array;
  std: Float64Array;
}

function fitStandardiser(matrix: Float64Array, { from, width, stride }: Columns): Standardiser {
  const nRows = matrix.length / stride;
  const mean = new Float64Array(width);
  const std = new Float64Array(width);
  for (let row = 0; row < nRows; row += 1) {
    for (let c = 0; c < width; c += 1) mean[c] += matrix[row * stride + from + c] / nRows;
  }
  for (let row = 0; row < nRows; row += 1) {
    for (let c = 0; c < width; c += 1) std[c] += (matrix[row * stride + from + c] - mean[c]) ** 2 / nRows;
  }
  return { mean, std: std.map((variance) => Math.sqrt(variance) || 1) };
}

function standardise(
  matrix: Float64Array,
  { mean, std }: Standardiser,
  { from, width, stride }: Columns,
): Float64Array {
  const nRows = matrix.length / stride;
  const result = new Float64Array(nRows * width);
  for (let row = 0; row < nRows; row += 1) {
    for (let c = 0; c < width; c += 1) {
      result[row * width + c] = (matrix[row * stride + from + c] - mean[c]) / std[c];
    }
  }
  return result;
}
