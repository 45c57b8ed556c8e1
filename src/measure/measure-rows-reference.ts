// The readable twin of the measureRows kernel (kernels/measure.ts): the same sums with plain loops, in f64.
//
// A row is decoded, its fit is added to the sums of its class, and every latent that fired takes its inner products
// (addRow, latent-scaling.ts). For tests and for readers; never called by the product.

import { type MeasureRowsArrays, N_FIT_SUMS, ROW_CLASS } from "../compute/kernel-contract.ts";
import { addRow, N_SUMS } from "./latent-scaling.ts";

const CLASS_MASK = 3;

/** As KernelArena.measureRows, over arrays of any origin; stride must be N_SUMS. */
export function measureRowsReference(arrays: MeasureRowsArrays): number {
  const { nRows, nLatents, widthBase, width, x, flags, rowStart, latent, code, decoder, bias } = arrays;
  const sums = { nGroups: 1, nLatents, values: arrays.sums };
  if (arrays.stride !== N_SUMS) throw new RangeError(`stride: expected ${N_SUMS}, got ${arrays.stride}`);
  for (let i = 0; i < nRows; i += 1) {
    const activation = Float64Array.from(x.subarray(i * width, (i + 1) * width));
    const reconstruction = Float64Array.from(bias);
    const [from, to] = [rowStart[i], rowStart[i + 1]];
    for (let entry = from; entry < to; entry += 1)
      for (let c = 0; c < width; c += 1)
        reconstruction[c] += code[entry] * decoder[latent[entry] * width + c];

    const kind = flags[i] & CLASS_MASK;
    let total = 0;
    for (let c = 0; c < width; c += 1) {
      const at = kind * N_FIT_SUMS + (c < widthBase ? 0 : N_FIT_SUMS / 2);
      const error = activation[c] - reconstruction[c];
      arrays.squares[at] += error * error;
      arrays.squares[at + 1] += activation[c] * activation[c];
      arrays.squares[at + 2] += reconstruction[c] * reconstruction[c];
      arrays.columnSums[kind * width + c] += activation[c];
      total += error + activation[c];
    }
    if (!Number.isFinite(total)) return i;
    if (kind !== ROW_CLASS.ordinary) continue;
    const onTemplate = (flags[i] & ROW_CLASS.templateBit) !== 0;
    const widths = { base: widthBase, finetuned: width - widthBase };
    addRow(sums, decoder, widths, {
      group: 0,
      onTemplate,
      activation,
      reconstruction,
      latent,
      code,
      from,
      to,
    });
  }
  return -1;
}
