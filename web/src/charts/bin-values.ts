// Equal-width bins of a column, for histograms in the page. The report's binning (src/report/charts/histogram.ts) by another hand.

export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** A bin holds from ≤ value < to, the last one its upper edge too. What is outside [from, to] or not finite is not counted. */
export function binValues(values: Float64Array, range: { from: number; to: number; nBins: number }): Bin[] {
  const { from, to, nBins } = range;
  const edge = (i: number): number => Number((from + ((to - from) * i) / nBins).toPrecision(12));
  const bins = Array.from({ length: nBins }, (_, i) => ({ from: edge(i), to: edge(i + 1), count: 0 }));
  for (const value of values) {
    if (!(value >= from && value <= to)) continue;
    let at = Math.min(nBins - 1, Math.floor(((value - from) / (to - from)) * nBins));
    // The division can land one bin off at an edge such as 0.3; the stored edges decide.
    if (value < bins[at].from) at -= 1;
    else if (at < nBins - 1 && value >= bins[at].to) at += 1;
    bins[at].count += 1;
  }
  return bins;
}
