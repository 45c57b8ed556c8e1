// Everything the report says, as one plain object: collect.ts fills it from a study folder, report.ts turns it into a page.

import type { LatentLens } from "../lens/lens-contract.ts";
import type { LatentExample, LatentMeasure, MeasureSummary } from "../measure/measure-contract.ts";
import type { Split } from "../store/rows.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { GlanceOfStudy } from "./glance-of-study.ts";
import type { LateTable } from "./late-table.ts";
import type { LateTables } from "./late-tables.ts";

/** One figure for both models, or one each. */
export type PerModel = number | { base: number; finetuned: number };

/** One line of the training log. NaN where a quantity was not recorded at that step. */
export interface TrainingMetric {
  /** Completed steps. */
  step: number;
  /** Share of the batch's variance, both models pooled. */
  fve: number;
  /** Codes a row. */
  l0: number;
  /** Training loss: mean L2 norm of the error in the dictionary's own (normalised) units, auxiliary part included. */
  loss: number;
  /** Share of latents silent for the run's dead-after window. */
  dead: number;
}

export interface ReportInput extends LateTables {
  title: string;
  /** Written as given; the page itself never asks the clock. */
  generatedAt: string;
  toolVersion: string;
  pair: {
    base: string;
    finetuned: string;
    baseHash: string;
    finetunedHash: string;
    /** 0-based block whose output was compared. */
    layer: PerModel;
    dModel: PerModel;
    tokenizerHash: string;
  };
  data: {
    description: string;
    nDocuments: number;
    nRows: number;
    rowsBySplit: Record<Split, number>;
    datasets: { name: string; rows: number }[];
    /** As stored: "bf16" or "f32". */
    dtype: string;
    /** Error of storing, relative to the difference of the models; null where not known. */
    roundingErrorRelative: { site: string; value: number | null }[];
  };
  training: {
    nLatents: number;
    k: number;
    steps: number;
    batchRows: number;
    /** "BatchTopK, k 5". */
    sparsity: string;
    learningRate: number;
    seed: number;
    seconds: number;
    metrics: TrainingMetric[];
  };
  summary: MeasureSummary;
  /** One entry a latent. */
  latents: LatentMeasure[];
  /** By latent; latents without an entry are shown without tokens. */
  lens: Map<number, LatentLens>;
  /** Strongest first; asked only for claims. */
  examples: (latent: number) => LatentExample[];
  /** Drawn from the paper's activation bins, weakest bin first; asked only for claims. */
  samples: (latent: number) => LatentExample[];
  truth?: TruthScore;
  /** Of these models and this layer; else outdated. */
  glance: LateTable<GlanceOfStudy>;
  warnings: string[];
  /** How to make this again, one command each. */
  commands: string[];
  /** Stage → seconds of work. */
  seconds?: Record<string, number>;
}
