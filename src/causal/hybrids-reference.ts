// The slow twin of hybrids.ts: every code written out, every row of the decoder read, in the order of the equations, in f64.
//
//   ĥ_m = Σ_j f_j d_j^m + b^m,   ε_m = h_m − ĥ_m.   All = ĥ_finetuned + ε_base, Error = ĥ_base + ε_finetuned, both less the difference of
// the b where decoderBias is "omit" (method of the reference code).

import type { Intervention } from "./causal-contract.ts";
import type { HybridOptions, PreparedConversation } from "./hybrids.ts";

/** [length, dModel] f64. */
export function hybridReference(
  { conversation, base, finetuned, length, codes }: PreparedConversation,
  intervention: Intervention,
  { dictionary, choices, unedited }: HybridOptions,
): Float64Array {
  const { nLatents, width, decoderWeight, decoderBias } = dictionary;
  const dModel = width / 2;
  const residual = new Float64Array(length * dModel);
  for (let row = 0; row < length; row += 1) {
    const f = new Float64Array(nLatents);
    for (let entry = codes.rowStart[row]; entry < codes.rowStart[row + 1]; entry += 1) {
      f[codes.latent[entry]] = codes.code[entry];
    }
    for (let i = 0; i < dModel; i += 1) {
      const [hBase, hFinetuned] = [base[row * dModel + i], finetuned[row * dModel + i]];
      const [bBase, bFinetuned] = [decoderBias[i], decoderBias[dModel + i]];
      let [sumBase, sumFinetuned, subsetBase, subsetFinetuned] = [0, 0, 0, 0];
      for (let latent = 0; latent < nLatents; latent += 1) {
        const ofBase = f[latent] * decoderWeight[latent * width + i];
        const ofFinetuned = f[latent] * decoderWeight[latent * width + dModel + i];
        sumBase += ofBase;
        sumFinetuned += ofFinetuned;
        if (intervention.kind !== "subset" || !intervention.latents.includes(latent)) continue;
        subsetBase += ofBase;
        subsetFinetuned += ofFinetuned;
      }
      const [reconstructedBase, reconstructedFinetuned] = [sumBase + bBase, sumFinetuned + bFinetuned];
      const omitted = choices.decoderBias === "omit" ? bFinetuned - bBase : 0;
      const isEdited = row >= unedited;
      const start = isEdited || choices.leading === "base" ? hBase : hFinetuned;
      const value = (): number => {
        switch (intervention.kind) {
          case "none":
            return start;
          case "finetuned":
            return hFinetuned;
          case "template":
            return isEdited && conversation.isTemplate[row] === 1 ? hFinetuned : start;
          case "all":
            return isEdited ? reconstructedFinetuned + (hBase - reconstructedBase) - omitted : start;
          case "error":
            return isEdited
              ? reconstructedBase + (hFinetuned - reconstructedFinetuned) + omitted
              : hFinetuned;
          case "subset":
            if (!isEdited) return start;
            return hBase + subsetFinetuned - (intervention.form === "replacing" ? subsetBase : 0);
        }
      };
      residual[row * dModel + i] = value();
    }
  }
  return residual;
}
