// Both models with the mean activation difference added at every token: what they say then, beside what they say without.
//
// Minder et al. 2025 (arXiv:2510.13900) search the greatest strength at which a grader still calls the text coherent. Here a few
// strengths are tried side by side, in one batch with the unsteered texts and the same draws, and a text counts as coherent when
// it does not repeat itself and the same model, unsteered, does not find it unlikely. Which strength a behaviour needs is not said.

import type { Checkpoint } from "../lm/checkpoint.ts";
import { createGenerator } from "../lm/generate.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { DifferenceSteering } from "./glance-contract.ts";
import { type ModelUse, type NextTokenModel, openNextTokenModel, runnerOptions } from "./next-token-model.ts";
import { vectorNorm } from "./read-directions.ts";

export const STEERING = {
  /** Tokens of an answer. */
  newTokens: 40,
  temperature: 0,
  /** Each strength is half of the one before; the first moves the residual by firstShift of its mean norm, or is mostStrength. */
  strengths: 6,
  firstShift: 2,
  mostStrength: 100,
  /** Coherent: at most this share of the answer's 4-grams came before in it, or as many as without steering … */
  pieceTokens: 4,
  repetition: 0.4,
  /** … and at most so many nats a token, by the unsteered model, above the unsteered answers' mean. */
  excessNats: 2.5,
  /** Share of the prompts' answers that must be coherent. */
  coherentPrompts: 0.6,
} as const;

/** Asked where there is a chat template. */
export const NEUTRAL_REQUESTS = [
  "Tell me something.",
  "What shall I do today?",
  "I have a question.",
] as const;

export interface SteeringPrompt {
  /** As shown. */
  text: string;
  tokens: Record<ModelSide, ArrayLike<number>>;
}

export interface SteerDifferenceOptions extends ModelUse {
  model: ModelSide;
  checkpoint: Checkpoint;
  layer: number;
  /** [dModel], not zero: of this position. */
  direction: ArrayLike<number>;
  position: number;
  /** Mean norm of the residuals at the layer, without BOS. */
  residualNorm: number;
  prompts: readonly SteeringPrompt[];
  stopIds: readonly number[];
  /** Ids to text. */
  decode: (tokenIds: readonly number[]) => string;
  seed: number;
  signal?: AbortSignal | undefined;
}

interface Answer {
  prompt: number;
  sign: 1 | -1;
  strength: number;
  /** Without the stop id. */
  tokens: number[];
  degenerate: string;
}

/** For either sign the greatest coherent strength, or the least tried where none is: one entry a prompt. */
export async function steerWithDifference(options: SteerDifferenceOptions): Promise<DifferenceSteering[]> {
  const { model, prompts, position, decode } = options;
  const { unsteered, answers } = await generateAnswers(options);
  await judge(options, unsteered, answers);
  return ([1, -1] as const).flatMap((sign) => {
    const own = answers.filter((answer) => answer.sign === sign);
    const strength = greatestCoherent(own, prompts.length);
    return own
      .filter((answer) => answer.strength === strength)
      .map(
        (answer): DifferenceSteering => ({
          model,
          strength,
          sign,
          position,
          prompt: prompts[answer.prompt].text,
          steered: decode(answer.tokens),
          unsteered: decode(unsteered[answer.prompt].tokens),
          degenerate: answer.degenerate,
        }),
      );
  });
}

/** Falling, two digits each. */
export function strengthsToTry(directionNorm: number, residualNorm: number): number[] {
  const first = Math.min(STEERING.mostStrength, (STEERING.firstShift * residualNorm) / directionNorm);
  return Array.from({ length: STEERING.strengths }, (_, i) => Number((first / 2 ** i).toPrecision(2)));
}

/** answers: of one sign. */
export function greatestCoherent(
  answers: readonly Pick<Answer, "strength" | "degenerate">[],
  nPrompts: number,
): number {
  const strengths = [...new Set(answers.map(({ strength }) => strength))].sort((a, b) => b - a);
  const isCoherent = (strength: number): boolean => {
    const fine = answers.filter((answer) => answer.strength === strength && answer.degenerate === "");
    return fine.length >= STEERING.coherentPrompts * nPrompts;
  };
  return strengths.find(isCoherent) ?? strengths[strengths.length - 1];
}

async function generateAnswers(
  options: SteerDifferenceOptions,
): Promise<{ unsteered: Answer[]; answers: Answer[] }> {
  const { model, checkpoint, layer, direction, residualNorm, prompts, stopIds, seed, signal } = options;
  const strengths = strengthsToTry(vectorNorm(direction), residualNorm);
  const asked = prompts.flatMap((_, prompt) => [
    { prompt, sign: 1 as const, strength: 0 },
    ...([1, -1] as const).flatMap((sign) => strengths.map((strength) => ({ prompt, sign, strength }))),
  ]);
  const values = new Float32Array(asked.length * direction.length);
  for (const [row, { sign, strength }] of asked.entries()) {
    for (let i = 0; i < direction.length; i += 1) {
      values[row * direction.length + i] = sign * strength * direction[i];
    }
  }
  const generator = await createGenerator(checkpoint, { ...runnerOptions(options), editLayers: [layer] });
  try {
    const continued = await generator.generate({
      prompts: asked.map(({ prompt }) => prompts[prompt].tokens[model]),
      maxNewTokens: STEERING.newTokens,
      temperature: STEERING.temperature,
      seed,
      stopIds,
      // The same draws for every strength of a prompt.
      sequenceIds: asked.map(({ prompt }) => prompt),
      edits: [{ layer, kind: "add", positions: "all", values, per: "sequence" }],
      signal,
    });
    const all = asked.map((one, i): Answer => {
      const { tokenIds, end } = continued[i];
      return {
        ...one,
        tokens: Array.from(end === "stopId" ? tokenIds.slice(0, -1) : tokenIds),
        degenerate: "",
      };
    });
    return {
      unsteered: all.filter(({ strength }) => strength === 0),
      answers: all.filter(({ strength }) => strength > 0),
    };
  } finally {
    await generator.dispose();
  }
}

/** Fills in `degenerate`. */
async function judge(
  options: SteerDifferenceOptions,
  unsteered: readonly Answer[],
  answers: readonly Answer[],
): Promise<void> {
  const { model, checkpoint, prompts, signal } = options;
  const all = [...unsteered, ...answers];
  const scorer = await openNextTokenModel(checkpoint, options);
  let nats: number[];
  try {
    const asked = all.map(({ prompt, tokens }) => ({
      prompt: prompts[prompt].tokens[model],
      answer: tokens,
    }));
    nats = await answerNats(scorer, asked, signal);
  } finally {
    await scorer.dispose();
  }
  const usual = mean(nats.slice(0, unsteered.length));
  for (const [i, answer] of answers.entries()) {
    answer.degenerate = describeIncoherent({
      tokens: answer.tokens,
      nats: nats[unsteered.length + i],
      unsteered: unsteered[answer.prompt].tokens,
      unsteeredNats: usual,
    });
  }
}

/** [answers] mean −log p of an answer's tokens behind its prompt, nats; 0 for an answer of none. */
export async function answerNats(
  model: NextTokenModel,
  answers: readonly { prompt: ArrayLike<number>; answer: readonly number[] }[],
  signal?: AbortSignal,
): Promise<number[]> {
  const nats = answers.map(() => 0);
  const sequences = answers.map(({ prompt, answer }) => ({
    tokens: [...Array.from(prompt), ...answer],
    positions: answer.map((_, i) => prompt.length - 1 + i),
  }));
  await model.ask(
    sequences,
    ({ sequence, position }, logProbabilities) => {
      const { tokens, positions } = sequences[sequence];
      nats[sequence] -= logProbabilities[tokens[position + 1]] / positions.length;
    },
    { signal },
  );
  return nats;
}

/** "" or what is wrong with a steered answer. nats: a token, under the model without steering. */
export function describeIncoherent(answer: {
  tokens: readonly number[];
  nats: number;
  unsteered: readonly number[];
  unsteeredNats: number;
}): string {
  const { tokens, nats, unsteered, unsteeredNats } = answer;
  if (tokens.length === 0) return unsteered.length === 0 ? "" : "ended at once";
  const faults: string[] = [];
  const repetition = repetitionOf(tokens);
  if (repetition > Math.max(STEERING.repetition, repetitionOf(unsteered))) {
    faults.push(
      `repeats itself: ${(100 * repetition).toFixed(0)} % of its ${STEERING.pieceTokens}-token pieces came before`,
    );
  }
  if (!(nats <= unsteeredNats + STEERING.excessNats)) {
    faults.push(`unlikely text: ${nats.toFixed(1)} nats a token, unsteered ${unsteeredNats.toFixed(1)}`);
  }
  return faults.join("; ");
}

/** Share of the 4-grams that came before in the answer; 0 without any. */
export function repetitionOf(tokens: readonly number[]): number {
  const nPieces = tokens.length - STEERING.pieceTokens + 1;
  if (nPieces <= 0) return 0;
  const seen = new Set<string>();
  for (let i = 0; i < nPieces; i += 1) seen.add(tokens.slice(i, i + STEERING.pieceTokens).join());
  return (nPieces - seen.size) / nPieces;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
