// What all Gemmas share beyond Llama's tensors: scaled embeddings, norms of 1 + w, tanh-GELU. Not a family.
//
// The scale √dModel is f32 here. transformers rounds it to the weights' dtype: run in bf16 it differs by up to 0.2 %.

import { z } from "zod";
import type { Architecture, Attention } from "../architecture.ts";
import { finite, readFields } from "../config-fields.ts";
import { activation } from "../decoder-fields.ts";
import { type LlamaLikeOptions, llamaLike } from "./llama-like.ts";

export function gemmaLike(options: LlamaLikeOptions): Architecture {
  return llamaLike({
    activation: "geluTanh",
    normKind: "rmsPlusOne",
    embeddingScale: Math.fround(Math.sqrt(options.fields.config.dModel)),
    ...options,
  });
}

const causal = z.object({
  use_bidirectional_attention: z
    .literal([false, null], { error: "false (tunediff reads causal models)" })
    .optional(),
});

/** Throws FormatError for an embedding model made from a Gemma. */
export function refuseBidirectional(raw: object, place: string): void {
  readFields(causal, raw, place);
}

const cap = finite(1e-3, 1e6).nullish();
const own = z.object({
  hidden_activation: activation(["gelu_pytorch_tanh"]).nullish(),
  query_pre_attn_scalar: finite(1e-3, 1e6),
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
});

/** The fields of Gemma 2 and 3 that change attention and logits. */
export function readGemmaCaps(
  raw: object,
  place: string,
): { attention: Pick<Attention, "scale" | "softCap">; finalLogitSoftCap: number | undefined } {
  const fields = readFields(own, raw, place);
  return {
    attention: {
      scale: fields.query_pre_attn_scalar ** -0.5,
      softCap: fields.attn_logit_softcapping ?? undefined,
    },
    finalLogitSoftCap: fields.final_logit_softcapping ?? undefined,
  };
}
