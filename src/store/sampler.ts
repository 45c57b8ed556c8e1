// The one door to batches: which rows a step sees (keyed-sampler.ts) and their activations (batch-reader.ts).

export { type BatchReader, createBatchReader } from "./batch-reader.ts";
export {
  type BatchPart,
  createSampler,
  type Sampler,
  type SamplerOptions,
  type SampleWindow,
} from "./keyed-sampler.ts";
