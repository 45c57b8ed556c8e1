// The check before every update: a step whose batch, loss or gradient is not finite must not touch the parameters.
//
// The batch is looked at before anything is computed from it, losses and the gradient's norm after; tensors only when one of
// those is bad. What is then done about it is the run's policy, training-run.ts; what is kept of it, forensics.ts.

import {
  type Engine,
  PARAMETER_NAMES,
  type ParameterName,
  type StepResult,
  shapeOf,
} from "./engine-contract.ts";
import { type PassedStep, type ShownNumber, shownNumber } from "./metrics.ts";
import { chunksOf, firstNonFinite } from "./row-chunks.ts";

export const BATCH = "activations of the batch";

/** Why a step cannot be applied. */
export type BadStep = Omit<PassedStep, "batchStep">;

/** x: a batch. Undefined when all of it is finite. */
export function badBatch(x: Float32Array): BadStep | undefined {
  const index = firstNonFinite(x);
  return index < 0 ? undefined : { tensor: BATCH, index, value: shownNumber(x[index]) };
}

/** What is not finite in a step that has been computed but not applied; undefined when nothing is. */
export async function badResult(
  result: StepResult,
  { engine, shape }: { engine: Engine; shape: { nLatents: number; width: number } },
): Promise<BadStep | undefined> {
  const { loss, auxLoss, penaltyLoss, gradientNorm } = result;
  if ([loss, auxLoss, penaltyLoss ?? 0, gradientNorm].every(Number.isFinite)) return undefined;
  return {
    loss: shownNumber(loss),
    auxLoss: shownNumber(auxLoss),
    ...(penaltyLoss === undefined ? {} : { penaltyLoss: shownNumber(penaltyLoss) }),
    gradientNorm: shownNumber(gradientNorm),
    ...(await firstBadTensor(engine, shape)),
  };
}

/** In the order of the arithmetic, of a batch that is finite: what the parameters held, what came of both. */
async function firstBadTensor(
  engine: Engine,
  shape: { nLatents: number; width: number },
): Promise<{ tensor: string; index: number; value: ShownNumber } | undefined> {
  const found = (tensor: string, index: number, value: number) => ({
    tensor,
    index,
    value: shownNumber(value),
  });
  async function inParameters(kind: "parameter" | "gradient", label: (name: ParameterName) => string) {
    for (const name of PARAMETER_NAMES) {
      const { nRows, rowLength } = shapeOf(name, shape);
      for (const rows of chunksOf(nRows, rowLength)) {
        const data = await engine.read(kind, name, rows);
        const index = firstNonFinite(data);
        if (index >= 0) return found(label(name), rows.from * rowLength + index, data[index]);
      }
    }
    return undefined;
  }
  const parameter = await inParameters("parameter", (name) => name);
  if (parameter !== undefined) return parameter;
  const { residual } = await engine.lastBatch();
  const inResidual = firstNonFinite(residual);
  if (inResidual >= 0) return found("residual", inResidual, residual[inResidual]);
  return inParameters("gradient", (name) => `gradient of ${name}`);
}

/** "activations of the batch: expected finite numbers, got NaN at index 5". */
export function describeBadStep({ tensor, index, value, ...figures }: BadStep): string {
  if (tensor !== undefined) return `${tensor}: expected finite numbers, got ${value} at index ${index}`;
  const { loss, auxLoss, penaltyLoss, gradientNorm } = figures;
  const penalty = penaltyLoss === undefined ? "" : `, penalty ${penaltyLoss}`;
  return `expected a finite loss and gradient, got loss ${loss}, auxiliary loss ${auxLoss}${penalty}, gradient norm ${gradientNorm}`;
}

export function hintForBadStep({ tensor }: BadStep): string {
  return tensor === BATCH
    ? "the store holds activations that are not finite: harvest it again"
    : "lower the learning rate and train again";
}
