// The check before every update: a step whose loss or gradient is not finite must not touch the parameters.

import { NumericsError } from "../errors.ts";
import { type Engine, PARAMETER_NAMES, type StepResult } from "./engine-contract.ts";

/** Throws NumericsError naming step, tensor, first bad index and the last good checkpoint. Looks into tensors only when it must. */
export async function requireFinite(
  result: StepResult,
  { engine, step, checkpoint }: { engine: Engine; step: number; checkpoint: string | undefined },
): Promise<void> {
  const { loss, auxLoss, penaltyLoss = 0, gradientNorm } = result;
  if ([loss, auxLoss, penaltyLoss, gradientNorm].every(Number.isFinite)) return;
  const found = await firstBadTensor(engine);
  const where = found
    ? `${found.name}: expected finite numbers, got ${found.value} at index ${found.index}`
    : `expected a finite loss and gradient, got loss ${loss}, auxiliary loss ${auxLoss}, penalty ${penaltyLoss}, gradient norm ${gradientNorm}`;
  throw new NumericsError(
    `training step ${step}: ${where}; last good checkpoint: ${checkpoint ?? "none yet"}`,
    {
      hint:
        found?.name === BATCH
          ? "the store holds activations that are not finite: harvest it again"
          : "lower the learning rate and train again",
    },
  );
}

const BATCH = "activations of the batch";

interface BadTensor {
  name: string;
  index: number;
  value: number;
}

/** In the order of the arithmetic: what the batch brought, what the parameters held, what came of both. */
async function firstBadTensor(engine: Engine): Promise<BadTensor | undefined> {
  const { x, residual } = await engine.lastBatch();
  const candidates: [string, () => Promise<Float32Array>][] = [
    [BATCH, async () => x],
    ...PARAMETER_NAMES.map((name): [string, () => Promise<Float32Array>] => [
      name,
      () => engine.read("parameter", name),
    ]),
    ["residual", async () => residual],
    ...PARAMETER_NAMES.map((name): [string, () => Promise<Float32Array>] => [
      `gradient of ${name}`,
      () => engine.read("gradient", name),
    ]),
  ];
  for (const [name, load] of candidates) {
    const data = await load();
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return { name, index, value: data[index] };
  }
  return undefined;
}
