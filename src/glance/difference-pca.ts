// Principal components of the activation difference δ = h_finetuned − h_base: along what do the two models differ, and where.
//
// Components of δ about its mean, over all text without BOS; the share of Σ‖δ‖² that the mean itself holds stands beside them. Exact
// covariance (second-moment.ts), first eigenvectors (numerics/symmetric-eigen.ts). The sign of a component is that in which the mean
// difference has a positive part: from the base to the fine-tune. difference-pca-reference.ts is the readable twin.

import type { Unembedding } from "../lm/runner.ts";
import { topEigenpairs } from "../numerics/symmetric-eigen.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { SampledDocument } from "./difference-sample.ts";
import type { SummedDifference } from "./difference-sums.ts";
import type { ComponentFinding, PcaFindings } from "./glance-contract.ts";
import { readDirections } from "./read-directions.ts";

export const PCA_LIMITS = {
  components: 5,
  /** Texts shown at either end of a component, one place each. */
  shownTexts: 3,
  /** Tokens shown before and after the place. */
  tokensBefore: 12,
  tokensAfter: 4,
  /** A component below this share of all is rounding. */
  leastShare: 1e-9,
} as const;

export interface DifferencePcaOptions {
  sums: SummedDifference;
  unembeddings: Record<ModelSide, Unembedding>;
  tokenString: (id: number) => string;
  /** The text behind an index of DifferenceRows.document: its name and its tokens, all from position 0. */
  document: (index: number) => { id: string; tokens: readonly string[] };
  /** Default: PCA_LIMITS.components. */
  components?: number;
  topK?: number | undefined;
  threads?: number | undefined;
}

type Shown = ComponentFinding["highest"][number];

/** Models that do not differ have no component. Throws NumericsError from the eigenvalues. */
export async function differencePca(options: DifferencePcaOptions): Promise<PcaFindings> {
  const { sums, unembeddings, tokenString, document, components = PCA_LIMITS.components, ...rest } = options;
  const { moment, change } = sums;
  const found = principalComponents(sums, components);
  const read = await readDirections({
    directions: found.map(({ direction }) => direction),
    unembeddings,
    tokenString,
    ...rest,
  });
  let meanSquares = 0;
  for (const value of moment.mean) meanSquares += value * value;
  return {
    rows: moment.rows,
    changeRatio: change.rows === 0 ? 0 : change.sum / change.rows,
    meanShare: moment.squares === 0 ? 0 : Math.min(1, (moment.rows * meanSquares) / moment.squares),
    components: found.map(({ share, direction }, i) => ({
      share,
      read: read[i],
      ...extremes(sums, direction, document),
    })),
  };
}

export interface PrincipalComponent {
  /** Share of Σ‖δ − δ̄‖². */
  share: number;
  /** [dModel] f64 of length 1. */
  direction: Float64Array;
}

/** At most k, greatest first; none where nothing differs, or differs by the same vector everywhere. */
export function principalComponents(
  { moment, dModel }: Pick<SummedDifference, "moment" | "dModel">,
  k: number,
): PrincipalComponent[] {
  const { deviation, squares, scatter, mean } = moment;
  if (!(deviation > PCA_LIMITS.leastShare * squares)) return [];
  const { values, vectors } = topEigenpairs(scatter, { n: dModel, k });
  return Array.from(values, (value, at) => {
    const direction = vectors.slice(at * dModel, (at + 1) * dModel);
    const isTurned = dot(direction, mean) < 0;
    return { share: value / deviation, direction: isTurned ? direction.map((x) => -x) : direction };
  }).filter(({ share }) => share > PCA_LIMITS.leastShare);
}

/** Places of the sample where the projection of δ − δ̄ is greatest and least, one a text. */
function extremes(
  { sample, moment, dModel }: SummedDifference,
  direction: Float64Array,
  document: DifferencePcaOptions["document"],
): Pick<ComponentFinding, "highest" | "lowest"> {
  const offset = dot(direction, moment.mean);
  const projected = sample.map((one) => ({
    one,
    values: Array.from(
      one.positions,
      (_, row) => dot(direction, one.rows.subarray(row * dModel, (row + 1) * dModel)) - offset,
    ),
  }));
  const pick = (sign: 1 | -1): Shown[] =>
    projected
      .map(({ one, values }) => ({ one, values, at: indexOfGreatest(values, sign) }))
      .sort((a, b) => sign * (b.values[b.at] - a.values[a.at]) || a.one.document - b.one.document)
      .slice(0, PCA_LIMITS.shownTexts)
      .map(({ one, values, at }) => showPlace(one, { values, at, text: document(one.document) }));
  return { highest: pick(1), lowest: pick(-1) };
}

/** Tokens around a row, as far as they follow each other in the sample. */
function showPlace(
  { positions }: SampledDocument,
  { values, at, text }: { values: number[]; at: number; text: ReturnType<DifferencePcaOptions["document"]> },
): Shown {
  let [start, end] = [at, at + 1];
  while (start > 0 && at - start < PCA_LIMITS.tokensBefore && positions[start - 1] + 1 === positions[start]) {
    start -= 1;
  }
  while (
    end < positions.length &&
    end - at <= PCA_LIMITS.tokensAfter &&
    positions[end - 1] + 1 === positions[end]
  ) {
    end += 1;
  }
  return {
    document: text.id,
    tokens: Array.from(positions.subarray(start, end), (position) => text.tokens[position] ?? ""),
    values: values.slice(start, end),
    peak: at - start,
  };
}

/** Of sign · values; the first of equals. */
function indexOfGreatest(values: number[], sign: 1 | -1): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (sign * (values[i] - values[best]) > 0) best = i;
  return best;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}
