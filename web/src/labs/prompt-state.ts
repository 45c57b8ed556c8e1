// The prompt lab's state and its form in the address: what to read, who answers, the pins, the token under the cursor.
//
// Parsing never fails: what cannot be read is left out. Prompts too long for the address: kept-prompts.ts.

import type { LabPrompt, PromptRequest } from "../../../src/dashboard/api-contract.ts";
import { type AddressPrompts, promptsFromQuery, promptsToQuery, type TextStore } from "./kept-prompts.ts";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";
import { EMPTY_CHAT } from "./lab-prompt.ts";
import { boundedInteger, readLatents } from "./parse-numbers.ts";

export interface PromptState {
  prompt: LabPrompt;
  where: AddressPrompts["where"];
  answer: PromptRequest["answer"];
  maxNewTokens: number;
  /** In the order of pinning. */
  pins: number[];
  /** The pin that shades the text; null: none. */
  shade: number | null;
  /** The token under the cursor. */
  at: number | null;
}

const NAMES = ["answer", "max", "pins", "shade", "at"] as const;
export const ANSWERERS = ["none", "base", "finetuned"] as const;

export function parsePromptState(query: URLSearchParams, store: TextStore): PromptState {
  const { prompts, where } = promptsFromQuery(query, store);
  const pins = readLatents(query.get("pins") ?? "").slice(0, LAB_LIMITS.labLatents);
  const shade = query.get("shade");
  const shaded = pins.find((pin) => String(pin) === shade);
  return {
    prompt: prompts[0] ?? EMPTY_CHAT,
    where,
    answer: ANSWERERS.find((name) => name === query.get("answer")) ?? "none",
    maxNewTokens: boundedInteger(query.get("max"), [1, LAB_LIMITS.labTokens]) ?? LAB_FIGURES.readTokens,
    pins,
    // A link that names pins alone shows the first one.
    shade: shaded ?? (shade === "none" ? null : (pins[0] ?? null)),
    at: boundedInteger(query.get("at"), [0, Number.MAX_SAFE_INTEGER]),
  };
}

/** A copy of `query` with the lab's parameters replaced by those of `state`; what is as usual is left out. */
export function withPromptState(
  query: URLSearchParams,
  state: PromptState,
  store: TextStore,
): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const name of NAMES) next.delete(name);
  promptsToQuery(next, isUntouched(state.prompt) ? [] : [state.prompt], store);
  if (state.answer !== "none") next.set("answer", state.answer);
  if (state.maxNewTokens !== LAB_FIGURES.readTokens) next.set("max", String(state.maxNewTokens));
  if (state.pins.length > 0) {
    next.set("pins", state.pins.join("~"));
    next.set("shade", state.shade === null ? "none" : String(state.shade));
  }
  if (state.at !== null) next.set("at", String(state.at));
  return next;
}

export function promptRequest({ prompt, answer, maxNewTokens, pins }: PromptState): PromptRequest {
  return { prompt, answer, maxNewTokens, latents: pins };
}

/** Pinned as another one, or no longer; the newest pin shades the text. The oldest goes when there are too many. */
export function togglePin(
  state: Pick<PromptState, "pins" | "shade">,
  latent: number,
): Pick<PromptState, "pins" | "shade"> {
  if (!state.pins.includes(latent))
    return { pins: [...state.pins, latent].slice(-LAB_LIMITS.labLatents), shade: latent };
  const pins = state.pins.filter((pin) => pin !== latent);
  return { pins, shade: state.shade === latent ? (pins.at(-1) ?? null) : state.shade };
}

function isUntouched(prompt: LabPrompt): boolean {
  return (
    "messages" in prompt &&
    prompt.messages.length === 1 &&
    prompt.messages[0].role === "user" &&
    prompt.messages[0].content === ""
  );
}
