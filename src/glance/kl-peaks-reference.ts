// The slow twin of kl-peaks.ts: all tokens in one list, sorted; no pool and no bound.

import { ROLES } from "../store/rows.ts";
import type { KlFindings } from "./glance-contract.ts";
import { KL_OPTIONS, type PredictedText } from "./kl-peaks.ts";

export type KlNumbers = Omit<KlFindings, "peaks" | "byRole" | "byDataset"> & {
  byRole: Record<string, number>;
  byDataset: Record<string, number>;
  /** Document and position in it, greatest first. */
  peaks: { document: string; position: number; kl: number }[];
};

export function klReference(texts: readonly PredictedText[]): KlNumbers {
  const tokens = texts.flatMap(({ text, columns, isRepeated }, order) =>
    Array.from(columns.klFinetunedBase, (kl, i) => {
      const position = text.nSkipped + i;
      return {
        ...{ kl, order, position, index: i, document: text.id, dataset: text.dataset },
        role: ROLES[text.role[position]],
        isRepeated: isRepeated[position] === 1,
        context: text.tokens.finetuned
          .slice(0, position + 1)
          .slice(-KL_OPTIONS.contextTokens)
          .join(),
      };
    }),
  );
  const meanOf = (list: readonly { kl: number }[]): number =>
    list.reduce((sum, { kl }) => sum + kl, 0) / list.length;
  const meansBy = (key: "role" | "dataset"): Record<string, number> =>
    Object.fromEntries(
      [...new Set(tokens.map((token) => token[key]))].map((name) => [
        name,
        meanOf(tokens.filter((token) => token[key] === name)),
      ]),
    );
  const sorted = tokens.map(({ kl }) => kl).sort((a, b) => a - b);
  const quantile = (q: number): number => {
    const at = (sorted.length - 1) * q;
    const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
    return below + (at - Math.floor(at)) * (above - below);
  };
  const total = sorted.reduce((sum, kl) => sum + kl, 0);
  const top = sorted.filter((kl) => kl > quantile(KL_OPTIONS.topQuantile)).reduce((sum, kl) => sum + kl, 0);
  const peaks: typeof tokens = [];
  for (const token of tokens.toSorted(
    (a, b) => b.kl - a.kl || a.order - b.order || a.position - b.position,
  )) {
    const nAlike = peaks.filter(({ context }) => context === token.context).length;
    const isTaken = peaks.some(({ order }) => order === token.order);
    const isFull = peaks.length === KL_OPTIONS.peaks || nAlike === KL_OPTIONS.peaksPerContext;
    if (token.isRepeated || !(token.kl > 0) || isTaken || isFull) continue;
    peaks.push(token);
  }
  return {
    tokens: tokens.length,
    mean: meanOf(tokens),
    quantiles: { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1) },
    shareOfTopPercent: total === 0 ? 0 : top / total,
    byRole: meansBy("role"),
    byDataset: meansBy("dataset"),
    byPosition: Array.from({ length: KL_OPTIONS.positions }, (_, position) =>
      meanOf(tokens.filter(({ index }) => index === position)),
    ).filter((mean) => !Number.isNaN(mean)),
    peaks: peaks.map(({ document, position, kl }) => ({ document, position, kl })),
  };
}
