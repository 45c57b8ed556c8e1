// Values as pages of figures carry them: numbers that exist or null, lists with a bound, words of the glossary.

import { TERMS as GLOSSARY, type TermName } from "../report/terms.ts";
import type { Limited, PageTerm } from "./api-contract.ts";

/** JSON has neither NaN nor infinities. */
export function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** The first `most` of a list, and how long it is. */
export function limited<T>(items: readonly T[], most: number): Limited<T> {
  return { items: items.slice(0, most), total: items.length };
}

/** In the order given. */
export function termsOf(names: readonly TermName[]): PageTerm[] {
  return names.map((name) => {
    const { name: shown, short, more } = GLOSSARY[name];
    return { name: shown, words: more === "" ? short : `${short} ${more}` };
  });
}
