// What the API's contract is made of: parts that may be missing, and tokens with a number. Types alone; re-exported by api-contract.ts.

/** A part of a study that is not there (yet), is older than the dictionary, or of a newer program. */
export interface Missing {
  state: "missing" | "outdated" | "running" | "newer" | "damaged";
  /** One sentence. */
  words: string;
  /** What makes it, e.g. "tunediff null STUDY"; "" when it is on its way. */
  command: string;
}

export type Part<T> = { state: "made"; value: T } | Missing;

export interface TokenScore {
  token: string;
  tokenId: number;
  score: number;
}
