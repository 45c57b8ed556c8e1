// One model that answers prompts with a vector added to its residual, and says how likely it finds each answer without it.
//
// Generation is lm/generate.ts with an edit after the compared layer; perplexity is answer-perplexity.ts. Which vector, and
// what the answers are held against, is the business of steer.ts and behaviour-rates.ts.

import { ConfigError } from "../errors.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { createGenerator, type Generator } from "../lm/generate.ts";
import type { ResidualEdit, RunnerOptions } from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { type AnswerScorer, createAnswerScorer } from "./answer-perplexity.ts";
import type { SteeredAnswer } from "./causal-contract.ts";
import { repetitionOf } from "./degenerate.ts";

/** prompt: its tokens only, as published. all: those of the answer too. */
export const STEERED_POSITIONS = ["prompt", "all"] as const;
export type SteeredPositions = (typeof STEERED_POSITIONS)[number];

export const DEFAULT_MAX_NEW_TOKENS = 96;

export interface SteeredModelOptions extends Pick<RunnerOptions, "threads" | "device"> {
  side: ModelSide;
  /** Open until dispose. */
  checkpoint: Checkpoint;
  /** The residual after this block is pushed. */
  layer: number;
  /** An answer ends behind any of these; see findStopIds. */
  stopIds: readonly number[];
  /** Text of an answer's ids, control tokens left out: Tokenizer.decode. */
  decode: (ids: ArrayLike<number>) => string;
}

/** Every prompt is answered once a seed. */
export interface AnswerOptions {
  prompts: readonly { id: string; tokens: Record<ModelSide, Uint32Array> }[];
  /** Default [0]. The answer to prompt i with seed s does not depend on what else is asked. */
  seeds?: readonly number[] | undefined;
  /** [dModel] f32, raw activation units; absent: nothing is added. */
  vector?: Float32Array | undefined;
  /** Default "all". */
  positions?: SteeredPositions | undefined;
  /** Default 0: greedy. */
  temperature?: number | undefined;
  topP?: number | undefined;
  /** Default 96. */
  maxNewTokens?: number | undefined;
  /** Called with each token as it is chosen; isLast: the answer ends behind it. */
  onToken?:
    | ((token: { prompt: number; seed: number; step: number; tokenId: number; isLast: boolean }) => void)
    | undefined;
  signal?: AbortSignal | undefined;
}

/** An answer before anybody said whether it is degenerate. tokens: the stop id left out, though perplexity counts it. */
export type ModelAnswer = Omit<SteeredAnswer, "arm" | "degenerate">;

export interface SteeredModel {
  side: ModelSide;
  dModel: number;
  /**
   * Prompt by prompt, seeds within. Throws ConfigError (a prompt that leaves no position for an answer, an option out of range),
   * MismatchError (id outside the vocabulary), NumericsError (logits not finite), ShapeError (a vector of another width).
   */
  answer(options: AnswerOptions): Promise<ModelAnswer[]>;
  dispose(): Promise<void>;
}

/** Draws are numbered by seed and prompt: seed · 2^20 + prompt stays an exact integer. */
const MOST_PROMPTS = 2 ** 20;
const MOST_SEED = 2 ** 32 - 1;

export async function openSteeredModel(options: SteeredModelOptions): Promise<SteeredModel> {
  const { side, checkpoint, layer, stopIds, decode, threads, device } = options;
  const running = {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  };
  const { dModel, maxPositions } = checkpoint.config;
  const generator: Generator = await createGenerator(checkpoint, { ...running, editLayers: [layer] });
  // Loaded with the first answers that need it.
  let scorer: AnswerScorer | undefined;
  return {
    side,
    dModel,
    async answer({
      prompts,
      seeds = [0],
      vector,
      positions = "all",
      temperature = 0,
      topP = 1,
      signal,
      ...rest
    }) {
      const { maxNewTokens = DEFAULT_MAX_NEW_TOKENS, onToken } = rest;
      checkQuestion({ prompts, side, maxPositions, maxNewTokens, seeds });
      const asked = prompts.flatMap((prompt, index) =>
        seeds.map((seed) => ({ ids: prompt.tokens[side], index, seed })),
      );
      const edits: ResidualEdit[] =
        vector === undefined ? [] : [{ layer, kind: "add", positions, values: vector, per: "batch" }];
      const continuations = await generator.generate({
        prompts: asked.map(({ ids }) => ids),
        ...{ maxNewTokens, temperature, topP, stopIds, edits, signal },
        sequenceIds: asked.map(({ index, seed }) => seed * MOST_PROMPTS + index),
        onToken: ({ sequence, step, tokenId }) => {
          const { ids, index: prompt, seed } = asked[sequence];
          const isFull = step + 1 === maxNewTokens || ids.length + step + 1 === maxPositions;
          onToken?.({ prompt, seed, step, tokenId, isLast: isFull || stopIds.includes(tokenId) });
        },
      });
      scorer ??= await createAnswerScorer(checkpoint, running);
      const perplexities = await scorer.score(
        continuations.map(({ tokenIds }, i) => ({ prompt: asked[i].ids, answer: tokenIds })),
        { signal },
      );
      return continuations.map(({ tokenIds, end }, i) => {
        const words = end === "stopId" ? tokenIds.subarray(0, -1) : tokenIds;
        return {
          prompt: asked[i].index,
          seed: asked[i].seed,
          text: decode(words),
          tokens: words.length,
          end,
          perplexity: perplexities[i],
          repetition: repetitionOf(words),
        };
      });
    },
    async dispose() {
      await generator.dispose();
      await scorer?.dispose();
    },
  };
}

function checkQuestion(question: {
  prompts: AnswerOptions["prompts"];
  side: ModelSide;
  maxPositions: number;
  maxNewTokens: number;
  seeds: readonly number[];
}): void {
  const { prompts, side, maxPositions, maxNewTokens, seeds } = question;
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1)) {
    throw new ConfigError(`maxNewTokens: expected a whole number from 1, got ${maxNewTokens}`);
  }
  if (prompts.length === 0 || prompts.length > MOST_PROMPTS) {
    throw new ConfigError(`prompts: expected 1 to ${MOST_PROMPTS} prompts, got ${prompts.length}`);
  }
  const badSeed = seeds.find((seed) => !(Number.isInteger(seed) && seed >= 0 && seed <= MOST_SEED));
  if (seeds.length === 0 || badSeed !== undefined || new Set(seeds).size < seeds.length) {
    throw new ConfigError(`seeds: expected different whole numbers from 0 to ${MOST_SEED}, got [${seeds}]`);
  }
  for (const { id, tokens } of prompts) {
    const { length } = tokens[side];
    if (length < maxPositions) continue;
    throw new ConfigError(
      `prompt ${id}: expected at most ${maxPositions - 1} tokens (the ${side} model has ${maxPositions} positions, one is for the answer), got ${length}`,
      { hint: "shorten the prompt" },
    );
  }
}
