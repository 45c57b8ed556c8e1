// What both models predict at each token of a window of text, as a page shows it on hover.
//
// An entry of a token is about the token after it: the distributions that the models give once they have read up to here.
// Reading is outputs.ts; token strings are the caller's.

import { ShapeError } from "../errors.ts";
import { type OutputColumns, type Outputs, TOP_TOKENS } from "./outputs.ts";

export interface TokenProbability {
  token: number;
  probability: number;
}

export interface TokenOutputs {
  /** Nats: finetuned against base. */
  kl: number;
  /** Nats, of the token that this model reads next; null at the end of the document. */
  nllBase: number | null;
  nllFinetuned: number | null;
  /** TOP_TOKENS next tokens, most probable first. */
  topBase: TokenProbability[];
  topFinetuned: TokenProbability[];
}

/**
 * One entry a row of [rowStart, rowEnd), null where the row is not covered (train split).
 *
 * Throws ShapeError for a range that is none, and what reading outputs throws.
 */
export async function exampleOutputs(
  outputs: Pick<Outputs, "rowsOf">,
  { rowStart, rowEnd }: { rowStart: number; rowEnd: number },
): Promise<(TokenOutputs | null)[]> {
  if (!(rowStart <= rowEnd)) {
    throw new ShapeError(`expected a window of rows, got [${rowStart}, ${rowEnd})`);
  }
  const columns = await outputs.rowsOf(rowStart, rowEnd);
  const tokens: (TokenOutputs | null)[] = Array.from({ length: rowEnd - rowStart }, () => null);
  for (const [entry, row] of columns.row.entries()) tokens[row - rowStart] = tokenOutputs(columns, entry);
  return tokens;
}

function tokenOutputs(columns: OutputColumns, entry: number): TokenOutputs {
  const hasNext = columns.hasNext[entry] === 1;
  const top = (ids: Uint32Array, probabilities: Float32Array): TokenProbability[] =>
    Array.from({ length: TOP_TOKENS }, (_, k) => {
      const at = entry * TOP_TOKENS + k;
      return { token: ids[at], probability: probabilities[at] };
    });
  return {
    kl: columns.klFinetunedBase[entry],
    nllBase: hasNext ? columns.nllBase[entry] : null,
    nllFinetuned: hasNext ? columns.nllFinetuned[entry] : null,
    topBase: top(columns.topTokenBase, columns.topProbabilityBase),
    topFinetuned: top(columns.topTokenFinetuned, columns.topProbabilityFinetuned),
  };
}
