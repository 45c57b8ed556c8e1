// What changed between two answers, word by word: a longest common subsequence of words, each with the space before it.
//
// Words are compared without that space, so that a first word can be found again further on. Held against word-diff-reference.ts.

export interface DiffPart {
  kind: "same" | "removed" | "added";
  text: string;
}

/** Cells of the table, beyond which the middle counts as replaced altogether. */
const MOST_CELLS = 4_000_000;
const SEGMENTER = new Intl.Segmenter("und", { granularity: "word" });

/** Share of the longer text's words that stay, 0 … 1; 1 for two empty texts. Parts as of diffWords. */
export function shareKept(parts: readonly DiffPart[]): number {
  const count = (kind: DiffPart["kind"]): number =>
    parts.reduce((sum, part) => sum + (part.kind === kind ? splitWords(part.text).length : 0), 0);
  const same = count("same");
  const longer = same + Math.max(count("removed"), count("added"));
  return longer === 0 ? 1 : same / longer;
}

/** Parts in reading order, removed before added; "same" parts are in the words of `after`, so same + added is `after` itself. */
export function diffWords(before: string, after: string): DiffPart[] {
  const [a, b] = [splitWords(before), splitWords(after)];
  let start = 0;
  while (start < a.length && start < b.length && isSame(a[start], b[start])) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && isSame(a.at(-1 - end)!, b.at(-1 - end)!))
    end += 1;
  const same = (words: readonly string[]): DiffPart[] => words.map((text) => ({ kind: "same", text }));
  return joinParts([
    ...same(b.slice(0, start)),
    ...diffMiddle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(b.slice(b.length - end)),
  ]);
}

/** Neighbours of a kind as one; between two same ones at most one removed and one added. */
function joinParts(words: readonly DiffPart[]): DiffPart[] {
  const parts: DiffPart[] = [];
  const gap = { removed: "", added: "" };
  const closeGap = (): void => {
    for (const kind of ["removed", "added"] as const) {
      if (gap[kind] !== "") parts.push({ kind, text: gap[kind] });
      gap[kind] = "";
    }
  };
  for (const { kind, text } of words) {
    if (kind !== "same") {
      gap[kind] += text;
      continue;
    }
    closeGap();
    const last = parts.at(-1);
    if (last?.kind === "same") last.text += text;
    else parts.push({ kind, text });
  }
  closeGap();
  return parts;
}

/** Words and punctuation marks, each with the white space before it; white space at the end is the last one. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let space = "";
  for (const { segment } of SEGMENTER.segment(text)) {
    if (segment.trim() === "") space += segment;
    else {
      words.push(space + segment);
      space = "";
    }
  }
  if (space !== "") words.push(space);
  return words;
}

const isSame = (a: string, b: string): boolean => a.trim() === b.trim();

function diffMiddle(a: readonly string[], b: readonly string[]): DiffPart[] {
  const removed = (words: readonly string[]): DiffPart[] => words.map((text) => ({ kind: "removed", text }));
  const added = (words: readonly string[]): DiffPart[] => words.map((text) => ({ kind: "added", text }));
  if (a.length === 0 || b.length === 0 || a.length * b.length > MOST_CELLS)
    return [...removed(a), ...added(b)];
  // longest[i, j]: of a from i and b from j.
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = isSame(a[i], b[j])
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const parts: DiffPart[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (isSame(a[i], b[j])) {
      parts.push({ kind: "same", text: b[j] });
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
      parts.push({ kind: "removed", text: a[i] });
      i += 1;
    } else {
      parts.push({ kind: "added", text: b[j] });
      j += 1;
    }
  }
  return [...parts, ...removed(a.slice(i)), ...added(b.slice(j))];
}
