// Four-way steering: base, base + latents, finetuned, finetuned − latents, for the same prompts and seeds.
//
// After Minder et al. 2025 (arXiv:2504.02922, App. N.2), which adds a latent's direction to the chat model; here the base gets it
// and the fine-tune loses it, each beside itself untouched. One model is open at a time. Whether the answers show a behaviour
// is counted in behaviour-rates.ts.

import { ConfigError, MismatchError } from "../errors.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { RunnerOptions } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { STEERED_ARMS, type SteeredAnswer, type SteeredArm } from "./causal-contract.ts";
import { describeDegenerate, referencePerplexity } from "./degenerate.ts";
import {
  type AnswerOptions,
  type ModelAnswer,
  openSteeredModel,
  type SteeredModelOptions,
} from "./steered-model.ts";

/** The arms of one model: untouched and steered, and with which sign. */
export const ARMS_OF: Record<ModelSide, { plain: SteeredArm; steered: SteeredArm; sign: 1 | -1 }> = {
  base: { plain: "base", steered: "base + latents", sign: 1 },
  finetuned: { plain: "finetuned", steered: "finetuned − latents", sign: -1 },
};

export interface SteerOptions
  extends Omit<AnswerOptions, "vector" | "onToken">,
    Pick<SteeredModelOptions, "stopIds" | "decode">,
    Pick<RunnerOptions, "threads" | "device"> {
  checkpoints: Record<ModelSide, Checkpoint>;
  /** The compared layer of each model. */
  layers: Record<ModelSide, number>;
  /** [dModel of the finetuned model] f32, raw activation units; see steeringVector. */
  vector: Float32Array;
  /** Default both, base first. */
  sides?: readonly ModelSide[];
  /** Called with each token as it is chosen, arm after arm. */
  onToken?: (token: SteeredToken) => void;
  /** Called with the answers of each side as soon as its model is done, in no order; the result holds them again. */
  onSide?: (answers: SteeredAnswer[]) => void;
  reportProgress?: ReportProgress | undefined;
}

export interface SteeredToken {
  arm: SteeredArm;
  prompt: number;
  seed: number;
  step: number;
  tokenId: number;
  isLast: boolean;
}

/**
 * The answers of every prompt and seed, the arms of each side by side.
 *
 * Throws MismatchError (a vector of another width than the model: a base of another width has no place for it), ConfigError
 * (prompt longer than the context, options), NumericsError (a push so strong that logits overflow), InterruptedError.
 */
export async function steer(options: SteerOptions): Promise<SteeredAnswer[]> {
  const {
    checkpoints,
    layers,
    vector,
    sides = ["base", "finetuned"],
    onToken,
    onSide,
    reportProgress,
    ...rest
  } = options;
  const { stopIds, decode, threads, device, ...question } = rest;
  if (sides.length === 0) throw new ConfigError("sides: expected base, finetuned or both, got none");
  for (const side of sides) requireWidth(side, checkpoints, vector);
  const total = 2 * sides.length * question.prompts.length * (question.seeds?.length ?? 1);
  let done = 0;
  const report = (): void => reportProgress?.({ stage: "steer", done, total, unit: "answers" });
  const answers: SteeredAnswer[] = [];
  for (const side of sides) {
    const { plain, steered, sign } = ARMS_OF[side];
    const model = await openSteeredModel({
      ...{ side, stopIds, decode, threads, device },
      checkpoint: checkpoints[side],
      layer: layers[side],
    });
    try {
      const ask = (arm: SteeredArm, pushed?: Float32Array): Promise<ModelAnswer[]> =>
        model.answer({
          ...question,
          vector: pushed,
          onToken: (token) => {
            onToken?.({ arm, ...token });
            if (!token.isLast) return;
            done += 1;
            report();
          },
        });
      const untouched = await ask(plain);
      const pushed = await ask(steered, sign === 1 ? vector : vector.map((value) => -value));
      const reference = referencePerplexity(untouched.map(({ perplexity }) => perplexity));
      const told = (arm: SteeredArm, given: ModelAnswer[]): SteeredAnswer[] =>
        given.map((answer) => ({ arm, ...answer, degenerate: describeDegenerate({ ...answer, reference }) }));
      const ofSide = [...told(plain, untouched), ...told(steered, pushed)];
      answers.push(...ofSide);
      onSide?.(ofSide);
    } finally {
      await model.dispose();
    }
  }
  const seeds = question.seeds ?? [0];
  const rank = ({ prompt, seed, arm }: SteeredAnswer): number =>
    (prompt * seeds.length + seeds.indexOf(seed)) * STEERED_ARMS.length + STEERED_ARMS.indexOf(arm);
  return answers.sort((a, b) => rank(a) - rank(b));
}

/** Throws MismatchError unless the vector, which lives in the finetuned model's residual, fits the model. */
export function requireWidth(
  side: ModelSide,
  checkpoints: Record<ModelSide, Pick<Checkpoint, "config">>,
  vector: Float32Array,
): void {
  const { dModel } = checkpoints[side].config;
  if (vector.length === dModel) return;
  const isOther = side === "base" && vector.length === checkpoints.finetuned.config.dModel;
  throw new MismatchError(
    isOther
      ? `base + latents: expected models of one width, got ${dModel} (base) and ${vector.length} (finetuned): a direction of the fine-tune has no place in the base's residual`
      : `${side}: expected a vector of the model's width ${dModel}, got ${vector.length}`,
    { hint: isOther ? "steer the fine-tune alone: --model finetuned" : "use the dictionary of this pair" },
  );
}
