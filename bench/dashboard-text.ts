// A made-up corpus for `npm run bench -- dashboard`: tokens that read like text, every row a pure function of its document.
//
// Words follow Zipf's law over 40,000 types: English function words first, then words of syllables; rare ones are cut into pieces, as a
// tokenizer would. Sentences, numbers, turns of a chat, and a few words of other scripts. No text of anybody.

import { createRng } from "../src/numerics/rng.ts";

export const DOCUMENT_ROWS = 256;
const N_WORDS = 40_000;
/** Words up to this rank are one token each. */
const WHOLE_WORDS = 8_000;
/** Zipf's law: the word of rank r is drawn with weight 1 / (r + OFFSET). */
const OFFSET = 2.7;

const HEAD =
  "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over man me even most made after also did many before must through back years where much your way well down should because each just those people too little state good very make world still own see men work long get here between both life being under never day same another know while last might us great old year off come since against go came right used take three".split(
    " ",
  );
const OTHER =
  "café naïve Übung señor Straße Ἀθῆναι λόγος Москва мир 東京 世界 数学 안녕 🙂 ½ ∑ coöperate façade".split(
    " ",
  );
const ONSETS = "b c d f g h l m n p r s t v w br ch cl cr dr fl gr pl pr sh sl st str th tr".split(" ");
const VOWELS = "a e i o u a e i o ai ea ee ie oo ou".split(" ");
const ENDS = ["", "", "n", "r", "s", "t", "l", "d", "m", "ck", "ng", "nd", "st", "ll"];
export const TURN = ["<|eot_id|>", "<|start_header_id|>", "user", "assistant", "<|end_header_id|>", "\n\n"];

export interface Corpus {
  nDocuments: number;
  /** Token ids of rows [rowStart, rowEnd), u32. */
  tokens(rowStart: number, rowEnd: number): Uint32Array;
  tokenString(id: number): string;
  /** Words by rank, most frequent first. */
  words: readonly string[];
}

/** nRows must be whole documents. The whole of it is held: 4 bytes a row. */
export function makeCorpus(nRows: number): Corpus {
  const ids = new Map<string, number>();
  const strings: string[] = [];
  const idOf = (text: string): number => {
    const known = ids.get(text);
    if (known !== undefined) return known;
    ids.set(text, strings.length);
    return strings.push(text) - 1;
  };
  const words = makeWords();
  const pieces = words.map((word, rank) => piecesOf(word, rank).map(idOf));
  const capitals = words.map((word, rank) =>
    rank < WHOLE_WORDS ? [idOf(` ${word[0].toUpperCase()}${word.slice(1)}`)] : pieces[rank],
  );
  const turn = (role: string): number[] => [TURN[0], TURN[1], role, TURN[4], TURN[5]].map(idOf);
  const turns = [turn("user"), turn("assistant")];
  const [stop, comma, question, line] = [".", ",", "?", "\n"].map(idOf);
  const rankOf = zipf(N_WORDS);
  const rng = createRng(0, "bench dashboard text");
  const all = new Uint32Array(nRows);
  for (let document = 0; document * DOCUMENT_ROWS < nRows; document += 1) {
    let drawn = 0;
    const draw = (): number => rng.uniform(document, drawn++);
    const end = (document + 1) * DOCUMENT_ROWS;
    let at = document * DOCUMENT_ROWS;
    const put = (tokens: readonly number[]): void => {
      for (const token of tokens) if (at < end) all[at++] = token;
    };
    const isChat = document % 2 === 1;
    if (isChat) put(turns[0]);
    for (let sentence = 0; at < end; sentence += 1) {
      const length = 5 + Math.floor(16 * draw());
      for (let i = 0; i < length; i += 1) {
        const kind = draw();
        if (kind < 0.01) put([idOf(` ${Math.floor(draw() * 2000)}`)]);
        else if (kind < 0.015) put([idOf(` ${OTHER[Math.floor(draw() * OTHER.length)]}`)]);
        else put((i === 0 ? capitals : pieces)[rankOf(draw())]);
        if (kind > 0.93 && i < length - 1) put([comma]);
      }
      put([draw() < 0.1 ? question : stop]);
      if (isChat && sentence % 5 === 4) put(turns[(sentence >> 2) % 2]);
      else if (draw() < 0.1) put([line]);
    }
  }
  return {
    nDocuments: nRows / DOCUMENT_ROWS,
    tokens: (rowStart, rowEnd) => all.subarray(rowStart, rowEnd),
    tokenString: (id) => strings[id],
    words,
  };
}

function makeWords(): string[] {
  const rng = createRng(0, "bench dashboard words");
  const words = new Set(HEAD);
  for (let i = 0; words.size < N_WORDS; i += 1) {
    let drawn = 0;
    const pick = (list: readonly string[]): string => list[Math.floor(rng.uniform(i, drawn++) * list.length)];
    const nSyllables = 1 + Math.floor(rng.uniform(i, drawn++) * 3 + (words.size > 2000 ? 0.7 : 0));
    let word = "";
    for (let s = 0; s < nSyllables; s += 1)
      word += pick(ONSETS) + pick(VOWELS) + (s % 2 === 1 ? pick(ENDS) : "");
    words.add(word + pick(ENDS));
  }
  return [...words];
}

/** The word with the space before it, cut every four characters when it is rare. */
function piecesOf(word: string, rank: number): string[] {
  const whole = ` ${word}`;
  if (rank < WHOLE_WORDS) return [whole];
  return [whole.slice(0, 4), ...(whole.slice(4).match(/.{1,4}/gu) ?? [])];
}

/** A uniform number to a rank. */
function zipf(n: number): (uniform: number) => number {
  const sums = new Float64Array(n);
  let sum = 0;
  for (let rank = 0; rank < n; rank += 1) {
    sum += 1 / (rank + OFFSET);
    sums[rank] = sum;
  }
  return (uniform) => {
    const wanted = uniform * sum;
    let [low, high] = [0, n - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
