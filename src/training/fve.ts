// Fraction of variance explained: the sums it is made of, pooled as the project defines it and by batch as the reference does.
//
// Pooled: sums over everything seen, then one ratio; the residual is not centred, so a constant offset costs. By batch
// (dictionary_learning's training metrics): both sides centred on the batch's own means, one ratio a batch, and the plain mean
// of those: never lower for one batch, and blind to an offset. The two must not be compared.

/** Sums of squares by site, from which an FVE is made. */
export interface VarianceSums {
  /** [nSites] Σ‖ε‖². */
  residual: number[];
  /** [nSites] Σ‖x − x̄‖². */
  total: number[];
}

export interface FveRows {
  /** [nRows, width]. */
  x: Float32Array;
  /** [nRows, width] x − reconstruction. */
  residual: Float32Array;
  nRows: number;
  /** First column of every site and, last, width. */
  siteOffsets: readonly number[];
}

export function emptySums(nSites: number): VarianceSums {
  return { residual: new Array<number>(nSites).fill(0), total: new Array<number>(nSites).fill(0) };
}

/** sums += part. */
export function addSums(sums: VarianceSums, part: VarianceSums): void {
  part.residual.forEach((value, site) => {
    sums.residual[site] += value;
    sums.total[site] += part.total[site];
  });
}

/** mean: [width], the rows' own or that of a larger set. residualMean: subtracted from the residual, too. Sums in f64. */
export function varianceSums({
  x,
  residual,
  mean,
  residualMean,
  nRows,
  siteOffsets,
}: FveRows & { mean: Float64Array; residualMean?: Float64Array }): VarianceSums {
  const nSites = siteOffsets.length - 1;
  const width = siteOffsets[nSites];
  const sums = emptySums(nSites);
  for (let row = 0; row < nRows; row += 1) {
    for (let site = 0; site < nSites; site += 1) {
      for (let i = siteOffsets[site]; i < siteOffsets[site + 1]; i += 1) {
        sums.residual[site] += (residual[row * width + i] - (residualMean?.[i] ?? 0)) ** 2;
        sums.total[site] += (x[row * width + i] - mean[i]) ** 2;
      }
    }
  }
  return sums;
}

/** The reference's: Σ_i Var(ε_i) and Σ_i Var(x_i) over the batch, times its rows. */
export function centredSums(rows: FveRows): VarianceSums {
  const { x, residual, nRows, siteOffsets } = rows;
  const width = siteOffsets[siteOffsets.length - 1];
  return varianceSums({
    ...rows,
    mean: columnMeans(x, { nRows, width }),
    residualMean: columnMeans(residual, { nRows, width }),
  });
}

/** Mean over rows, [width] f64. */
export function columnMeans(
  x: Float32Array,
  { nRows, width }: { nRows: number; width: number },
): Float64Array {
  const mean = new Float64Array(width);
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) mean[i] += x[row * width + i];
  }
  return mean.map((sum) => sum / nRows);
}

/** 1 − Σ‖ε‖²/Σ‖x − x̄‖² by site name and, as "total", pooled over sites. */
export function fveOf(
  { residual, total }: VarianceSums,
  siteNames: readonly string[],
): Record<string, number> {
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    ...Object.fromEntries(siteNames.map((name, site) => [name, 1 - residual[site] / total[site]])),
    total: 1 - sum(residual) / sum(total),
  };
}

/** Plain mean of figures of the same names; a NaN among them makes the mean NaN. Undefined of none. */
export function meanOfFigures(
  figures: readonly Record<string, number>[],
): Record<string, number> | undefined {
  if (figures.length === 0) return undefined;
  const mean = (name: string): number =>
    figures.reduce((sum, figure) => sum + figure[name], 0) / figures.length;
  return Object.fromEntries(Object.keys(figures[0]).map((name) => [name, mean(name)]));
}
