// How a reading is laid out: stretches of tokens with one role, heights of KL bars, where the models differ most, the file of it. Pure.

import type { PromptReading, ReadLatent } from "../../../src/dashboard/api-contract.ts";
import type { Side } from "../parts/token.tsx";
import { sideOf } from "../parts/token.tsx";
import { LAB_FIGURES } from "./lab-limits.ts";

export interface Stretch {
  role: string;
  isAnswer: boolean;
  /** Tokens start … end − 1. */
  start: number;
  end: number;
}

/** Neighbouring tokens with one role, in order; together they are all tokens. */
export function stretchesOf({ roles, isAnswer }: Pick<PromptReading, "roles" | "isAnswer">): Stretch[] {
  const stretches: Stretch[] = [];
  for (let i = 0; i < roles.length; i += 1) {
    const last = stretches.at(-1);
    if (last !== undefined && last.role === roles[i] && last.isAnswer === (isAnswer[i] === 1))
      last.end = i + 1;
    else stretches.push({ role: roles[i], isAnswer: isAnswer[i] === 1, start: i, end: i + 1 });
  }
  return stretches;
}

/** Tokens that the chat's template wrote, or the start of the text; the others are content. */
export const isTemplate = (role: string): boolean => role === "template" || role === "bos";

/** The KL at which a bar is full, nats. */
export function fullKl(kl: readonly number[]): number {
  return Math.max(LAB_FIGURES.klFullHeight, ...kl.filter(Number.isFinite));
}

/** 0 none, 1 … klLevels: height of the bar, as the square root of KL. */
export function klLevel(kl: number, full: number): number {
  if (!(kl > 0)) return 0;
  return Math.min(LAB_FIGURES.klLevels, Math.round(LAB_FIGURES.klLevels * Math.sqrt(kl / full)));
}

/** Tokens after which the models differ most, greatest first. */
export function greatestKl(kl: readonly number[], count: number): number[] {
  return kl
    .map((_, i) => i)
    .filter((i) => kl[i] > 0)
    .sort((a, b) => kl[b] - kl[a] || a - b)
    .slice(0, count);
}

/** The side a latent is drawn in: its claim's, else where it leans. */
export function leaning({ claim, deltaNorm }: Pick<ReadLatent, "claim" | "deltaNorm">): Side {
  return sideOf(claim) ?? (deltaNorm < 0.5 ? "base" : "finetuned");
}

/** A latent's name in words: its label, else tokens that it promotes. */
export function nameOf({ label, promoted }: Pick<ReadLatent, "label" | "promoted">): string {
  return label !== "" ? label : promoted.slice(0, 4).join(" ");
}

/** Latents that fire at a token, claims first, then by activation. */
export function firingAt(latents: readonly ReadLatent[], token: number): ReadLatent[] {
  const isClaimed = ({ claim }: ReadLatent): number => Number(sideOf(claim) !== null);
  return latents
    .filter(({ activations }) => activations[token] > 0)
    .sort((a, b) => isClaimed(b) - isClaimed(a) || b.activations[token] - a.activations[token]);
}
