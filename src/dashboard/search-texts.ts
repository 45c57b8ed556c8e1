// Looking at texts one by one: whether and where a question matches, within its bounds on hits. Synchronous, for a worker thread.
//
// What a question is: text in either case, or a regular expression as it is written. Which texts of an index are looked at at all:
// search-candidates.ts. The twin that looks at every text is search-reference.ts.

import type { SearchHit } from "./api-contract.ts";
import { fold } from "./required-literals.ts";

export interface Question {
  mode: "text" | "regex";
  text: string;
  /** Most hits of one latent, and of all. */
  each: number;
  most: number;
}

/** A text that is looked at, in the order of the hits. */
export interface LatentText {
  latent: number;
  bin: number;
  rank: number;
  text: string;
}

export const SEARCH_TEXT = {
  /** Characters shown before and after a match. */
  around: 60,
  /** Characters of a match that are shown. */
  match: 120,
} as const;

/** Where a text matches first, as offsets; undefined where it does not. An empty match is none. */
export function matcherOf({
  mode,
  text,
}: Pick<Question, "mode" | "text">): (subject: string) => { start: number; end: number } | undefined {
  if (mode === "text") {
    const wanted = fold(text);
    return (subject) => {
      const start = fold(subject).indexOf(wanted);
      return start < 0 || wanted === "" ? undefined : { start, end: start + wanted.length };
    };
  }
  const expression = new RegExp(text, "gu");
  return (subject) => {
    expression.lastIndex = 0;
    for (let match = expression.exec(subject); match !== null; match = expression.exec(subject)) {
      if (match[0] !== "") return { start: match.index, end: match.index + match[0].length };
      // An empty match is gone past by a whole character, as matchAll does.
      expression.lastIndex += (subject.codePointAt(match.index) ?? 0) > 0xffff ? 2 : 1;
    }
    return undefined;
  };
}

export interface Look {
  /** The hit of a text, undefined where there is none or its latent has had its share. Texts come in the order of latents. */
  at(text: LatentText): SearchHit | undefined;
  /** The latent has had its share: its further texts need not be looked at. */
  isFull(latent: number): boolean;
  /** The bound on all hits is reached. */
  isOver(): boolean;
}

export function createLook(question: Question): Look {
  const match = matcherOf(question);
  let hits = 0;
  let ofLatent = 0;
  let last = -1;
  return {
    at({ latent, bin, rank, text }) {
      if (latent !== last) ofLatent = 0;
      last = latent;
      const found = ofLatent < question.each ? match(text) : undefined;
      if (found === undefined) return undefined;
      ofLatent += 1;
      hits += 1;
      return { ...{ latent, bin, rank }, ...clipped(text, found) };
    },
    isFull: (latent) => latent === last && ofLatent >= question.each,
    isOver: () => hits >= question.most,
  };
}

/** The match with some text around it, and where in that it lies; no surrogate pair is cut. */
export function clipped(
  text: string,
  match: { start: number; end: number },
): Pick<SearchHit, "text" | "start" | "end"> {
  const from = wholeAt(text, Math.max(0, match.start - SEARCH_TEXT.around));
  const end = wholeAt(text, Math.min(match.end, match.start + SEARCH_TEXT.match));
  const to = wholeAt(text, Math.min(text.length, end + SEARCH_TEXT.around));
  return { text: text.slice(from, to), start: match.start - from, end: end - from };
}

function wholeAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff && at > 0 ? at - 1 : at;
}
