// An encoder of chosen latents of one or several dictionaries at once, from raw rows: each chosen latent is a slot of its codes.
//
// Of a dictionary whose latents fire on their own (a threshold) only the chosen rows are multiplied. One that keeps the k largest
// of a row has to be encoded whole. Codes come out as the dictionary's own encoder gives them, up to the rounding of the product.

import type { Dictionary, Encoder, SparseCodes } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";

/** A latent of one of several dictionaries. */
export interface LatentPlace {
  /** Index into the dictionaries given. */
  dictionary: number;
  latent: number;
}

/** Takes raw rows, each dictionary's own normaliser is applied inside. Latents of its codes are slots. */
export interface SlotEncoder extends Encoder {
  nSlots: number;
  /** [nSlots] f32 W: activation = code × W. */
  activationWeight: Float32Array;
  /** Throws RangeError for a latent that was not chosen. */
  slotOf(place: LatentPlace): number;
}

interface Part {
  dictionary: Dictionary;
  encoder: Encoder;
  /** Encoder's latent → slot; −1: not chosen. */
  slot: Int32Array;
}

/** The chosen latents in order, as a dictionary of their own, for encoding alone. */
export function cutDictionary(dictionary: Dictionary, latents: Uint32Array): Dictionary {
  const { width, encoderWeight, encoderBias, decoderWeight, latentThresholds } = dictionary;
  const rowsOf = (matrix: Float32Array): Float32Array => {
    const rows = new Float32Array(latents.length * width);
    latents.forEach((latent, i) => {
      rows.set(matrix.subarray(latent * width, (latent + 1) * width), i * width);
    });
    return rows;
  };
  return {
    ...dictionary,
    nLatents: latents.length,
    encoderWeight: rowsOf(encoderWeight),
    encoderBias: Float32Array.from(latents, (latent) => encoderBias[latent]),
    decoderWeight: rowsOf(decoderWeight),
    ...(latentThresholds && {
      latentThresholds: Float32Array.from(latents, (latent) => latentThresholds[latent]),
    }),
  };
}

/** chosen: in any order, latents may be named more than once. The dictionaries must not change while it lives. */
export async function createSlotEncoder(
  dictionaries: readonly Dictionary[],
  chosen: Iterable<LatentPlace>,
  { maxRows, threads }: { maxRows: number; threads?: number },
): Promise<SlotEncoder> {
  const latentsOf = dictionaries.map(() => new Set<number>());
  for (const { dictionary, latent } of chosen) latentsOf[dictionary].add(latent);
  const slots = new Map<string, number>();
  const key = ({ dictionary, latent }: LatentPlace): string => `${dictionary} ${latent}`;
  const weights: number[] = [];
  const parts: Part[] = [];
  const dispose = async (): Promise<void> => {
    for (const { encoder } of parts) await encoder.dispose();
  };
  try {
    for (const [index, dictionary] of dictionaries.entries()) {
      const latents = Uint32Array.from(latentsOf[index]).sort();
      if (latents.length === 0) continue;
      const whole = dictionary.selection === "topK" || latents.length === dictionary.nLatents;
      const encoded = whole ? dictionary : cutDictionary(dictionary, latents);
      const slot = new Int32Array(encoded.nLatents).fill(-1);
      const weight = latentWeights(encoded);
      latents.forEach((latent, i) => {
        const at = whole ? latent : i;
        slot[at] = slots.size;
        slots.set(key({ dictionary: index, latent }), slots.size);
        weights.push(weight[at]);
      });
      const encoder = await createEncoder(encoded, { maxRows, threads });
      parts.push({ dictionary, encoder, slot });
    }
  } catch (error) {
    await dispose();
    throw error;
  }

  return {
    maxRows,
    nSlots: slots.size,
    activationWeight: Float32Array.from(weights),
    slotOf: (place) => {
      const slot = slots.get(key(place));
      if (slot === undefined) throw new RangeError(`latent ${key(place)} was not chosen`);
      return slot;
    },
    async encode(x, nRows) {
      const codes: SparseCodes[] = [];
      for (const { dictionary, encoder } of parts) {
        const own = x.slice(0, nRows * dictionary.width);
        normaliseInPlace(own, nRows, dictionary);
        codes.push(await encoder.encode(own, nRows));
      }
      return mergeCodes(codes, parts, nRows);
    },
    dispose,
  };
}

/** One list of slots a row; slots ascend because parts do, and latents within them. */
function mergeCodes(codes: readonly SparseCodes[], parts: readonly Part[], nRows: number): SparseCodes {
  const most = codes.reduce((sum, { code }) => sum + code.length, 0);
  const latent = new Uint32Array(most);
  const code = new Float32Array(most);
  const rowStart = new Uint32Array(nRows + 1);
  let kept = 0;
  for (let row = 0; row < nRows; row += 1) {
    for (const [p, from] of codes.entries()) {
      const { slot } = parts[p];
      for (let entry = from.rowStart[row]; entry < from.rowStart[row + 1]; entry += 1) {
        const at = slot[from.latent[entry]];
        if (at === -1) continue;
        latent[kept] = at;
        code[kept] = from.code[entry];
        kept += 1;
      }
    }
    rowStart[row + 1] = kept;
  }
  return { nRows, rowStart, latent: latent.subarray(0, kept), code: code.subarray(0, kept) };
}
