// What a browser may ask the labs: PromptRequest and SteerRequest of the API's contract, with their bounds. Nothing here knows models.

import { z } from "zod";
import { STEERED_POSITIONS } from "../../causal/steered-model.ts";
import { STEERING_UNITS } from "../../causal/steering-vectors.ts";
import { API_LIMITS } from "../api-contract.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";

/** Messages of one chat. */
const MOST_MESSAGES = 200;
const MOST_LATENT = 999_999_999;
const MOST_SEED = 2 ** 32 - 1;

const MessageSchema = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string().max(API_LIMITS.prompt),
});

export const LabPromptSchema = z.union([
  z.strictObject({
    messages: z
      .array(MessageSchema)
      .min(1)
      .max(MOST_MESSAGES)
      .refine(
        (messages) => messages.reduce((sum, { content }) => sum + content.length, 0) <= API_LIMITS.prompt,
      ),
  }),
  z.strictObject({ text: z.string().max(API_LIMITS.prompt) }),
]);

const LatentSchema = z.int().min(0).max(MOST_LATENT);
const NewTokensSchema = z.int().min(1).max(API_LIMITS.labTokens);

export const PromptRequestSchema = z.strictObject({
  prompt: LabPromptSchema,
  answer: z.enum(["none", "base", "finetuned"]),
  maxNewTokens: NewTokensSchema,
  latents: z.array(LatentSchema).max(API_LIMITS.labLatents).refine(areDifferent),
});

export const SteerRequestSchema = z.strictObject({
  latents: z
    .array(
      z.strictObject({
        latent: LatentSchema,
        factor: z.number().min(-LAB_SETTINGS.factor).max(LAB_SETTINGS.factor),
      }),
    )
    .min(1)
    .max(API_LIMITS.labLatents),
  unit: z.enum(STEERING_UNITS),
  positions: z.enum(STEERED_POSITIONS),
  prompts: z.array(LabPromptSchema).min(1).max(API_LIMITS.labPrompts),
  temperature: z.number().min(0).max(LAB_SETTINGS.temperature),
  seeds: z.array(z.int().min(0).max(MOST_SEED)).min(1).max(API_LIMITS.labSeeds).refine(areDifferent),
  maxNewTokens: NewTokensSchema,
  models: z.enum(["both", "base", "finetuned"]),
});

function areDifferent(values: readonly number[]): boolean {
  return new Set(values).size === values.length;
}
