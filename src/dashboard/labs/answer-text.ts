// Text of answers while they are written: what each new token adds to the text so far.
//
// A token may be half a character: bytes that are none yet are held back until the next tokens complete them, or the answer ends.
// All pieces of an answer together are its text as Tokenizer.decode gives it whole.

/** U+FFFD: what bytes that are no character are decoded to. */
const INCOMPLETE = /\uFFFD+$/;

export interface AnswerText {
  /** What this token adds; "" when it is part of a character or writes nothing. isLast: nothing is held back any more. */
  add(tokenId: number, options: { isStop: boolean; isLast: boolean }): string;
}

export function createAnswerText(decode: (ids: ArrayLike<number>) => string): AnswerText {
  const ids: number[] = [];
  let given = "";
  return {
    add(tokenId, { isStop, isLast }) {
      if (!isStop) ids.push(tokenId);
      const whole = decode(ids);
      const text = isLast ? whole : whole.replace(INCOMPLETE, "");
      const piece = text.slice(given.length);
      if (piece !== "") given = text;
      return piece;
    },
  };
}
