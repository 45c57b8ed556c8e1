// A study of any size for `npm run bench -- dashboard`, written by the project's own writers: what a dashboard reads, without the models,
// the store and the training that would make it. Every number is a pure function of its latent.
//
// Examples: for each latent nine of the strongest and one of each of the paper's bins, at rows of the corpus that are drawn evenly; so a word is
// spread over all latents, which is the worst case of a search.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeLens } from "../src/lens/lens-file.ts";
import { SAMPLE_BINS, type SampledExample } from "../src/measure/example-sample.ts";
import { writeExamples } from "../src/measure/examples-file.ts";
import {
  CLAIM_THRESHOLDS,
  type ErrorImprovement,
  EXCLUSIONS,
  type Interval,
  type LatentMeasure,
  type LatentScaling,
  type MeasureSummary,
  type TokenCount,
  VERDICTS,
} from "../src/measure/measure-contract.ts";
import { MEASURE_FORMAT, measurePaths, writeSummary } from "../src/measure/measure-files.ts";
import { writeMeasureTable } from "../src/measure/measure-table.ts";
import { type NullRecord, writeNull } from "../src/measure/null-file.ts";
import { sideOf } from "../src/measure/stability.ts";
import { claimsHash, type StabilityRecord, writeStability } from "../src/measure/stability-file.ts";
import { type HashedWindow, WINDOW_RADIUS } from "../src/measure/window.ts";
import { createRng } from "../src/numerics/rng.ts";
import type { RowSource } from "../src/store/row-source.ts";
import { N_DOCUMENT_GROUPS } from "../src/store/rows.ts";
import { type TrainingRecord, writeTrainingRecord } from "../src/training/training-record.ts";
import { type Corpus, DOCUMENT_ROWS, makeCorpus } from "./dashboard-text.ts";

export const BENCH_DICTIONARY = "main";
export const TOP_EXAMPLES = 9;
export const EXAMPLES_OF_LATENT = TOP_EXAMPLES + SAMPLE_BINS.edges.length - 1;

const SHA256 = "0".repeat(64);
const CATEGORIES = {
  role: ["text", "system", "user", "assistant", "template", "bos"],
  dataset: ["bench-text", "bench-chat"],
  slot: ["none", "user-open-0", "user-open-1", "user-open-2", "assistant-open-0", "assistant-open-1"],
  positionDecile: Array.from({ length: 10 }, (_, i) => String(i)),
};

const ROWS_OF_LATENT = 32;
const SMALLEST_CORPUS = 2 ** 16;

/** Writes the study into `folder`. Returns how many examples it has. */
export async function writeBenchStudy(folder: string, nLatents: number): Promise<number> {
  const nRows =
    DOCUMENT_ROWS * Math.ceil(Math.max(SMALLEST_CORPUS, ROWS_OF_LATENT * nLatents) / DOCUMENT_ROWS);
  const corpus = makeCorpus(nRows);
  const dictionary = join(folder, "dictionaries", BENCH_DICTIONARY);
  const paths = measurePaths(dictionary);
  await mkdir(dirname(paths.table), { recursive: true });
  await writeStudyFiles(folder, dictionary, nLatents);
  const latents = Array.from({ length: nLatents }, (_, latent) => drawLatent(latent, { nLatents, corpus }));
  await writeMeasureTable(paths.table, latents, CATEGORIES);
  await writeLens(
    dictionary,
    latents.map(({ latent }) => {
      const scores = (at: number) =>
        drawTokens(latent, { corpus, at, n: 10 }).map(({ token, tokenId }, i) => ({
          token,
          tokenId,
          score: 5 - i / 2,
        }));
      return {
        latent,
        ...{ promotedBase: scores(2), suppressedBase: scores(3) },
        ...{ promotedFinetuned: scores(4), suppressedFinetuned: scores(5) },
      };
    }),
  );
  await writeSummary(dictionary, summaryOf(latents, nRows), {
    ...{ dictionarySha256: SHA256, storeSha256: SHA256, split: "heldout", format: MEASURE_FORMAT, seed: 0 },
    ...{ examplesPerLatent: TOP_EXAMPLES, examplesPerBin: 1 },
  });
  await writeSureness(dictionary, latents);
  const windows = drawWindows(corpus);
  await writeExamples({
    ...{ path: paths.examples, nLatents, perBin: 1, dictionarySha256: SHA256 },
    source: sourceOf(corpus, folder),
    examples: {
      top: { ofLatent: (latent) => windows(latent).slice(0, TOP_EXAMPLES) },
      sample: {
        ofLatent: (latent) =>
          windows(latent)
            .slice(TOP_EXAMPLES)
            .map((example, priority): SampledExample => ({ priority, example })),
      },
    },
    maxActivation: () => MAXIMUM,
    tokenString: corpus.tokenString,
  });
  return nLatents * EXAMPLES_OF_LATENT;
}

async function writeStudyFiles(folder: string, dictionary: string, nLatents: number): Promise<void> {
  const json = (path: string, value: object) => writeFile(join(folder, path), JSON.stringify(value, null, 2));
  await json("study.yaml", {
    ...{ schemaVersion: 1, base: "bench/base", finetuned: "bench/finetuned", data: "bench.jsonl" },
    dictionary: { name: BENCH_DICTIONARY, nLatents, k: 100 },
  });
  await json("study.lock.json", {
    base: { path: "bench/base", hash: "base" },
    finetuned: { path: "bench/finetuned", hash: "finetuned" },
    layer: { base: 13, finetuned: 13 },
  });
  await writeFile(join(folder, "journal.jsonl"), "");
  await writeFile(join(dictionary, "config.json"), JSON.stringify({ dict_size: nLatents, k: 100 }));
  // What the dashboard reads of it: which weights it is, and its warnings.
  const record = {
    ...{ schemaVersion: 1, version: "bench", backend: "none", configHash: SHA256, storeHash: SHA256 },
    ...{ config: { nLatents, k: 100 }, store: "main", modelSha256: SHA256, warnings: [] },
  };
  await writeTrainingRecord(dictionary, record as unknown as TrainingRecord);
}

const MAXIMUM = 12;
const SHARES = SAMPLE_BINS.edges.slice(1).map((high, bin) => (SAMPLE_BINS.edges[bin] + high) / 2);

/** Of a latent: the strongest, then one of each bin. */
function drawWindows({ nDocuments }: Corpus): (latent: number) => HashedWindow[] {
  const rng = createRng(0, "bench dashboard windows");
  return (latent) =>
    Array.from({ length: EXAMPLES_OF_LATENT }, (_, i) => {
      // A stride apart, so that a latent has no document twice.
      const first = rng.uint32(latent, 0) % nDocuments;
      const document = (first + i * 17) % nDocuments;
      const at = rng.uint32(latent, 1 + i);
      const rowStart = document * DOCUMENT_ROWS;
      const peakRow = rowStart + (at % DOCUMENT_ROWS);
      const windowStart = Math.max(rowStart, peakRow - WINDOW_RADIUS);
      const windowEnd = Math.min(rowStart + DOCUMENT_ROWS, peakRow + WINDOW_RADIUS + 1);
      const share = i < TOP_EXAMPLES ? 1 - i / 100 : SHARES[i - TOP_EXAMPLES];
      const activations = new Float32Array(windowEnd - windowStart);
      for (let t = 0; t < activations.length; t += 1)
        if (((at >>> (t % 24)) & 7) === 0) activations[t] = (MAXIMUM * share) / 2;
      activations[peakRow - windowStart] = MAXIMUM * share;
      const textHash = latent * EXAMPLES_OF_LATENT + i;
      return {
        document,
        peakRow,
        windowStart,
        windowEnd,
        maxActivation: MAXIMUM * share,
        activations,
        textHash,
      };
    });
}

/** What writeExamples reads of a store. */
function sourceOf(corpus: Corpus, folder: string): RowSource {
  const { nDocuments } = corpus;
  const source: Pick<RowSource, "folder" | "documents" | "readFacts" | "documentIds"> & {
    manifest: Pick<RowSource["manifest"], "nRows" | "datasets">;
  } = {
    folder,
    manifest: { nRows: nDocuments * DOCUMENT_ROWS, datasets: CATEGORIES.dataset },
    documents: {
      nDocuments,
      rowStart: Float64Array.from({ length: nDocuments + 1 }, (_, i) => i * DOCUMENT_ROWS),
      group: Uint8Array.from({ length: nDocuments }, (_, i) => i % N_DOCUMENT_GROUPS),
      split: new Uint8Array(nDocuments),
      dataset: Uint8Array.from({ length: nDocuments }, (_, i) => i % CATEGORIES.dataset.length),
    },
    readFacts: async (rowStart, rowEnd) => ({
      role: new Uint8Array(rowEnd - rowStart),
      slot: new Uint8Array(rowEnd - rowStart),
      tokenFinetuned: corpus.tokens(rowStart, rowEnd),
    }),
    documentIds: async (wanted) => new Map([...wanted].map((index) => [index, `document-${index}`])),
  };
  return source as unknown as RowSource; // the rest is of activations
}

const numbers = createRng(0, "bench dashboard numbers");

function drawTokens(
  latent: number,
  { corpus, at, n }: { corpus: Corpus; at: number; n: number },
): TokenCount[] {
  return Array.from({ length: n }, (_, i) => {
    const row = numbers.uint32(latent, at * 100 + i) % (corpus.nDocuments * DOCUMENT_ROWS);
    const tokenId = corpus.tokens(row, row + 1)[0];
    return { token: corpus.tokenString(tokenId), tokenId, count: 40 - 2 * i };
  });
}

function drawLatent(
  latent: number,
  { nLatents, corpus }: { nLatents: number; corpus: Corpus },
): LatentMeasure {
  let drawn = 1000;
  const draw = (low = 0, high = 1): number => low + (high - low) * numbers.uniform(latent, drawn++);
  const lean = draw();
  const deltaNorm = lean < 0.06 ? draw(0.9, 1) : lean < 0.09 ? draw(0, 0.1) : draw(0.35, 0.65);
  const leans =
    deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm || deltaNorm < 1 - CLAIM_THRESHOLDS.candidateDeltaNorm;
  const isClaim = leans && draw() < 0.3;
  const claim = !isClaim ? "none" : deltaNorm > 0.5 ? "finetuned-specific" : "base-specific";
  const scaling = (): LatentScaling => ({
    ...{ betaActivationBase: draw(), betaActivationFinetuned: draw() },
    ...{ betaReconstructionBase: draw(), betaReconstructionFinetuned: draw() },
    ...{ betaErrorBase: draw(), betaErrorFinetuned: draw() },
    ...{ nuActivation: draw(), nuReconstruction: isClaim ? draw(0, 0.4) : draw(0, 1.2) },
    nuError: isClaim ? draw(0, 0.18) : draw(0, 1.2),
  });
  const interval = (): Interval => ({ low: draw(0, 0.1), high: draw(0.1, 0.5) });
  const nus = () => ({ nuActivation: interval(), nuReconstruction: interval(), nuError: interval() });
  const improvement = (): ErrorImprovement => ({
    ...{ activationBase: draw(), activationFinetuned: draw(), reconstructionBase: draw() },
    ...{ reconstructionFinetuned: draw(), errorBase: draw(), errorFinetuned: draw() },
    ...{ activationRatio: draw(), reconstructionRatio: draw(), errorRatio: draw() },
  });
  const nearest = () =>
    Array.from({ length: 10 }, () => ({ latent: Math.floor(draw() * nLatents), cosine: draw() }));
  const list = (names: readonly string[]) => names.map(() => draw(0, 0.01));
  return {
    latent,
    ...{ decoderNormBase: 1 - deltaNorm, decoderNormFinetuned: deltaNorm },
    ...{ encoderNormBase: draw(), encoderNormFinetuned: draw(), deltaNorm, decoderCosine: draw(-0.2, 1) },
    latentClass:
      deltaNorm > 0.9
        ? "finetuned-only"
        : deltaNorm < 0.1
          ? "base-only"
          : deltaNorm < 0.6
            ? "shared"
            : "other",
    ...{ frequency: 0.1 * draw() ** 4, documents: Math.floor(draw() * 4000), maxCode: draw(2, 9) },
    ...{ maxActivation: MAXIMUM, meanActivation: draw(1, 3) },
    activationQuantiles: { q10: draw(0, 1), q50: draw(1, 3), q90: draw(3, 6), q99: draw(6, 11) },
    activationHistogram: {
      ...{ first: 4032, end: 4152, step: 3 },
      counts: Array.from({ length: 40 }, () => Math.floor(400 * draw() ** 3)),
    },
    ...{ templateShare: draw() ** 3, documentEntropy: draw(0, 8) },
    frequencyBy: {
      role: list(CATEGORIES.role),
      dataset: list(CATEGORIES.dataset),
      slot: list(CATEGORIES.slot),
      positionDecile: list(CATEGORIES.positionDecile),
    },
    tokensAtPeak: drawTokens(latent, { corpus, at: 0, n: 10 }),
    tokensBeforePeak: drawTokens(latent, { corpus, at: 1, n: 10 }),
    ...{ scalingFinetuned: scaling(), scalingBase: scaling() },
    intervals: { finetuned: nus(), base: nus(), nGroupsFired: Math.floor(draw() * 64) },
    ...{ improvementFinetuned: improvement(), improvementBase: improvement() },
    ...{ nearestFinetuned: nearest(), nearestBase: nearest(), nearestAcross: nearest() },
    verdict: isClaim ? "genuine" : leans ? "complete shrinkage" : "",
    claim,
    exclusion: leans ? "" : "not-candidate",
  };
}

function summaryOf(latents: readonly LatentMeasure[], nRows: number): MeasureSummary {
  const count = (is: (latent: LatentMeasure) => boolean): number => latents.filter(is).length;
  const none = Object.fromEntries(EXCLUSIONS.map((name) => [name, 0])) as MeasureSummary["exclusionsBase"];
  const fve = { base: 0.8, finetuned: 0.8, total: 0.8 };
  return {
    ...{ schemaVersion: 1, nLatents: latents.length, nRows, nDocuments: nRows / DOCUMENT_ROWS },
    ...{
      nBosRows: 0,
      nOutlierRows: 0,
      fve,
      fveAllRows: fve,
      l0: 100,
      deadFraction: 0,
      inferenceThreshold: 0.5,
    },
    counts: {
      baseOnly: count(({ latentClass }) => latentClass === "base-only"),
      finetunedOnly: count(({ latentClass }) => latentClass === "finetuned-only"),
      shared: count(({ latentClass }) => latentClass === "shared"),
      other: count(({ latentClass }) => latentClass === "other"),
      finetunedSpecific: count(({ claim }) => claim === "finetuned-specific"),
      baseSpecific: count(({ claim }) => claim === "base-specific"),
    },
    ...{ exclusionsFinetuned: none, exclusionsBase: none, scalingDirections: "shared" },
    verdicts: Object.fromEntries(
      VERDICTS.map((name) => [name, count(({ verdict }) => verdict === name)]),
    ) as MeasureSummary["verdicts"],
    categories: CATEGORIES,
    rowsByCategory: {
      role: CATEGORIES.role.map(() => nRows / 6),
      dataset: CATEGORIES.dataset.map(() => nRows / 2),
      slot: CATEGORIES.slot.map(() => nRows / 6),
      positionDecile: CATEGORIES.positionDecile.map(() => nRows / 10),
    },
    intervals: { level: 0.95, nDraws: 500, nGroups: N_DOCUMENT_GROUPS },
    ...{ twins: [], thresholds: CLAIM_THRESHOLDS },
  };
}

/** The tables of null pairs and of other dictionaries. */
async function writeSureness(dictionary: string, latents: readonly LatentMeasure[]): Promise<void> {
  const isClaim = ({ claim }: LatentMeasure): boolean => claim !== "none";
  const of = (latent: number, at: number): number => numbers.uniform(latent, 5000 + at);
  const claims = latents.filter(isClaim).length;
  const counts = { finetuned: { candidates: claims, claims }, base: { candidates: 0, claims: 0 } };
  const record: NullRecord = {
    ...{ schemaVersion: 1, dictionarySha256: SHA256, thresholds: { ...CLAIM_THRESHOLDS }, changeRatio: 0.1 },
    ...{ settings: { draws: 1, includeControl: false, sampleRows: 4096 }, sampledRows: 4096, counts },
    draws: [
      { name: "main-null-1", dictionarySha256: SHA256, changeRatio: 0.1, counts, seed: 1, scale: 0.01 },
    ],
    control: null,
    ...{
      expectedFalseClaims: { finetuned: 3, base: 2 },
      claimsUpTo: [{ q: 0.1, finetuned: claims, base: 0 }],
    },
  };
  await writeNull(dictionary, {
    record,
    rows: latents.map((row) => {
      const q = isClaim(row) ? 0.1 * of(row.latent, 0) : Number.NaN;
      const side = row.deltaNorm > 0.5;
      return {
        ...{ latent: row.latent, scoreFinetuned: of(row.latent, 1), scoreBase: of(row.latent, 2) },
        ...{ qFinetuned: side ? q : Number.NaN, qBase: side ? Number.NaN : q, q },
      };
    }),
  });
  const named = (name: string) => ({
    ...{
      name,
      nLatents: latents.length,
      seed: 0,
      dictionarySha256: SHA256,
      claimsSha256: claimsHash(latents),
    },
  });
  const counted = {
    ...{ latents: claims, compared: claims, directionFoundInAll: claims, directionFoundInAny: claims },
    ...{ claimReplicatedInAll: claims, claimReplicatedInAny: claims },
    ...{ meanDirectionFound: 0.9, meanClaimReplicated: 0.8 },
  };
  const stability: StabilityRecord = {
    ...{
      schemaVersion: 1,
      reference: named(BENCH_DICTIONARY),
      others: [named("seed-1")],
      storeSha256: SHA256,
    },
    ...{ split: "heldout", nRows: 1_000_000, thresholds: { cosineAtLeast: 0.9, correlationAtLeast: 0.9 } },
    counts: { finetunedSpecific: counted, baseSpecific: counted, leaningUnclaimed: counted, shared: counted },
  };
  await writeStability(
    dictionary,
    stability,
    latents.map((row) => ({
      ...{
        latent: row.latent,
        side: sideOf(row.deltaNorm),
        nCompared: 1,
        directionFound: 1,
        claimReplicated: 1,
      },
      ...{ bestCosine: of(row.latent, 3), bestCorrelation: of(row.latent, 4), matches: [] },
    })),
  );
}
