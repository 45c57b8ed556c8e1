// Learning rate, k and penalty as pure functions of the step, so that a resumed run needs no state for them.
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
 * k of step `step`: from kStart to k over kAnnealingSteps, rounded (a half to the even number), at least 1.
 *
 * The reference's trap: without annealing steps its trainer stays at the starting value for the whole run, and its command
 * starts at 2048 with none, so that asking for k = 100 alone trains with 2048. Here it is k from the first step on then.
 */
export function kAt(
  step: number,
  { k, kStart = k, kAnnealingSteps }: Pick<TrainConfig, "k" | "kStart" | "kAnnealingSteps">,
): number {
  if (step >= kAnnealingSteps) return k;
  return Math.max(1, roundHalfToEven(kStart - (kStart - k) * (step / kAnnealingSteps)));
}

/** As the reference's language rounds; Math.round takes halves up. */
function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** μ of step `step`: from penalty / penaltyWarmupSteps up to penalty, which it is at once without warm-up (the paper). */
export function penaltyAt(step: number, penalty: number, penaltyWarmupSteps: number): number {
  return step < penaltyWarmupSteps ? (penalty * (step + 1)) / penaltyWarmupSteps : penalty;
}
