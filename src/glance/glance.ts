// A first glance at a pair: what differs, in seconds and without a dictionary.
//
// Text (glance-texts.ts, own-texts.ts), one sweep of it through both models (sweep.ts) that feeds every part in bounded memory, then
// the parts: per-token KL (kl-peaks.ts), the activation-difference lens and components (difference-lens.ts, difference-pca.ts), mined
// tokens (logit-mining.ts), and what they say in words (findings.ts). It finds where to look; it proves nothing about causes.

import { throwIfInterrupted } from "../errors.ts";
import { inspectPair, type PairQuestion } from "../harvest/inspect-pair.ts";
import { openPair, type Pair } from "../harvest/open-pair.ts";
import { openModel } from "../lm/adapter.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { loadUnembedding, type Unembedding } from "../lm/runner.ts";
import { probeDevice } from "../lm/session.ts";
import { packageVersion } from "../package-root.ts";
import type { ReportProgress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { differenceLens } from "./difference-lens.ts";
import { differencePca } from "./difference-pca.ts";
import { createDifferenceSums, type DifferenceSums } from "./difference-sums.ts";
import { findingsOf } from "./findings.ts";
import { GLANCE_SCHEMA, type Glance, type LensFindings, type PcaFindings } from "./glance-contract.ts";
import { countParameters, type GlanceTexts, textsOfFile, tokenBudget } from "./glance-texts.ts";
import { createKlTally } from "./kl-peaks.ts";
import { createLogitMining } from "./logit-mining.ts";
import { ownTexts } from "./own-texts.ts";
import { findSharedIds } from "./shared-ids.ts";
import { sweep } from "./sweep.ts";

export interface GlanceOptions extends PairQuestion {
  /** JSONL file of documents; default: the models write the text themselves. */
  data?: string | undefined;
  /** Tokens to read, about; default by the models' size, see TEXT_LIMITS. */
  maxTokens?: number | undefined;
  /** Of a file: tokens at the start of each document that are read and not counted. */
  skipFirst?: number | undefined;
  /** Default 0: which documents are drawn, what the models write. */
  seed?: number | undefined;
  /** Default true: also answer neutral prompts with the mean difference added. */
  steering?: boolean | undefined;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Looks at both models. Writes no file.
 *
 * Throws ConfigError (layer, device), MismatchError (the models do not fit), FormatError (a file is bad), NumericsError (a residual or
 * logit is not finite), InterruptedError.
 */
export async function glance(options: GlanceOptions): Promise<Glance> {
  const startedMs = performance.now();
  if (options.device !== undefined) await probeDevice(options.device);
  const inspected = await inspectPair(options);
  const base = await openCheckpoint(options.base);
  try {
    const finetuned = await openModel(options.finetuned, { base: options.base });
    try {
      const pair = await openPair(options, { base, finetuned }, inspected);
      return await glancePair(options, pair, startedMs);
    } finally {
      await finetuned.close();
    }
  } finally {
    await base.close();
  }
}

async function glancePair(options: GlanceOptions, pair: Pair, startedMs: number): Promise<Glance> {
  const { seed = 0, signal } = options;
  const { base, finetuned } = pair.checkpoints;
  const size = Math.max(countParameters(base.architecture), countParameters(finetuned.architecture));
  const common = { pair, maxTokens: options.maxTokens ?? tokenBudget(size), seed };
  const { data: path, skipFirst } = options;
  const text =
    path === undefined
      ? await ownTexts({ ...pick(options), ...common })
      : await textsOfFile({ ...common, path, skipFirst, signal });
  throwIfInterrupted(signal);
  const { notes, ...tables } = await lookAt(options, pair, text);
  const [layerBase, layerFinetuned] = pair.sites.map(({ layer }) => layer);
  return {
    schemaVersion: GLANCE_SCHEMA,
    tunediff: packageVersion(),
    base: options.base,
    finetuned: options.finetuned,
    layer: { base: layerBase, finetuned: layerFinetuned },
    text: {
      source: text.source,
      description: text.description,
      documents: text.texts.length,
      tokens: tables.kl.tokens,
    },
    seconds: (performance.now() - startedMs) / 1000,
    ...tables,
    findings: findingsOf(tables),
    warnings: [...pair.warnings, ...text.warnings, ...notes],
  };
}

/** Options that every stage takes. */
function pick({ threads, device, reportProgress, signal }: GlanceOptions) {
  return { threads, device, reportProgress, signal };
}

type Tables = Pick<Glance, "kl" | "lens" | "pca" | "mining"> & { notes: string[] };

async function lookAt(options: GlanceOptions, pair: Pair, { texts }: GlanceTexts): Promise<Tables> {
  const { tokenString } = pair.tokenizer;
  const { common, notMined, notes } = await findSharedIds(pair, texts);
  const { vocabulary } = common;
  const [siteBase, siteFinetuned] = pair.sites;
  const kl = createKlTally({ tokenString });
  const mining = createLogitMining({ vocabulary, excluded: notMined, tokenString });
  const sums = createDifferenceSums({
    dModel: siteBase.width,
    seed: options.seed ?? 0,
    threads: options.threads,
  });
  try {
    await sweep({
      ...pick(options),
      ...{ pair, texts, common },
      onResiduals: (rows) => sums.add(rows),
      onLogits: (rows) => mining.add(rows),
      onText: (text) => kl.add(text),
    });
    const isComparable = siteBase.width === siteFinetuned.width;
    const differences = isComparable
      ? await readDifference(options, pair, { sums, texts })
      : { lens: emptyLens(siteFinetuned.layer), pca: EMPTY_PCA };
    const widths = `the residuals are ${siteBase.width} and ${siteFinetuned.width} wide: there is no difference of them to look at`;
    return {
      kl: kl.finish(),
      ...differences,
      mining: mining.finish(),
      notes: isComparable ? notes : [...notes, widths],
    };
  } finally {
    await sums.dispose();
  }
}

async function readDifference(
  options: GlanceOptions,
  pair: Pair,
  { sums, texts }: { sums: DifferenceSums; texts: GlanceTexts["texts"] },
): Promise<{ lens: LensFindings; pca: PcaFindings }> {
  const { tokenizer, checkpoints } = pair;
  const { tokenString } = tokenizer;
  const { threads, seed = 0, steering = true } = options;
  const summed = await sums.finish();
  const unembeddings: Record<ModelSide, Unembedding> = {
    base: await loadUnembedding(checkpoints.base),
    finetuned: await loadUnembedding(checkpoints.finetuned),
  };
  const pca = await differencePca({
    sums: summed,
    unembeddings,
    tokenString,
    document: (index) => ({
      id: texts[index].id,
      tokens: Array.from(texts[index].tokens.finetuned, tokenString),
    }),
    threads,
  });
  const lens = await differenceLens({ ...pick(options), sums: summed, pair, unembeddings, seed, steering });
  return { lens, pca };
}

/** Of models whose residuals cannot be subtracted. */
function emptyLens(layer: number): LensFindings {
  return {
    texts: 0,
    layer,
    positions: [],
    overall: { texts: 0, relativeNorm: null, consistency: 0, read: [] },
    mainPosition: null,
    steering: [],
    leftOut: [],
  };
}

const EMPTY_PCA: PcaFindings = { rows: 0, changeRatio: 0, meanShare: 0, components: [] };
