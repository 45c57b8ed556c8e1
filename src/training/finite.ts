// The check before every update: a step whose loss or gradient is not finite must not touch the parameters.

import { NumericsError } from "../errors.ts";
import type { Engine, StepResult } from "./engine-contract.ts";

/** Throws NumericsError naming step, tensor, first bad index and the last good checkpoint. Looks into tensors only when it must. */
export function requireFinite(
  result: StepResult,
  { engine, step, checkpoint }: { engine: Engine; step: number; checkpoint: string | undefined },
): void {
  const { loss, auxLoss, penaltyLoss = 0, gradientNorm } = result;
  if ([loss, auxLoss, penaltyLoss, gradientNorm].every(Number.isFinite)) return;
  const { x, residual } = engine.lastBatch();
  const candidates: [string, Float32Array][] = [
    ["activations of the batch", x],
    ...Object.entries(engine.parameters),
    ["residual", residual],
    ...Object.entries(engine.gradients).map(([name, data]): [string, Float32Array] => [
      `gradient of ${name}`,
      data,
    ]),
  ];
  const found = candidates
    .map(([name, data]) => ({ name, index: data.findIndex((value) => !Number.isFinite(value)), data }))
    .find(({ index }) => index >= 0);
  const where = found
    ? `${found.name}: expected finite numbers, got ${found.data[found.index]} at index ${found.index}`
    : `expected a finite loss and gradient, got loss ${loss}, auxiliary loss ${auxLoss}, penalty ${penaltyLoss}, gradient norm ${gradientNorm}`;
  throw new NumericsError(
    `training step ${step}: ${where}; last good checkpoint: ${checkpoint ?? "none yet"}`,
    {
      hint:
        found?.data === x
          ? "the store holds activations that are not finite: harvest it again"
          : "lower the learning rate and train again",
    },
  );
}
