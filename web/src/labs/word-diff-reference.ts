// The slow twin of word-diff.ts: how many words two texts share in order, by trying everything.

import { splitWords } from "./word-diff.ts";

/** Exponential: for a dozen words. */
export function commonWordsReference(before: string, after: string): number {
  const longest = (a: readonly string[], b: readonly string[]): number => {
    if (a.length === 0 || b.length === 0) return 0;
    const without = Math.max(longest(a.slice(1), b), longest(a, b.slice(1)));
    return a[0].trim() === b[0].trim() ? Math.max(without, 1 + longest(a.slice(1), b.slice(1))) : without;
  };
  return longest(splitWords(before), splitWords(after));
}
