// What a latent's decoder directions say in each model's vocabulary: a logit lens on the crosscoder's columns.
//
//   score_t = head_t · (finalNorm ⊙ d / ‖d‖)
//
// nostalgebraist 2020, "interpreting GPT: the logit lens"; for crosscoders Lindsey et al. 2024. Each side's direction is
// read through its own model's final norm and head. Only the direction counts: a dictionary trained on normalised rows
// scales each site by one number, so d/‖d‖ is the same in raw units. The layers between the site and the head are
// skipped: at an early layer the lists say little. lens-reference.ts is the readable twin.

import { setImmediate as nextTurn } from "node:timers/promises";
import { createGemm, type Gemm } from "../compute/gemm.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { decoderNorms, siteOffsets } from "../dictionary/latent-norms.ts";
import { ConfigError, MismatchError, NumericsError, throwIfInterrupted } from "../errors.ts";
import type { Unembedding } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { LatentLens, TokenScore } from "./lens-contract.ts";
import { topTokens } from "./top-tokens.ts";

export { readLens, writeLens } from "./lens-file.ts";

/** A side whose decoder norm is at most this share of the latent's norms together has no direction, only noise. */
export const SILENT_SIDE_SHARE = 1e-4;

/** Scores held at a time: 16 MiB of f32. */
const BLOCK_SCORES = 2 ** 22;
const MAX_BLOCK_LATENTS = 256;

export interface LensOptions {
  dictionary: Dictionary;
  unembeddings: { base: Unembedding; finetuned: Unembedding };
  /** How a token is shown, in either model. */
  tokenString: (id: number) => string;
  /** Default: all, ascending. */
  latents?: number[];
  /** Tokens a list; default 10. */
  topK?: number;
  threads?: number;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * The tokens that every latent promotes and suppresses most, one entry a latent in the order asked for.
 *
 * A side without a direction (see SILENT_SIDE_SHARE), or without a site in the dictionary, gets empty lists.
 * Throws ConfigError for a latent outside the dictionary, MismatchError when a site's width is not its model's,
 * NumericsError for a decoder that is not finite, InterruptedError.
 */
export async function lens(options: LensOptions): Promise<LatentLens[]> {
  const { dictionary, unembeddings, tokenString, topK = 10, threads, reportProgress, signal } = options;
  const latents = options.latents ?? Array.from({ length: dictionary.nLatents }, (_, latent) => latent);
  const outside = latents.find((latent) => !(latent >= 0 && latent < dictionary.nLatents));
  if (outside !== undefined) {
    throw new ConfigError(`latents: expected 0 to ${dictionary.nLatents - 1}, got ${outside}`);
  }
  const sides = {
    base: lensSide(dictionary, "base", unembeddings.base),
    finetuned: lensSide(dictionary, "finetuned", unembeddings.finetuned),
  };
  const vocab = Math.max(unembeddings.base.vocab, unembeddings.finetuned.vocab);
  const blockLatents = Math.max(1, Math.min(MAX_BLOCK_LATENTS, Math.floor(BLOCK_SCORES / vocab)));
  const scored = (scores: Float32Array, ids: number[]): TokenScore[] =>
    ids.map((tokenId) => ({ token: tokenString(tokenId), tokenId, score: scores[tokenId] }));
  const read = (scores: Float32Array | undefined) => {
    if (!scores) return { promoted: [], suppressed: [] };
    const { highest, lowest } = topTokens(scores, topK);
    return { promoted: scored(scores, highest), suppressed: scored(scores, lowest) };
  };

  const gemm = await createGemm({ threads });
  try {
    const rows: LatentLens[] = [];
    for (let start = 0; start < latents.length; start += blockLatents) {
      throwIfInterrupted(signal);
      const block = latents.slice(start, start + blockLatents);
      const base = await scoreBlock(gemm, sides.base, block);
      const finetuned = await scoreBlock(gemm, sides.finetuned, block);
      for (const [i, latent] of block.entries()) {
        const [b, f] = [read(base(i)), read(finetuned(i))];
        rows.push({
          latent,
          promotedBase: b.promoted,
          suppressedBase: b.suppressed,
          promotedFinetuned: f.promoted,
          suppressedFinetuned: f.suppressed,
        });
      }
      reportProgress?.({ stage: "lens", done: rows.length, total: latents.length, unit: "latents" });
      await nextTurn();
    }
    return rows;
  } finally {
    await gemm.dispose();
  }
}

/** One side of a dictionary with the model it is read through; undefined: the dictionary has no such site. */
export interface LensSide {
  unembedding: Unembedding;
  /** finalNorm ⊙ d / ‖d‖ of a latent, written into target [dModel]; false when the side has no direction. */
  writeDirection(latent: number, target: Float32Array): boolean;
}

export function lensSide(
  dictionary: Dictionary,
  model: ModelSide,
  unembedding: Unembedding,
): LensSide | undefined {
  const at = dictionary.sites.findIndex((site) => site.model === model);
  if (at < 0) return undefined;
  const { dModel, finalNorm } = unembedding;
  const site = dictionary.sites[at];
  if (site.width !== dModel) {
    throw new MismatchError(
      `${site.name}: expected the ${model} model's width ${dModel}, got ${site.width}`,
      {
        hint: "the dictionary was trained on another model",
      },
    );
  }
  const from = siteOffsets(dictionary.sites)[at];
  const norms = decoderNorms(dictionary);
  return {
    unembedding,
    writeDirection(latent, target) {
      const norm = norms[at][latent];
      const total = norms.reduce((sum, siteNorms) => sum + siteNorms[latent], 0);
      if (!Number.isFinite(total)) {
        throw new NumericsError(`latent ${latent}: expected a finite decoder norm, got ${total}`, {
          hint: "the training of this dictionary diverged: train it again",
        });
      }
      if (norm <= SILENT_SIDE_SHARE * total) return false;
      const row = latent * dictionary.width + from;
      for (let i = 0; i < dModel; i += 1) {
        target[i] = (finalNorm[i] * dictionary.decoderWeight[row + i]) / norm;
      }
      return true;
    },
  };
}

/** Scores of a block of latents: i-th of the block ↦ [vocab] f32, or undefined where there is no direction. */
async function scoreBlock(
  gemm: Gemm,
  side: LensSide | undefined,
  block: number[],
): Promise<(i: number) => Float32Array | undefined> {
  if (!side) return () => undefined;
  const { vocab, dModel, head } = side.unembedding;
  const x = new Float32Array(block.length * dModel);
  const hasDirection = block.map((latent, i) =>
    side.writeDirection(latent, x.subarray(i * dModel, (i + 1) * dModel)),
  );
  const scores = await gemm.multiplyTransposed(x, head, { n: block.length, m: vocab, k: dModel });
  return (i) => (hasDirection[i] ? scores.subarray(i * vocab, (i + 1) * vocab) : undefined);
}
