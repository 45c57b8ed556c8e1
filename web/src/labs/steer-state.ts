// The steering lab's state, which is the whole of its request, and its form in the address.
//
// Parsing never fails: what cannot be read is left out or as usual. Prompts too long for the address: kept-prompts.ts.

import type { SteerRequest } from "../../../src/dashboard/api-contract.ts";
import { type AddressPrompts, promptsFromQuery, promptsToQuery, type TextStore } from "./kept-prompts.ts";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";
import { EMPTY_CHAT, promptFault } from "./lab-prompt.ts";
import { boundedInteger, boundedNumber, parseSeeds, plainNumber } from "./parse-numbers.ts";

export interface SteerState extends SteerRequest {
  where: AddressPrompts["where"];
}

export const UNITS = ["activation", "code"] as const;
export const POSITIONS = ["prompt", "all"] as const;
export const MODELS = ["both", "base", "finetuned"] as const;
/** Of exact numbers; the sliders reach LAB_FIGURES.factorMost. */
export const FACTOR_BOUNDS = [-100, 100] as const;
export const TEMPERATURE_BOUNDS = [0, 5] as const;
/** With which a latent comes. */
export const FIRST_FACTOR = 1;

const NAMES = ["push", "unit", "positions", "temperature", "seeds", "max", "models"] as const;

export function parseSteerState(query: URLSearchParams, store: TextStore): SteerState {
  const { prompts, where } = promptsFromQuery(query, store);
  const named = new Map<number, number>();
  for (const part of query.getAll("push")) {
    const [number, factor = String(FIRST_FACTOR)] = part.split("~");
    const latent = boundedInteger(number, [0, Number.MAX_SAFE_INTEGER]);
    const amount = boundedNumber(factor, FACTOR_BOUNDS);
    if (latent !== null && amount !== null && named.size < LAB_LIMITS.labLatents) named.set(latent, amount);
  }
  return {
    latents: [...named].map(([latent, factor]) => ({ latent, factor })),
    unit: UNITS.find((name) => name === query.get("unit")) ?? "activation",
    positions: POSITIONS.find((name) => name === query.get("positions")) ?? "all",
    prompts: prompts.length > 0 ? prompts.slice(0, LAB_LIMITS.labPrompts) : [EMPTY_CHAT],
    temperature: boundedNumber(query.get("temperature"), TEMPERATURE_BOUNDS) ?? 0,
    seeds: parseSeeds(query.get("seeds") ?? "0", LAB_LIMITS.labSeeds) ?? [0],
    maxNewTokens: boundedInteger(query.get("max"), [1, LAB_LIMITS.labTokens]) ?? LAB_FIGURES.steerTokens,
    models: MODELS.find((name) => name === query.get("models")) ?? "both",
    where,
  };
}

/** A copy of `query` with the lab's parameters replaced by those of `state`. */
export function withSteerState(query: URLSearchParams, state: SteerState, store: TextStore): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const name of NAMES) next.delete(name);
  for (const { latent, factor } of state.latents) next.append("push", `${latent}~${plainNumber(factor)}`);
  next.set("unit", state.unit);
  next.set("positions", state.positions);
  next.set("temperature", plainNumber(state.temperature));
  next.set("seeds", state.seeds.join(","));
  next.set("max", String(state.maxNewTokens));
  next.set("models", state.models);
  promptsToQuery(next, state.prompts, store);
  return next;
}

/** At temperature 0 every seed gives one answer, so one is asked for. */
export function steerRequest({ where: _where, ...state }: SteerState): SteerRequest {
  return state.temperature === 0 ? { ...state, seeds: state.seeds.slice(0, 1) } : state;
}

/** Why it cannot be asked, in words; "" when it can. */
export function steerFault(state: SteerState, nLatents: number): string {
  if (state.latents.length === 0) return "Choose a latent first.";
  const beyond = state.latents.find(({ latent }) => latent >= nLatents);
  if (beyond !== undefined)
    return `There is no latent ${beyond.latent}: this dictionary has the latents 0 to ${nLatents - 1}.`;
  const faults = state.prompts.map((prompt) => promptFault(prompt, { isAnswered: true }));
  const at = faults.findIndex((fault) => fault !== "");
  if (at >= 0) return state.prompts.length > 1 ? `Prompt ${at + 1}: ${faults[at]}` : faults[at];
  const bytes = new TextEncoder().encode(JSON.stringify(steerRequest(state))).length;
  return bytes > LAB_LIMITS.body ? "The prompts are too long together. Shorten them." : "";
}

/** Answers that a request makes. */
export function countAnswers({ models, prompts, seeds }: SteerRequest): number {
  return (models === "both" ? 4 : 2) * prompts.length * seeds.length;
}
