// Transposes a row-major matrix into columns of a wider one, in blocks that stay in cache.

const BLOCK = 32;

/**
 * target[c·stride + column + r] = source[r·nColumns + c].
 *
 * source: [nRows, nColumns] f32. target: [nColumns, stride] f32, columns [column, column + nRows) are overwritten.
 */
export function transposeInto(
  target: Float32Array,
  source: Float32Array,
  { nRows, nColumns, stride, column }: { nRows: number; nColumns: number; stride: number; column: number },
): void {
  for (let r0 = 0; r0 < nRows; r0 += BLOCK) {
    const r1 = Math.min(nRows, r0 + BLOCK);
    for (let c0 = 0; c0 < nColumns; c0 += BLOCK) {
      const c1 = Math.min(nColumns, c0 + BLOCK);
      for (let c = c0; c < c1; c += 1) {
        for (let r = r0; r < r1; r += 1) target[c * stride + column + r] = source[r * nColumns + c];
      }
    }
  }
}
