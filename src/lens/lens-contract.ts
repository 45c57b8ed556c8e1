// What the lens says of a latent: the tokens its two decoder directions push up and down, each in its own model.

export interface TokenScore {
  token: string;
  tokenId: number;
  /** Logit change for a unit step along the decoder direction after the final norm's weight (no nonlinearity). */
  score: number;
}

/** One row of tables/lens.parquet (lists as JSON text). */
export interface LatentLens {
  latent: number;
  promotedBase: TokenScore[];
  suppressedBase: TokenScore[];
  promotedFinetuned: TokenScore[];
  suppressedFinetuned: TokenScore[];
}
