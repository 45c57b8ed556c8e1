// Rows of Neuronpedia's bulk layout for one side of a crosscoder: release, model, source set, source, features, activations.
//
// Field names and conventions are those that SAEDashboard 0.8 writes and Neuronpedia's importer reads (neuronpedia-utils, db_models):
// floats to five places, −10000 for a logit that does not exist, the strongest examples in a group whose binMin and binContains are −1
// and whose binMax is the peak, ids of "c" and 24 letters or digits. Lists that a crosscoder's measurement does not have are empty,
// never made up. Pure: files are neuronpedia.ts.

import { createHash } from "node:crypto";
import { SILENT_SIDE_SHARE } from "../../lens/lens.ts";
import type { TokenScore } from "../../lens/lens-contract.ts";
import { activationEdges, countedFirings, shareOfFiringsBelow } from "../../measure/activation-bins.ts";
import { SAMPLE_BINS } from "../../measure/example-sample.ts";
import { TOP_BIN } from "../../measure/examples-file.ts";
import type { ActivationBins, LatentExample, Neighbour } from "../../measure/measure-contract.ts";
import type { ModelSide } from "../../store/store-contract.ts";

export const NEURONPEDIA = {
  decimals: 5,
  missingLogit: -10_000,
  /** Of the group of the strongest. */
  topGroup: -1,
  idLength: 25,
  /** The account that imports without one of their own belong to; in SAEDashboard's converter. */
  creatorId: "clkht01d40000jv08hvalcvly",
  creatorName: "tunediff",
  hook: "hook_resid_post",
  /** Coordinates of the decoder row that are listed. */
  alignedCoordinates: 3,
  /** Longest id of a model. */
  modelIdLength: 32,
  /** Of a histogram of activations. */
  bars: 50,
  /** Longest description of a source set. */
  descriptionLength: 128,
} as const;

/** One side of the pair as Neuronpedia names it. */
export interface SourceNames {
  side: ModelSide;
  /** 2 to 32 of a-z, 0-9, "." and "-". */
  modelId: string;
  /** Of the pair; in every model row. */
  displayName: string;
  setName: string;
  /** `{layer}-{setName}`: Neuronpedia's "layer" of a feature. */
  sourceId: string;
  layer: number;
  dModel: number;
  /** Blocks; 0 where it is not known, as SAEDashboard writes it. */
  nLayers: number;
}

/** What the importer makes an id of: lower case, no doubled hyphen, none at either end. */
export function neuronpediaName(text: string, most: number = NEURONPEDIA.modelIdLength): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, "-")
    .slice(0, most)
    .replaceAll(/^[-.]+|[-.]+$/g, "");
  return name.length >= 2 ? name : `${name}model`;
}

/** To five places; NaN and infinities become `missing`. */
export function fivePlaces(value: number, missing = 0): number {
  if (!Number.isFinite(value)) return missing;
  const scale = 10 ** NEURONPEDIA.decimals;
  return Math.round(value * scale) / scale + 0; // + 0: no −0
}

/** "c" and 24 of a-z0-9: the same for the same things, so that a second import finds the rows of the first. */
export function rowId(...parts: (string | number)[]): string {
  const digest = createHash("sha256").update(parts.join("/")).digest("hex");
  const length = NEURONPEDIA.idLength - 1;
  return `c${BigInt(`0x${digest.slice(0, 32)}`)
    .toString(36)
    .padStart(length, "0")
    .slice(-length)}`;
}

export interface PairTexts {
  releaseName: string;
  title: string;
  /** Pooled figures of the pair in words: Neuronpedia has no columns for a difference. */
  notes: string;
  datasets: readonly string[];
  nDocuments: number;
  createdAt: string;
}

/** The four one-row files of a source, by name. */
export function headRows(
  { side, modelId, displayName, setName, sourceId, dModel, nLayers }: SourceNames,
  { releaseName, title, notes, datasets, nDocuments, createdAt }: PairTexts,
  twin: SourceNames | undefined,
): Record<"release" | "model" | "sourceset" | "source", Record<string, unknown>> {
  const { creatorId, creatorName, descriptionLength } = NEURONPEDIA;
  return {
    release: {
      ...{ name: releaseName, description: `${title}. ${notes}`, descriptionShort: title, urls: [] },
      ...{ creatorName, creatorNameShort: creatorName, creatorId, visibility: "PUBLIC" },
      ...{ isNewUi: false, featured: false, defaultUmapSourceIds: [], createdAt },
    },
    model: {
      ...{ id: modelId, displayName, displayNameShort: displayName, instruct: side === "finetuned" },
      ...{ layers: nLayers, neuronsPerLayer: 0, tlensId: null, dimension: dModel, visibility: "PUBLIC" },
      ...{ inferenceEnabled: false, creatorId, createdAt, updatedAt: createdAt },
    },
    sourceset: {
      ...{ modelId, name: setName, description: title.slice(0, descriptionLength), type: "" },
      ...{ releaseName, creatorName, creatorId, urls: [], visibility: "PUBLIC", hasDashboards: true },
      ...{ defaultRange: 1, defaultShowBreaks: true, showDfa: false, showCorrelated: false },
      ...{ showHeadAttribution: false, showUmap: false, createdAt },
    },
    source: {
      ...{ id: sourceId, modelId, setName, hfRepoId: null, hfFolderId: null, visibility: "PUBLIC" },
      ...{ dataset: datasets.join(", "), num_prompts: nDocuments, num_tokens_in_prompt: null },
      ...{ saelensConfig: null, inferenceEnabled: false, inferenceHosts: [], hasDashboards: true, notes },
      ...{ cosSimMatchModelId: twin?.modelId ?? null, cosSimMatchSourceId: twin?.sourceId ?? null },
      ...{ creatorId, createdAt },
    },
  };
}

/** What is known of one latent on one side. */
export interface SideOfLatent {
  latent: number;
  /** Share of rows in which it fired. */
  frequency: number;
  maxCode: number;
  maxActivation: number;
  /** [dModel] f32 of the side, in the dictionary's space. */
  decoderRow: Float32Array;
  /** ‖decoderRow‖ and the sum over both sides. */
  norm: number;
  totalNorm: number;
  /** As counted while measuring; null where the table has none. */
  bins: ActivationBins | null;
  /** Of the side's normaliser; 1 without one. A raw residual is the dictionary's divided by it. */
  scale: number;
  promoted: TokenScore[];
  suppressed: TokenScore[];
  nearest: Neighbour[];
  /** Claim, label and figures, for people. */
  words: string;
}

/**
 * A line of features/. `vector` is the unit direction; vectorDefaultSteerStrength is how far the latent moves this model's residual
 * stream at its maximum, raw units: maxCode · ‖d_side‖ / scale. maxActApprox is in units of activations (code × W).
 */
export function featureRow(
  names: SourceNames,
  latent: SideOfLatent,
  createdAt: string,
): Record<string, unknown> {
  const { decoderRow, norm, totalNorm, scale } = latent;
  const hasVector = norm > SILENT_SIDE_SHARE * totalNorm;
  const aligned = hasVector ? strongestCoordinates(decoderRow) : [];
  const l1 = decoderRow.reduce((sum, value) => sum + Math.abs(value), 0);
  const logits = (scores: TokenScore[]) =>
    scores.map(({ score }) => fivePlaces(score, NEURONPEDIA.missingLogit));
  return {
    ...{ modelId: names.modelId, layer: names.sourceId, index: String(latent.latent) },
    ...{ sourceSetName: names.setName, creatorId: NEURONPEDIA.creatorId, createdAt },
    maxActApprox: fivePlaces(latent.maxActivation),
    frac_nonzero: fivePlaces(latent.frequency),
    pos_str: latent.promoted.map(({ token }) => token),
    pos_values: logits(latent.promoted),
    neg_str: latent.suppressed.map(({ token }) => token),
    neg_values: logits(latent.suppressed),
    ...frequencyBars(latent.bins),
    ...{ logits_hist_data_bar_heights: [], logits_hist_data_bar_values: [] },
    neuron_alignment_indices: aligned,
    neuron_alignment_values: aligned.map((i) => fivePlaces(decoderRow[i])),
    neuron_alignment_l1: aligned.map((i) => fivePlaces(decoderRow[i] / l1)),
    ...{ correlated_neurons_indices: [], correlated_neurons_pearson: [], correlated_neurons_l1: [] },
    ...{ correlated_features_indices: [], correlated_features_pearson: [], correlated_features_l1: [] },
    topkCosSimIndices: latent.nearest.map((neighbour) => neighbour.latent),
    topkCosSimValues: latent.nearest.map(({ cosine }) => fivePlaces(cosine)),
    decoder_weights_dist: [],
    hasVector,
    vector: hasVector ? Array.from(decoderRow, (value) => fivePlaces(value / norm)) : [],
    vectorLabel: latent.words,
    vectorDefaultSteerStrength: hasVector ? fivePlaces((latent.maxCode * norm) / scale) : 0,
    hookName: hasVector ? `blocks.${names.layer}.${NEURONPEDIA.hook}` : null,
  };
}

/**
 * NEURONPEDIA.bars bars of one width from the lowest to the highest edge, as SAEDashboard draws them: rows in each, and its middle.
 *
 * The measured bins are logarithmic, so their rows are shared out by where the edges fall, rounded so that they still add up to all rows.
 */
function frequencyBars(bins: ActivationBins | null): {
  freq_hist_data_bar_heights: number[];
  freq_hist_data_bar_values: number[];
} {
  const edges = bins === null ? [] : activationEdges(bins);
  if (bins === null || edges.length === 0)
    return { freq_hist_data_bar_heights: [], freq_hist_data_bar_values: [] };
  const { bars } = NEURONPEDIA;
  const fired = countedFirings(bins);
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const edge = (i: number): number => (i === bars ? high : low + ((high - low) * i) / bars);
  const below = Array.from({ length: bars + 1 }, (_, i) =>
    Math.round(fired * shareOfFiringsBelow(bins, edge(i))),
  );
  return {
    freq_hist_data_bar_heights: Array.from({ length: bars }, (_, i) => below[i + 1] - below[i]),
    freq_hist_data_bar_values: Array.from({ length: bars }, (_, i) =>
      fivePlaces((edge(i) + edge(i + 1)) / 2),
    ),
  };
}

/** Largest signed values, as SAEDashboard lists them. */
function strongestCoordinates(row: Float32Array): number[] {
  const best: number[] = [];
  for (let i = 0; i < row.length; i += 1) {
    if (best.length === NEURONPEDIA.alignedCoordinates && row[i] <= row[best[best.length - 1]]) continue;
    let at = best.length;
    while (at > 0 && row[i] > row[best[at - 1]]) at -= 1;
    best.splice(at, 0, i);
    best.length = Math.min(best.length, NEURONPEDIA.alignedCoordinates);
  }
  return best;
}

/** Where the activations of a latent lie: what a measurement keeps of their distribution. */
export interface ActivationSpread {
  frequency: number;
  maxActivation: number;
  /** As counted while measuring; null where the table has none: then the quantiles serve. */
  bins: ActivationBins | null;
  /** Ascending: share of the firings at or below the value. */
  quantiles: readonly { share: number; value: number }[];
}

/** A line of activations/. */
export function activationRow(
  names: SourceNames,
  {
    example,
    spread,
    dictionarySha256,
    createdAt,
  }: { example: LatentExample; spread: ActivationSpread; dictionarySha256: string; createdAt: string },
): Record<string, unknown> {
  const { latent, bin, rank, tokens, peak } = example;
  const values = example.activations.map((value) => fivePlaces(value));
  const maxValue = Math.max(...values);
  return {
    id: rowId(dictionarySha256, names.side, latent, bin, rank),
    ...{ modelId: names.modelId, layer: names.sourceId, index: String(latent) },
    ...{ tokens, values, maxValue, maxValueTokenIndex: values.indexOf(maxValue) },
    minValue: Math.min(...values),
    ...group(bin, maxValue, spread),
    qualifyingTokenIndex: peak,
    ...{ dataSource: example.dataset, dataIndex: example.documentId },
    ...{ lossValues: [], logitContributions: null },
    ...{ dfaValues: [], dfaTargetIndex: null, dfaMaxValue: null },
    ...{ creatorId: NEURONPEDIA.creatorId, createdAt },
  };
}

function group(bin: number, peakValue: number, spread: ActivationSpread) {
  const { topGroup } = NEURONPEDIA;
  if (bin === TOP_BIN) return { binMin: topGroup, binMax: peakValue, binContains: topGroup };
  const [low, high] = [bin, bin + 1].map((edge) => SAMPLE_BINS.edges[edge] * spread.maxActivation);
  const share = shareBelow(high, spread) - shareBelow(low, spread);
  return {
    binMin: fivePlaces(low),
    binMax: fivePlaces(high),
    binContains: fivePlaces(share * spread.frequency),
  };
}

/**
 * Of the firings, the share at or below a value; those of a bin are taken to lie evenly in it. Without bins: straight lines between 0, the
 * stored quantiles and the maximum. An estimate either way, with bins to the width of one.
 */
export function shareBelow(value: number, { maxActivation, quantiles, bins }: ActivationSpread): number {
  if (value >= maxActivation) return 1;
  if (bins !== null && bins.counts.length > 0) return shareOfFiringsBelow(bins, value);
  let [share, at] = [0, 0];
  for (const next of [...quantiles, { share: 1, value: maxActivation }]) {
    if (value < next.value) return share + ((value - at) / (next.value - at)) * (next.share - share);
    [share, at] = [next.share, next.value];
  }
  return 1;
}
