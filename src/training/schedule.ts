// Learning rate and k as pure functions of the step, so that a resumed run needs no state for them.
//
// Linear warm-up, plateau, linear decay to 0. The reference's very first update has learning rate 0; ours has 1/warmupSteps
// of the plateau, everything else one step earlier: a deliberate difference of one step.

import type { TrainConfig, TrainConstants } from "./config.ts";

/** Learning rate of the update that completes step `step` + 1 (steps count from 0). */
export function learningRateAt(
  step: number,
  { learningRate, steps }: Pick<TrainConfig, "learningRate" | "steps">,
  { warmupSteps, decayStartStep }: Pick<TrainConstants, "warmupSteps" | "decayStartStep">,
): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  if (step < decayStartStep) return learningRate;
  return (learningRate * (steps - step)) / (steps - decayStartStep);
}

/**
 * k of step `step`: from kStart to k over kAnnealingSteps, rounded, at least 1. Without annealing steps it is k from the
 * first step on (the reference stays at its starting value for ever then, which no one wants).
 */
export function kAt(
  step: number,
  { k, kStart = k, kAnnealingSteps }: Pick<TrainConfig, "k" | "kStart" | "kAnnealingSteps">,
): number {
  if (step >= kAnnealingSteps) return k;
  return Math.max(1, Math.round(kStart - (kStart - k) * (step / kAnnealingSteps)));
}
