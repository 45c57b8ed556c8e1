// feature_df.csv: the table of latents that is published with the paper's crosscoders, from a measurement of ours.
//
// Minder et al. 2025 (arXiv:2504.02922) and its code (science-of-finetuning/sparsity-artifacts-crosscoders): column names, words
// and signs are theirs, which are not ours: dec_norm_diff is 1 − deltaNorm. Only columns that a measurement fills are written;
// docs/formats.md says what stands in each and which are left out. Written only: nothing here reads such a file.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { deltaNormOf } from "./claims.ts";
import type { LatentClass, LatentMeasure, LatentTwin, MeasureSummary } from "./measure-contract.ts";

/** What the published scripts keep before they rank. */
export const RANK_FILTER = { tag: "Chat only", ratioMinimum: -0.1, ratioMaximum: 2 } as const;

const TAGS: Record<LatentClass, string> = {
  "finetuned-only": "Chat only",
  "base-only": "Base only",
  shared: "Shared",
  other: "Other",
};

/** null: no value, an empty cell, as NaN is. */
export type FeatureValue = number | boolean | string | null;

export interface FeatureTable {
  /** Without the index. */
  columns: string[];
  /** One a latent, in latent order. */
  rows: FeatureValue[][];
}

export interface FeatureInputs {
  latents: readonly LatentMeasure[];
  summary: Pick<MeasureSummary, "categories" | "rowsByCategory" | "twins">;
  /** For the cosine of the encoder rows, which a measurement does not hold. */
  dictionary: Dictionary;
}

type Column = [name: string, value: (latent: LatentMeasure) => FeatureValue];

/** Columns of the published table, in its order where one is known. Columns about twins are there when there are any. */
export function featureTable({ latents, summary, dictionary }: FeatureInputs): FeatureTable {
  const encoderCosine = encoderCosines(dictionary);
  const templateShare = templateShareOfFirings(summary);
  const ranks = rankSums(latents);
  const columns: Column[] = [
    ["tag", ({ latentClass }) => TAGS[latentClass]],
    ["dec_norm_diff", ({ deltaNorm }) => 1 - deltaNorm],
    ["dec_base_norm", ({ decoderNormBase }) => decoderNormBase],
    ["dec_instruct_norm", ({ decoderNormFinetuned }) => decoderNormFinetuned],
    ["dec_cos_sim", ({ decoderCosine }) => decoderCosine],
    [
      "enc_norm_diff",
      ({ encoderNormBase, encoderNormFinetuned }) => 1 - deltaNormOf(encoderNormBase, encoderNormFinetuned),
    ],
    ["enc_base_norm", ({ encoderNormBase }) => encoderNormBase],
    ["enc_instruct_norm", ({ encoderNormFinetuned }) => encoderNormFinetuned],
    ["enc_cos_sim", ({ latent }) => encoderCosine[latent]],
    ["dead", ({ frequency }) => frequency === 0],
    ["freq", ({ frequency }) => frequency],
    ["freq_val", ({ frequency }) => frequency],
    ["max_act_val", ({ maxActivation }) => maxActivation],
    ...(templateShare === undefined
      ? []
      : ([
          ["lmsys_ctrl_%", templateShare.share],
          ["lmsys_ctrl_freq", templateShare.frequency],
        ] satisfies Column[])),
    ["beta_activation_base", ({ scalingFinetuned }) => scalingFinetuned.betaActivationBase],
    ["beta_activation_chat", ({ scalingFinetuned }) => scalingFinetuned.betaActivationFinetuned],
    ["beta_activation_ratio", ({ scalingFinetuned }) => scalingFinetuned.nuActivation],
    ["beta_reconstruction_base", ({ scalingFinetuned }) => scalingFinetuned.betaReconstructionBase],
    ["beta_reconstruction_chat", ({ scalingFinetuned }) => scalingFinetuned.betaReconstructionFinetuned],
    ["beta_ratio_reconstruction", ({ scalingFinetuned }) => scalingFinetuned.nuReconstruction],
    ["beta_error_base", ({ scalingFinetuned }) => scalingFinetuned.betaErrorBase],
    ["beta_error_chat", ({ scalingFinetuned }) => scalingFinetuned.betaErrorFinetuned],
    ["beta_ratio_error", ({ scalingFinetuned }) => scalingFinetuned.nuError],
    ["rank_sum", ({ latent }) => ranks.get(latent) ?? null],
    ...twinColumns(summary),
  ];
  return {
    columns: columns.map(([name]) => name),
    rows: latents.map((latent) => columns.map(([, value]) => value(latent))),
  };
}

/** Cosine of each latent's two encoder rows; NaN for models of different width and for a row of norm 0. */
function encoderCosines({ sites, nLatents, width, encoderWeight }: Dictionary): Float64Array {
  const cosines = new Float64Array(nLatents).fill(Number.NaN);
  const [base, finetuned] = siteOffsets(sites);
  const dModel = sites[0].width;
  if (sites.length !== 2 || sites[1].width !== dModel) return cosines;
  for (let latent = 0; latent < nLatents; latent += 1) {
    let [inner, squaredBase, squaredFinetuned] = [0, 0, 0];
    for (let i = 0; i < dModel; i += 1) {
      const b = encoderWeight[latent * width + base + i];
      const f = encoderWeight[latent * width + finetuned + i];
      inner += b * f;
      squaredBase += b * b;
      squaredFinetuned += f * f;
    }
    cosines[latent] = inner / Math.sqrt(squaredBase * squaredFinetuned);
  }
  return cosines;
}

/**
 * Of a latent's firings, the share on template tokens (theirs counts firings; our templateShare weighs them), and the share of
 * template tokens on which it fires. Undefined when the store has no template tokens.
 */
function templateShareOfFirings({ categories, rowsByCategory }: FeatureInputs["summary"]) {
  const template = categories.role.indexOf("template");
  const rows = rowsByCategory.role;
  if (template < 0 || !(rows[template] > 0)) return undefined;
  const firings = ({ frequencyBy }: LatentMeasure, role: number): number =>
    rows[role] > 0 ? frequencyBy.role[role] * rows[role] : 0;
  return {
    share: (latent: LatentMeasure): number =>
      firings(latent, template) / rows.reduce((sum, _, role) => sum + firings(latent, role), 0),
    frequency: ({ frequencyBy }: LatentMeasure): number => frequencyBy.role[template],
  };
}

/** rank(ν^r) + rank(ν^ε), ascending, among the latents that pass RANK_FILTER; others have none. By latent. */
function rankSums(latents: readonly LatentMeasure[]): Map<number, number> {
  const inRange = (ratio: number): boolean =>
    ratio >= RANK_FILTER.ratioMinimum && ratio <= RANK_FILTER.ratioMaximum;
  const kept = latents.filter(
    ({ latentClass, scalingFinetuned: { nuReconstruction, nuError } }) =>
      TAGS[latentClass] === RANK_FILTER.tag && inRange(nuReconstruction) && inRange(nuError),
  );
  const reconstruction = averageRanks(kept.map(({ scalingFinetuned }) => scalingFinetuned.nuReconstruction));
  const error = averageRanks(kept.map(({ scalingFinetuned }) => scalingFinetuned.nuError));
  return new Map(kept.map(({ latent }, i) => [latent, reconstruction[i] + error[i]]));
}

/** Ranks from 1, ascending; equal values share the mean of their ranks, as pandas' rank() does. */
export function averageRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Array<number>(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]] === values[order[from]]) to += 1;
    for (let i = from; i < to; i += 1) ranks[order[i]] = (from + 1 + to) / 2;
  }
  return ranks;
}

/** Of several twins the one of largest cosine. Divergences by the thresholds of the published code. */
function twinColumns({ twins, categories }: FeatureInputs["summary"]): Column[] {
  if (twins.length === 0) return [];
  const best = new Map<number, { partner: number; twin: LatentTwin }>();
  for (const twin of [...twins].sort((a, b) => b.cosine - a.cosine)) {
    for (const [latent, partner] of [
      [twin.finetuned, twin.base],
      [twin.base, twin.finetuned],
    ]) {
      if (!best.has(latent)) best.set(latent, { partner, twin });
    }
  }
  return [
    ["twin_latent", ({ latent }) => best.get(latent)?.partner ?? -1],
    ["twin_div_val", ({ latent }) => best.get(latent)?.twin.divergenceCode ?? null],
    ...categories.dataset.map(
      (name): Column => [
        `twin_div_${name}_val`,
        ({ latent }) => best.get(latent)?.twin.byDataset[name]?.code ?? null,
      ],
    ),
  ];
}

/** As pandas.DataFrame.to_csv writes it: the index first under an empty name, empty cells for NaN, inf, True and False. */
export function featureCsv({ columns, rows }: FeatureTable): string {
  const lines = rows.map((row, index) => [String(index), ...row.map(csvCell)].join(","));
  return `${["", ...columns.map(quoted)].join(",")}\n${lines.map((line) => `${line}\n`).join("")}`;
}

function csvCell(value: FeatureValue): string {
  if (value === null || Number.isNaN(value)) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Writes the table in one step. Throws StorageError from the disk. */
export async function writeFeatureDf(path: string, inputs: FeatureInputs): Promise<FeatureTable> {
  const table = featureTable(inputs);
  await writeFileAtomic(path, featureCsv(table));
  return table;
}
