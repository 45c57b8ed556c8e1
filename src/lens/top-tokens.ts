// The k largest and k smallest entries of a row of scores, in one pass.

export interface TopTokens {
  /** Token ids by falling score; ties: the smaller id first. */
  highest: number[];
  /** Token ids by rising score; ties: the smaller id first. */
  lowest: number[];
}

/** scores: [vocab] f32, finite. Both lists have min(k, vocab) entries. */
export function topTokens(scores: Float32Array, k: number): TopTokens {
  const highest: number[] = [];
  const lowest: number[] = [];
  for (let id = 0; id < scores.length; id += 1) {
    const score = scores[id];
    if (highest.length < k || score > scores[highest[highest.length - 1]]) {
      insert(highest, { id, k, isBefore: (other) => score > scores[other] });
    }
    if (lowest.length < k || score < scores[lowest[lowest.length - 1]]) {
      insert(lowest, { id, k, isBefore: (other) => score < scores[other] });
    }
  }
  return { highest, lowest };
}

/** Ids arrive in rising order, so an equal score goes behind those already there. */
function insert(
  list: number[],
  { id, k, isBefore }: { id: number; k: number; isBefore: (other: number) => boolean },
): void {
  let at = list.length;
  while (at > 0 && isBefore(list[at - 1])) at -= 1;
  list.splice(at, 0, id);
  if (list.length > k) list.pop();
}
