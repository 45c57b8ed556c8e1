// Decoder rows of a dictionary on disk, a block or a few at a time, as unit vectors: a dictionary is never in memory whole.
//
// A half is one model's part of the rows (docs/glossary.md, decoder). File layout: dictionary/dictionary-file.ts. Rows in memory, and cosines of whole
// dictionaries there: measure/cosine-tiles.ts.

import { findSites } from "../../dictionary/file-sites.ts";
import { createTensorReader } from "../../dictionary/tensor-reader.ts";
import { FormatError, ShapeError } from "../../errors.ts";
import { openSafetensors } from "../../formats/safetensors.ts";
import type { ModelSide, Site } from "../../store/store-contract.ts";

export interface DecoderHalf {
  nLatents: number;
  width: number;
  /**
   * Rows [start, start + n) as unit vectors into target [n, width]; zeros for a row without a direction (norm 0, or not finite). Returns the norms
   * [n], 0 for those.
   */
  readUnitRows(start: number, target: Float32Array): Promise<Float64Array>;
  /** The same for latents in any order. */
  readUnitRowsOf(latents: Uint32Array, target: Float32Array): Promise<Float64Array>;
  /** One row as it is stored, into target [width]. */
  readRow(latent: number, target: Float32Array): Promise<void>;
}

export interface DecoderFile {
  nLatents: number;
  sites: readonly Site[];
  /** Undefined for a dictionary of the other model alone. */
  half(model: ModelSide): DecoderHalf | undefined;
  close(): Promise<void>;
}

/** Rows asked of the disk at a time, where they do not lie side by side. */
const READS_AT_A_TIME = 64;
const COMPILED_PREFIX = "_orig_mod.";

/** path: of model.safetensors. Throws what opening a damaged file throws, FormatError for a decoder of another shape than the encoder's. */
export async function openDecoder(path: string): Promise<DecoderFile> {
  const file = await openSafetensors(path);
  try {
    const tensors = createTensorReader(file, path);
    const { sites, nLatents } = findSites(file, tensors, path);
    const isStacked = tensors.shape("decoder.weight") !== undefined;
    const halves = new Map<ModelSide, DecoderHalf>();
    for (const [at, { model, width }] of sites.entries()) {
      const plain = isStacked ? "decoder.weight" : `decoder.weight.${at}`;
      const expected = isStacked ? [sites.length, nLatents, width] : [nLatents, width];
      const got = tensors.shape(plain);
      if (got?.join() !== expected.join()) {
        throw new FormatError(
          `${path}: ${plain}: expected shape [${expected}], got ${got ? `[${got}]` : "no such tensor"}`,
          {
            hint: "the file is no whole crosscoder: fetch or make it again",
          },
        );
      }
      const name = file.tensors.has(plain) ? plain : COMPILED_PREFIX + plain;
      const first = isStacked ? at * nLatents : 0;
      const read = (latent: number, target: Float32Array): Promise<void> =>
        file.readElements(name, (first + latent) * width, target);
      halves.set(model, halfOf({ nLatents, width, read }));
    }
    return { nLatents, sites, half: (model) => halves.get(model), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function halfOf({
  nLatents,
  width,
  read,
}: {
  nLatents: number;
  width: number;
  read: (latent: number, target: Float32Array) => Promise<void>;
}): DecoderHalf {
  return {
    ...{ nLatents, width, readRow: read },
    async readUnitRows(start, target) {
      const n = target.length / width;
      if (!Number.isInteger(n) || start + n > nLatents)
        throw new ShapeError(
          `decoder rows: expected rows within ${nLatents} of ${width}, got ${n} from ${start}`,
        );
      await read(start, target);
      return toUnitRows(target, width);
    },
    async readUnitRowsOf(latents, target) {
      if (target.length !== latents.length * width)
        throw new ShapeError(
          `decoder rows: expected a target of ${latents.length * width}, got ${target.length}`,
        );
      for (let from = 0; from < latents.length; from += READS_AT_A_TIME) {
        const part = latents.subarray(from, from + READS_AT_A_TIME);
        await Promise.all(
          Array.from(part, (latent, i) =>
            read(latent, target.subarray((from + i) * width, (from + i + 1) * width)),
          ),
        );
      }
      return toUnitRows(target, width);
    },
  };
}

/** Divides every row of rows [n, width] by its norm, in place; returns the norms. */
function toUnitRows(rows: Float32Array, width: number): Float64Array {
  const norms = new Float64Array(rows.length / width);
  for (let i = 0, at = 0; i < norms.length; i += 1, at += width) {
    let squares = 0;
    for (let c = at; c < at + width; c += 1) squares += rows[c] * rows[c];
    const hasDirection = squares > 0 && squares < Number.POSITIVE_INFINITY;
    norms[i] = hasDirection ? Math.sqrt(squares) : 0;
    const scale = hasDirection ? 1 / norms[i] : 0;
    for (let c = at; c < at + width; c += 1) rows[c] = hasDirection ? rows[c] * scale : 0;
  }
  return norms;
}
