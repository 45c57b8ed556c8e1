// What the benches do with repeated times. Medians, since a noisy machine's mean is its worst pass.

import { quantileOfSorted } from "../src/numerics/statistics.ts";

/** Of an even number the mean of the middle two; NaN of none. */
export function median(values: readonly number[]): number {
  return quantileOfSorted(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
