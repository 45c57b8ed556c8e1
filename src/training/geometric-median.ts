// The decoder bias of step 0: the geometric median of the first batch, one a site.
//
// Weiszfeld's algorithm from the mean, at most 100 rounds, until every site moved less than 1e-5 (as the reference). A
// row that coincides with the guess would divide by zero there; a floor on the distance prevents it.

const MAX_ROUNDS = 100;
const TOLERANCE = 1e-5;
const DISTANCE_FLOOR = 1e-12;

/** x [nRows, width] f32. siteOffsets: first column of every site and, last, width. Returns [width] f32. */
export function geometricMedian(
  x: Float32Array,
  { nRows, width, siteOffsets }: { nRows: number; width: number; siteOffsets: number[] },
): Float32Array {
  const result = new Float32Array(width);
  for (let site = 0; site + 1 < siteOffsets.length; site += 1) {
    result.set(
      medianOfSite(x, { nRows, width, from: siteOffsets[site], to: siteOffsets[site + 1] }),
      siteOffsets[site],
    );
  }
  return result;
}

function medianOfSite(
  x: Float32Array,
  { nRows, width, from, to }: { nRows: number; width: number; from: number; to: number },
): Float64Array {
  const size = to - from;
  let guess = new Float64Array(size);
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < size; i += 1) guess[i] += x[row * width + from + i] / nRows;
  }
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const next = new Float64Array(size);
    let totalWeight = 0;
    for (let row = 0; row < nRows; row += 1) {
      const start = row * width + from;
      let squares = 0;
      for (let i = 0; i < size; i += 1) squares += (x[start + i] - guess[i]) ** 2;
      const weight = 1 / Math.max(Math.sqrt(squares), DISTANCE_FLOOR);
      totalWeight += weight;
      for (let i = 0; i < size; i += 1) next[i] += weight * x[start + i];
    }
    let moved = 0;
    for (let i = 0; i < size; i += 1) {
      next[i] /= totalWeight;
      moved += (next[i] - guess[i]) ** 2;
    }
    guess = next;
    if (Math.sqrt(moved) < TOLERANCE) break;
  }
  return guess;
}
