// A dictionary's per-site arrays as named tensors: stacked as the field does it, or one tensor a site.
//
// Sites of one width: NAME [nSites, …], the field's layout. Sites of different width (base first): NAME.0, NAME.1, … with
// the same axes less the first, which no other program reads. Which of the two a file uses is seen from its names.

import type { TensorToWrite } from "../formats/safetensors.ts";
import { rowsFromBlock, rowsToBlock, type SiteBlock } from "./field-layout.ts";
import { siteOffsets } from "./latent-norms.ts";

/** What is read through: the file's tensors by name, shapes already expected. */
export interface NamedTensors {
  floats(name: string, expected: number[]): Promise<Float32Array>;
}

export function haveOneWidth(widths: readonly number[]): boolean {
  return widths.every((width) => width === widths[0]);
}

export interface WeightShape {
  /** Of every site, base first. */
  widths: readonly number[];
  nLatents: number;
  /** true for encoder.weight, false for decoder.weight. */
  latentsLast: boolean;
}

function blocksOf({ widths, nLatents, latentsLast }: WeightShape): (SiteBlock & { size: number })[] {
  const offsets = siteOffsets(widths.map((width) => ({ width })));
  return widths.map((dModel, site) => ({
    width: offsets[widths.length],
    from: offsets[site],
    dModel,
    nLatents,
    latentsLast,
    size: dModel * nLatents,
  }));
}

const f32 = (name: string, shape: number[], data: Float32Array): TensorToWrite => ({
  name,
  dtype: "F32",
  shape,
  data,
});

/** rows: [nLatents, Σ widths] f32. One tensor, or one a site; see the head of this file. */
export function weightTensors(name: string, rows: Float32Array, shape: WeightShape): TensorToWrite[] {
  const field = new Float32Array(rows.length);
  let at = 0;
  const parts = blocksOf(shape).map((block) => {
    const data = field.subarray(at, at + block.size);
    at += block.size;
    rowsToBlock(rows, data, block);
    return { axes: axesOf(block), data };
  });
  return haveOneWidth(shape.widths)
    ? [f32(name, [parts.length, ...parts[0].axes], field)]
    : parts.map(({ axes, data }, site) => f32(`${name}.${site}`, axes, data));
}

function axesOf({ dModel, nLatents, latentsLast }: SiteBlock): number[] {
  return latentsLast ? [dModel, nLatents] : [nLatents, dModel];
}

/** values: [Σ widths] f32. */
export function vectorTensors(
  name: string,
  values: Float32Array,
  widths: readonly number[],
): TensorToWrite[] {
  if (haveOneWidth(widths)) return [f32(name, [widths.length, widths[0]], values)];
  const offsets = siteOffsets(widths.map((width) => ({ width })));
  return widths.map((width, site) =>
    f32(`${name}.${site}`, [width], values.subarray(offsets[site], offsets[site + 1])),
  );
}

/** The inverse of weightTensors. Throws FormatError for a tensor that is missing or of another shape. */
export async function readWeight(
  tensors: NamedTensors,
  name: string,
  shape: WeightShape,
): Promise<Float32Array> {
  const blocks = blocksOf(shape);
  const rows = new Float32Array(blocks.reduce((sum, { size }) => sum + size, 0));
  const stacked = haveOneWidth(shape.widths)
    ? await tensors.floats(name, [blocks.length, ...axesOf(blocks[0])])
    : undefined;
  for (const [site, block] of blocks.entries()) {
    const source =
      stacked?.subarray(site * block.size, (site + 1) * block.size) ??
      (await tensors.floats(`${name}.${site}`, axesOf(block)));
    rowsFromBlock(source, rows, block);
  }
  return rows;
}

/** The inverse of vectorTensors. */
export async function readVector(
  tensors: NamedTensors,
  name: string,
  widths: readonly number[],
): Promise<Float32Array> {
  if (haveOneWidth(widths)) return tensors.floats(name, [widths.length, widths[0]]);
  const parts: Float32Array[] = [];
  for (const [site, width] of widths.entries()) parts.push(await tensors.floats(`${name}.${site}`, [width]));
  const values = new Float32Array(widths.reduce((sum, width) => sum + width, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}
