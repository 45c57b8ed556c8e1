// What the labs' fields allow: the server's limits, held equal by the type, and this side's own figures.

import type { API_LIMITS } from "../../../src/dashboard/api-contract.ts";

export const LAB_LIMITS: Pick<
  typeof API_LIMITS,
  "prompt" | "labPrompts" | "labSeeds" | "labLatents" | "labTokens" | "body"
> = {
  prompt: 20_000,
  labPrompts: 8,
  labSeeds: 8,
  labLatents: 16,
  labTokens: 512,
  body: 256_000,
};

export const LAB_FIGURES = {
  /** Characters of an address that prompts may fill; the server refuses addresses of 12,000. */
  addressText: 4000,
  /** Milliseconds after the last change until the address has it. */
  addressDelayMs: 400,
  /** Milliseconds between two drawings of answers as they come. */
  drawEveryMs: 100,
  /** Runs that a page keeps, newest first. */
  keptRuns: 20,
  /** Turns of one chat. */
  turns: 40,
  /** Sliders' ends, in units of the greatest activation, and their step. */
  factorMost: 3,
  factorStep: 0.1,
  /** Pins drawn as strips over the text, beside the one that shades it. */
  strips: 4,
  /** Suggestions under a field that looks for a latent. */
  suggestions: 12,
  /** Answers that keep a smaller share of their words are shown without marks: nothing of them can be read between so many. */
  keptWords: 0.25,
  /** Rows of the table of latents before "show all". */
  firstLatents: 30,
  /** A bar of full height is at least this KL, nats, so that two models alike do not look different. */
  klFullHeight: 1,
  /** Heights of the bars, px. */
  klLevels: 8,
  /** Default lengths of answers, tokens. */
  readTokens: 64,
  steerTokens: 60,
} as const;
