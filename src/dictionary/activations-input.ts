// What a file of activations must be before a dictionary encodes it: shapes, finite numbers, sums that fit f32.
//
// For encode-file.ts. Stores are checked where they are written and read, not here.

import { FormatError, MismatchError, NumericsError } from "../errors.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import type { Dictionary } from "./dictionary.ts";
import { rowNorms } from "./latent-norms.ts";

const F32_LARGEST = 3.4028234e38;

/** Throws FormatError for two sites of one model: a file has one tensor a model. */
export function requireOneSiteAModel({ sites }: Dictionary, place: string): void {
  if (new Set(sites.map(({ model }) => model)).size === sites.length) return;
  throw new FormatError(
    `${place}: expected one site a model, got ${sites.map(({ name }) => name).join(", ")}`,
    {
      hint: "a file of activations has one tensor a model: use a dictionary over one layer of each",
    },
  );
}

/** Number of rows. Throws FormatError for a missing tensor, MismatchError for one of another shape than the sites'. */
export function requireShapes(file: SafetensorsFile, { sites }: Dictionary): number {
  let nRows: number | undefined;
  for (const { model, width } of sites) {
    const shape = file.tensors.get(model)?.shape;
    const tensor = `${file.path}: tensor ${model}`;
    if (shape === undefined) {
      const names = [...file.tensors.keys()].slice(0, 6).join(", ") || "none";
      throw new FormatError(`${tensor}: expected activations [n, ${width}], found no such tensor`, {
        hint: `name the tensors ${sites.map((site) => site.model).join(" and ")}; the file holds: ${names}`,
      });
    }
    if (shape.length !== 2 || shape[1] !== width) {
      throw new MismatchError(`${tensor}: expected shape [n, ${width}], got [${shape}]`, {
        hint: `the dictionary is over activations of width ${width}: one row a token, of the layer it was trained on`,
      });
    }
    if (nRows !== undefined && shape[0] !== nRows) {
      throw new MismatchError(`${tensor}: expected ${nRows} rows as in ${sites[0].model}, got ${shape[0]}`, {
        hint: "row i of both tensors is the same token",
      });
    }
    nRows = shape[0];
  }
  return nRows ?? 0;
}

export interface BlockPlace {
  path: string;
  model: string;
  dModel: number;
  /** Row of the file that the block begins with. */
  first: number;
}

/** block [rows, dModel]. Throws NumericsError with the first bad number's row and column of the file. */
export function requireFinite(block: Float32Array, { path, model, dModel, first }: BlockPlace): void {
  for (let i = 0; i < block.length; i += 1) {
    if (Number.isFinite(block[i])) continue;
    const row = first + Math.floor(i / dModel);
    throw new NumericsError(
      `${path}: tensor ${model}: expected finite f32 numbers, got ${block[i]} at row ${row}, column ${i % dModel}`,
      { hint: "leave that row out, or look where it was made: nothing can be said of it" },
    );
  }
}

/** Up to this L2 norm a normalised row's product with every encoder row fits f32, partial sums included (Cauchy–Schwarz). */
export function largestRowNorm({ encoderWeight, width }: Dictionary): number {
  const norms = rowNorms(encoderWeight, { width, from: 0, to: width });
  const largest = norms.reduce((most, norm) => Math.max(most, norm), 0);
  return Math.min(F32_LARGEST, (0.5 * F32_LARGEST) / largest);
}

/** Without this an infinity less an infinity would become a NaN, which no threshold keeps: a code silently lost. */
export function requireModestNorms(
  x: Float32Array,
  {
    rows,
    width,
    first,
    largestNorm,
    path,
  }: { rows: number; width: number; first: number; largestNorm: number; path: string },
): void {
  const norms = rowNorms(x.subarray(0, rows * width), { width, from: 0, to: width });
  const row = norms.findIndex((norm) => !(norm <= largestNorm));
  if (row < 0) return;
  throw new NumericsError(
    `${path}: row ${first + row}: expected activations whose products fit f32, got a row of norm ${norms[row]}`,
    { hint: "leave that row out, or look where it was made: no residual stream is so long" },
  );
}
