// How often each latent fires in the conversations, and how far it moves the fine-tune's residual: what random controls are matched on.
//
// A pass of both prefixes and the encoder. Positions at which nothing is edited are left out. These are figures of the conversations
// of the experiment; the store's held-out rows have others (measure/).

import { rowNorms } from "../dictionary/latent-norms.ts";
import { throwIfInterrupted } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import type { Conversation } from "./causal-contract.ts";
import { type PreparedConversation, sideColumn } from "./hybrids.ts";
import { type PatchEvaluator, planConversationBatches } from "./patch-evaluator.ts";

/** Over the rows of the conversations at which something may be edited. */
export interface FiringStats {
  /** [nLatents] f64, share of the rows in which it fired; NaN without rows. */
  rate: Float64Array;
  /** [nLatents] f64, Σ f²‖d_finetuned‖² in squared raw activation units. */
  energy: Float64Array;
  /** [nLatents] conversations in which it fired. */
  conversationsFired: Uint32Array;
  nRows: number;
}

export interface FiringOptions {
  /** Tokens that the evaluator prepares at once; see planConversationBatches. */
  batchTokens: number;
  /** Leading positions at which nothing is edited; default 0. */
  unedited?: number | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Throws InterruptedError, and what the evaluator throws. */
export async function firingStats(
  evaluator: PatchEvaluator,
  conversations: readonly Conversation[],
  { batchTokens, unedited = 0, reportProgress, signal }: FiringOptions,
): Promise<FiringStats> {
  const { dictionary, dModel } = evaluator;
  const counter = createFiringCounter(dictionary.nLatents);
  let done = 0;
  for (const batch of planConversationBatches(conversations, { batchTokens })) {
    throwIfInterrupted(signal);
    const { conversations: prepared } = await evaluator.prepare(
      batch,
      signal === undefined ? {} : { signal },
    );
    for (const one of prepared) counter.add(one, unedited);
    done += batch.length;
    reportProgress?.({ stage: "causal firing", done, total: conversations.length, unit: "conversations" });
  }
  const from = sideColumn(dictionary, "finetuned");
  return counter.stats(
    rowNorms(dictionary.decoderWeight, { width: dictionary.width, from, to: from + dModel }),
  );
}

/** Adds conversation after conversation up. */
function createFiringCounter(nLatents: number) {
  const rows = new Float64Array(nLatents);
  const squares = new Float64Array(nLatents);
  const conversationsFired = new Uint32Array(nLatents);
  /** [nLatents] the last conversation in which it fired, from 1. */
  const lastSeen = new Uint32Array(nLatents);
  let nConversations = 0;
  let nRows = 0;
  return {
    add({ codes, length }: Pick<PreparedConversation, "codes" | "length">, unedited: number): void {
      nConversations += 1;
      nRows += Math.max(0, length - unedited);
      const from = codes.rowStart[Math.min(unedited, length)];
      for (let entry = from; entry < codes.rowStart[length]; entry += 1) {
        const latent = codes.latent[entry];
        rows[latent] += 1;
        squares[latent] += codes.code[entry] * codes.code[entry];
        if (lastSeen[latent] === nConversations) continue;
        lastSeen[latent] = nConversations;
        conversationsFired[latent] += 1;
      }
    },
    /** norms: ‖d_finetuned‖ [nLatents]. */
    stats: (norms: Float32Array): FiringStats => ({
      rate: rows.map((count) => count / nRows),
      energy: squares.map((square, latent) => square * norms[latent] * norms[latent]),
      conversationsFired,
      nRows,
    }),
  };
}
