// The slow twin of splice.ts: a document at a time through whole models, row by row in the order of the formulas, everything in f64 arrays.

import { decode } from "../dictionary/decode.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { denormaliseInPlace, normaliseInPlace } from "../dictionary/normaliser.ts";
import { logSoftmax } from "../harvest/next-token-reference.ts";
import { SIDES } from "../harvest/open-pair.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { createPrefix, createSuffix } from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { SpliceOutcome } from "./causal-contract.ts";
import type { SpliceDocument } from "./splice-documents.ts";

export interface SpliceReferenceOptions {
  checkpoints: Record<ModelSide, Checkpoint>;
  layers: Record<ModelSide, number>;
  dictionary: Dictionary;
  documents: readonly SpliceDocument[];
  normLimits: readonly number[];
  spliceAll: boolean;
}

/** A document's rows as a model has them: h, its reconstruction, and which rows are replaced, measured, counted in the mean. */
interface Rows {
  document: SpliceDocument;
  h: Record<ModelSide, number[][]>;
  reconstruction: Record<ModelSide, number[][]>;
  isReplaced: boolean[];
  isMeasured: boolean[];
  isInMean: boolean[];
}

export async function spliceReference(
  options: SpliceReferenceOptions,
): Promise<Record<ModelSide, SpliceOutcome>> {
  const documents = await Promise.all(options.documents.map((document) => rowsOf(options, document)));
  const outcomes = {} as Record<ModelSide, SpliceOutcome>;
  for (const side of SIDES) outcomes[side] = await spliceSide(options, documents, side);
  return outcomes;
}

async function rowsOf(
  { checkpoints, layers, dictionary, normLimits, spliceAll }: SpliceReferenceOptions,
  document: SpliceDocument,
): Promise<Rows> {
  const { isLeft } = document;
  const length = isLeft.length;
  const h = {} as Record<ModelSide, number[][]>;
  for (const side of SIDES) {
    const prefix = await createPrefix(checkpoints[side], { layers: [layers[side]], threads: 1 });
    const tokenIds = side === "base" ? document.tokenBase : document.tokenFinetuned;
    const [flat] = await prefix.run({ tokenIds, batch: 1, length, lengths: Int32Array.of(length) });
    await prefix.dispose();
    h[side] = splitRows(flat, checkpoints[side].config.dModel);
  }
  const offsets = siteOffsets(dictionary.sites);
  const reconstruction: Rows["reconstruction"] = { base: [], finetuned: [] };
  const isOutlier: boolean[] = [];
  for (let row = 0; row < length; row += 1) {
    const x = Float32Array.from(dictionary.sites.flatMap(({ model }) => h[model][row]));
    isOutlier.push(
      dictionary.sites.some(({ model }, site) => Math.hypot(...h[model][row]) > normLimits[site]),
    );
    const codes = encodeReference(dictionary, normaliseInPlace(x, 1, dictionary), 1);
    const decoded = denormaliseInPlace(decode(dictionary, codes), 1, dictionary);
    for (const [site, { model }] of dictionary.sites.entries()) {
      reconstruction[model].push([...decoded.subarray(offsets[site], offsets[site + 1])]);
    }
  }
  const isMeasured = isOutlier.map((_, row) => isLeft[row] === 0 && row < length - 1);
  return {
    ...{ document, h, reconstruction, isMeasured },
    isReplaced: isOutlier.map((isOver, row) => spliceAll || (isLeft[row] === 0 && !isOver)),
    isInMean: isOutlier.map((isOver, row) => isMeasured[row] && !isOver),
  };
}

async function spliceSide(
  { checkpoints, layers }: SpliceReferenceOptions,
  documents: Rows[],
  side: ModelSide,
): Promise<SpliceOutcome> {
  const suffix = await createSuffix(checkpoints[side], { layer: layers[side], threads: 1 });
  const logProbabilities = async (rows: number[][]): Promise<number[][]> => {
    const residual = Float32Array.from(rows.flat());
    const length = rows.length;
    const logits = await suffix.run({ residual, batch: 1, length, lengths: Int32Array.of(length) });
    return splitRows(logits, suffix.vocabSize).map(logSoftmax);
  };
  const inMean = documents.flatMap(({ h, isInMean }) => h[side].filter((_, row) => isInMean[row]));
  const mean = inMean[0].map((_, i) => average(inMean.map((row) => row[i])));

  const nll = { model: [] as number[], spliced: [] as number[], mean: [] as number[], zero: [] as number[] };
  const kl: number[] = [];
  for (const { document, h, reconstruction, isReplaced, isMeasured } of documents) {
    const replacedBy = (of: (row: number) => number[]): number[][] =>
      h[side].map((own, row) => (isReplaced[row] ? of(row) : own));
    const logP = {
      model: await logProbabilities(h[side]),
      spliced: await logProbabilities(replacedBy((row) => reconstruction[side][row])),
      mean: await logProbabilities(replacedBy(() => mean)),
      zero: await logProbabilities(replacedBy(() => mean.map(() => 0))),
    };
    const tokens = side === "base" ? document.tokenBase : document.tokenFinetuned;
    for (let row = 0; row < tokens.length; row += 1) {
      if (!isMeasured[row]) continue;
      for (const name of ["model", "spliced", "mean", "zero"] as const) {
        nll[name].push(-logP[name][row][tokens[row + 1]]);
      }
      const terms = logP.model[row].map((log, id) => Math.exp(log) * (log - logP.spliced[row][id]));
      kl.push(terms.reduce((sum, term) => sum + term, 0));
    }
  }
  await suffix.dispose();
  const ce = {
    model: average(nll.model),
    spliced: average(nll.spliced),
    mean: average(nll.mean),
    zero: average(nll.zero),
  };
  return {
    ...{ tokens: kl.length, ce, kl: average(kl) },
    lossRecoveredZero: (ce.zero - ce.spliced) / (ce.zero - ce.model),
    lossRecoveredMean: (ce.mean - ce.spliced) / (ce.mean - ce.model),
  };
}

const average = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function splitRows(flat: Float32Array, width: number): number[][] {
  return Array.from({ length: flat.length / width }, (_, row) => [
    ...flat.subarray(row * width, (row + 1) * width),
  ]);
}
