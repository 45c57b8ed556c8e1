// Residuals between the two models: what the finetuned suffix is given in place of its own.
//
// Minder et al. 2025 (arXiv:2504.02922), section 3.2, Eq. 5 and App. G. Codes are those of the pair (h_base, h_finetuned), decoder rows in
// raw activation units; only latents that fired are touched. Rows are summed in f64 and rounded once. hybrids-reference.ts is the
// same, dense, in the order of the equations.

import type { Dictionary, SparseCodes } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import type { ModelSide } from "../store/store-contract.ts";
import {
  CODE_CHOICES,
  type Conversation,
  type Intervention,
  type PaperChoices,
  type PredictedPositions,
} from "./causal-contract.ts";

/** A decoder in raw activation units: rows d_base | d_finetuned of a latent side by side. */
export type RawDecoder = Pick<Dictionary, "sites" | "nLatents" | "width" | "decoderWeight" | "decoderBias">;

/** A conversation as both models read it, and what the dictionary makes of it. */
export interface PreparedConversation {
  conversation: Conversation;
  predicted: PredictedPositions;
  /** Tokens. */
  length: number;
  /** [length, dModel] f32 residuals after the compared layer, raw activation units. */
  base: Float32Array;
  finetuned: Float32Array;
  /** `length` rows, of the pair (h_base, h_finetuned). */
  codes: SparseCodes;
}

export interface HybridOptions {
  /** In raw units. */
  dictionary: RawDecoder;
  choices: Pick<PaperChoices, "decoderBias" | "leading">;
  /** Leading positions at which nothing is edited; h_finetuned stands there, or with leading "base" h_base in edits of the base. */
  unedited: number;
}

/**
 * The residual of an intervention, a fresh [length, dModel] f32, raw activation units.
 *
 * none: h_base (behind the unedited positions). finetuned: h_finetuned, everywhere. template: h_finetuned on template tokens, else h_base.
 * all: h_base + Σ f (d_finetuned − d_base). error: h_finetuned + Σ f (d_base − d_finetuned). With decoderBias "swap" the difference of the
 * decoder biases is moved along, and they are ĥ_finetuned + ε_base and ĥ_base + ε_finetuned.
 * subset S, additive: h_base + Σ_S f d_finetuned; replacing: h_base + Σ_S f (d_finetuned − d_base).
 * Throws ConfigError for a latent that the dictionary does not have, MismatchError for models of different width.
 */
export function hybridResidual(
  prepared: PreparedConversation,
  intervention: Intervention,
  { dictionary, choices, unedited }: HybridOptions,
): Float32Array {
  const { finetuned, length, conversation } = prepared;
  if (intervention.kind === "finetuned") return finetuned.slice();
  const base = baseResidual(prepared, { choices, unedited });
  if (intervention.kind === "none") return base;
  const dModel = pairWidth(dictionary);
  const from = Math.min(unedited, length);
  if (intervention.kind === "template") {
    const residual = base;
    for (let row = from; row < length; row += 1) {
      if (conversation.isTemplate[row] !== 1) continue;
      residual.set(finetuned.subarray(row * dModel, (row + 1) * dModel), row * dModel);
    }
    return residual;
  }
  if (intervention.kind === "subset") {
    const isChosen = membership(intervention.latents, dictionary.nLatents);
    const towards = intervention.form === "additive" ? { finetuned: 1, base: 0 } : { finetuned: 1, base: -1 };
    return moved(prepared, { ...towards, dictionary, from, of: base, isChosen });
  }
  const sign = intervention.kind === "all" ? 1 : -1;
  return moved(prepared, {
    ...{ finetuned: sign, base: -sign, dictionary, from },
    of: intervention.kind === "all" ? base : finetuned,
    withBias: choices.decoderBias === "swap",
  });
}

/** What edits of the base begin from, a fresh [length, dModel] f32: h_base, and at the unedited positions what `leading` says. */
export function baseResidual(
  { base, finetuned, length }: Pick<PreparedConversation, "base" | "finetuned" | "length">,
  { choices, unedited }: Pick<HybridOptions, "unedited"> & { choices: Pick<PaperChoices, "leading"> },
): Float32Array {
  const residual = base.slice();
  if (choices.leading === "finetuned") {
    residual.set(finetuned.subarray(0, Math.min(unedited, length) * (base.length / length)));
  }
  return residual;
}

export interface LatentPatchOptions {
  /** add: h_base + f·d_finetuned. remove: h_finetuned − f·d_finetuned. */
  kind: "add" | "remove";
  /** In raw units. */
  dictionary: RawDecoder;
  /** As in HybridOptions; default 0, where `choices` do not matter. */
  unedited?: number;
  choices?: Pick<PaperChoices, "leading">;
}

/**
 * One latent's edit: residual as in hybridResidual, and the first position that it changes. Undefined where the latent never fires
 * (at an edited position). Throws as hybridResidual.
 */
export function latentPatch(
  prepared: PreparedConversation,
  latent: number,
  { kind, dictionary, unedited = 0, choices = CODE_CHOICES }: LatentPatchOptions,
): { residual: Float32Array; changedFrom: number } | undefined {
  requireLatent(latent, dictionary.nLatents);
  const dModel = pairWidth(dictionary);
  const { codes, length } = prepared;
  const { decoderWeight, width } = dictionary;
  const column = sideColumn(dictionary, "finetuned");
  const sign = kind === "add" ? 1 : -1;
  let residual: Float32Array | undefined;
  let changedFrom = length;
  let entry = codes.rowStart[Math.min(unedited, length)];
  for (let row = Math.min(unedited, length); row < length; row += 1) {
    const end = codes.rowStart[row + 1];
    // Latents ascend within a row.
    while (entry < end && codes.latent[entry] < latent) entry += 1;
    if (entry < end && codes.latent[entry] === latent) {
      if (residual === undefined) {
        residual =
          kind === "add" ? baseResidual(prepared, { choices, unedited }) : prepared.finetuned.slice();
        changedFrom = row;
      }
      const factor = sign * codes.code[entry];
      const decoder = latent * width + column;
      const start = row * dModel;
      for (let i = 0; i < dModel; i += 1) residual[start + i] += factor * decoderWeight[decoder + i];
    }
    entry = end;
  }
  return residual === undefined ? undefined : { residual, changedFrom };
}

/** First column of a model's site. */
export function sideColumn({ sites }: Pick<RawDecoder, "sites">, side: ModelSide): number {
  return siteOffsets(sites)[sites.findIndex(({ model }) => model === side)];
}

/** dModel of both models. Throws MismatchError unless the dictionary has one site of each, of one width. */
export function pairWidth({ sites }: Pick<RawDecoder, "sites">): number {
  const base = sites.find(({ model }) => model === "base");
  const finetuned = sites.find(({ model }) => model === "finetuned");
  if (sites.length !== 2 || base === undefined || finetuned === undefined) {
    throw new MismatchError(
      `dictionary: expected one site of the base and one of the fine-tune, got ${sites.map(({ name }) => name).join(", ")}`,
      { hint: "the causal experiments need a crosscoder of two models at one layer each" },
    );
  }
  if (base.width !== finetuned.width) {
    throw new MismatchError(
      `dictionary: expected models of one width, got ${base.name} of ${base.width} and ${finetuned.name} of ${finetuned.width}: the base's residual cannot be fed to the fine-tune`,
      { hint: "patch within models of one width; measure and lens work for this pair" },
    );
  }
  return base.width;
}

export function requireLatent(latent: number, nLatents: number): void {
  if (Number.isInteger(latent) && latent >= 0 && latent < nLatents) return;
  throw new ConfigError(`latent: expected a whole number from 0 to ${nLatents - 1}, got ${latent}`, {
    hint: "the dictionary has no such latent: take numbers from its latents.parquet",
  });
}

function membership(latents: Uint32Array, nLatents: number): Uint8Array {
  const isChosen = new Uint8Array(nLatents);
  for (const latent of latents) {
    requireLatent(latent, nLatents);
    isChosen[latent] = 1;
  }
  return isChosen;
}

interface Move {
  dictionary: RawDecoder;
  /** First row that moves. */
  from: number;
  /** [length, dModel] what moves. */
  of: Float32Array;
  /** Factors of f·d_finetuned and f·d_base. */
  finetuned: number;
  base: number;
  /** [nLatents] 1 for latents that take part; default all. */
  isChosen?: Uint8Array;
  /** The decoder biases too, with the same factors; default false. */
  withBias?: boolean;
}

/** of + Σ_j f_j (finetuned · d_j^finetuned + base · d_j^base) (+ the biases). */
function moved({ codes, length }: PreparedConversation, move: Move): Float32Array {
  const { dictionary, from, of, isChosen, withBias = false } = move;
  const { decoderWeight, decoderBias, width } = dictionary;
  const dModel = pairWidth(dictionary);
  const [toBase, toFinetuned] = [sideColumn(dictionary, "base"), sideColumn(dictionary, "finetuned")];
  const residual = of.slice();
  const sum = new Float64Array(dModel);
  for (let row = from; row < length; row += 1) {
    const start = row * dModel;
    for (let i = 0; i < dModel; i += 1) sum[i] = of[start + i];
    if (withBias) {
      for (let i = 0; i < dModel; i += 1) {
        sum[i] += move.finetuned * decoderBias[toFinetuned + i] + move.base * decoderBias[toBase + i];
      }
    }
    for (let entry = codes.rowStart[row]; entry < codes.rowStart[row + 1]; entry += 1) {
      const latent = codes.latent[entry];
      if (isChosen !== undefined && isChosen[latent] === 0) continue;
      const decoder = latent * width;
      const [ofFinetuned, ofBase] = [move.finetuned * codes.code[entry], move.base * codes.code[entry]];
      if (ofBase === 0) {
        for (let i = 0; i < dModel; i += 1) sum[i] += ofFinetuned * decoderWeight[decoder + toFinetuned + i];
        continue;
      }
      for (let i = 0; i < dModel; i += 1) {
        sum[i] +=
          ofFinetuned * decoderWeight[decoder + toFinetuned + i] +
          ofBase * decoderWeight[decoder + toBase + i];
      }
    }
    residual.set(sum, start);
  }
  return residual;
}
