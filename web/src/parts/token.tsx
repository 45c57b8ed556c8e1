// A token by itself, its spaces and unseen characters visible; and the marks of the two models.

import type { ReactNode } from "react";
import { showToken } from "../visible-text.ts";

export function TokenChip({ token }: { token: string }): ReactNode {
  return <bdi className="tk">{showToken(token)}</bdi>;
}

export type Side = "base" | "finetuned";

/** Circle: base, square: finetuned; told apart without colour. */
export function SideMark({ side }: { side: Side }): ReactNode {
  return (
    <svg className={`mark ${side}`} viewBox="0 0 10 10" aria-hidden="true">
      {side === "base" ? <circle cx="5" cy="5" r="4.5" /> : <rect x="0.8" y="0.8" width="8.4" height="8.4" />}
    </svg>
  );
}

/** The side that a claim or class speaks of; null for neither. */
export function sideOf(words: string): Side | null {
  if (words.startsWith("finetuned-")) return "finetuned";
  return words.startsWith("base-") ? "base" : null;
}

/** "finetuned-specific" with its mark. */
export function SidedWords({ words }: { words: string }): ReactNode {
  const side = sideOf(words);
  return side === null ? (
    words
  ) : (
    <span className={`sided ${side}`}>
      <SideMark side={side} /> {words}
    </span>
  );
}
