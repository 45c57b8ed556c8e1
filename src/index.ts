// The library: every stage as a function, and the readers of what the stages write. The command line is built on the same.

export * from "./causal/causal-contract.ts";
export { type CausalRecord, readCausal } from "./causal/causal-file.ts";
export { readEffects } from "./causal/effects-table.ts";
export { createPatchEvaluator, type PatchEvaluator } from "./causal/patch-evaluator.ts";
export { runPatching } from "./causal/patching.ts";
export { spliceMetrics } from "./causal/splice.ts";
export { steer } from "./causal/steer.ts";
export { steeringVector } from "./causal/steering-vectors.ts";
export type { Dictionary, Encoder, Normaliser, SparseCodes } from "./dictionary/dictionary.ts";
export { loadDictionary, saveDictionary } from "./dictionary/dictionary-file.ts";
export { createEncoder } from "./dictionary/encode.ts";
export { encodeActivationsFile } from "./dictionary/encode-file.ts";
export { foldNormaliser } from "./dictionary/fold-normaliser.ts";
export * from "./errors.ts";
export { openSafetensors, writeSafetensors } from "./formats/safetensors.ts";
export { glance } from "./glance/glance.ts";
export type { Glance } from "./glance/glance-contract.ts";
export { readGlance } from "./glance/glance-file.ts";
export { captureActivations } from "./harvest/activations.ts";
export { harvest } from "./harvest/harvest.ts";
export { inspectPair } from "./harvest/inspect-pair.ts";
export { lens } from "./lens/lens.ts";
export type { LatentLens, TokenScore } from "./lens/lens-contract.ts";
export { readLens } from "./lens/lens-file.ts";
export { openAdapter, openModel } from "./lm/adapter.ts";
export { openCheckpoint } from "./lm/checkpoint.ts";
export { type ExecutionDevice, parseDevice } from "./lm/device.ts";
export { createGenerator } from "./lm/generate.ts";
export type { ResidualEdit } from "./lm/residual-edit.ts";
export { createFullModel, createPrefix, createSuffix, loadUnembedding } from "./lm/runner.ts";
export { qValues, scoreOf } from "./measure/false-discovery.ts";
export { writeFeatureDf } from "./measure/feature-df.ts";
export { measure, openExamples, readMeasure, readSummary } from "./measure/measure.ts";
export * from "./measure/measure-contract.ts";
export { readNullRecord, readNullRows } from "./measure/null-file.ts";
export { writeReferenceExamples } from "./measure/reference-examples.ts";
export { stability } from "./measure/stability.ts";
export { readStabilityRecord, readStabilityTable } from "./measure/stability-file.ts";
export { findTwins } from "./measure/twins.ts";
export { verdictReason } from "./measure/verdict.ts";
export type { Progress, ReportProgress } from "./progress.ts";
export { renderGlancePage } from "./report/glance-page.ts";
export { writeLatentsTable } from "./report/latents-table.ts";
export { renderReport } from "./report/report.ts";
export type { ReportInput } from "./report/report-input.ts";
export { exampleOutputs } from "./store/example-outputs.ts";
export { openOutputs } from "./store/outputs.ts";
export { openRowSource, type RowSource } from "./store/row-source.ts";
export * from "./store/rows.ts";
export { openStore } from "./store/store.ts";
export type { Site, Store, StoreManifest } from "./store/store-contract.ts";
export {
  parseStudyConfig,
  readStudyConfig,
  type StudyConfig,
  type StudyConfigInput,
} from "./study/config.ts";
export { importDictionary } from "./study/import-dictionary.ts";
export { runNullStudy } from "./study/null-study.ts";
export { runStudy } from "./study/run-study.ts";
export { runStabilityStudy } from "./study/stability-study.ts";
export { readDocuments } from "./text/read-documents.ts";
export { loadTokenizer } from "./text/tokenizer.ts";
export { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./training/config.ts";
export { PRESET_NAMES, type PresetName, resolvePreset } from "./training/presets.ts";
export type { Sparsity } from "./training/sparsity.ts";
export { train } from "./training/train.ts";
export { trainMany } from "./training/train-many.ts";
export { readTruth, scoreTruth } from "./truth/truth.ts";
export type { TruthScore } from "./truth/truth-contract.ts";
