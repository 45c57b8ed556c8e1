// A planned graph with its weights, loaded into onnxruntime on the CPU.
//
// Holds no model knowledge. onnxruntime-node runs a graph on the calling thread (inside run) with its own pool beside
// it, so two sessions do not run at the same time: parallelism comes from `threads`.

import { availableParallelism } from "node:os";
import { InferenceSession, type Tensor } from "onnxruntime-node";
import { ConfigError } from "../errors.ts";
import { encodeOnnxModel, type OnnxInitializer } from "../formats/onnx.ts";
import type { GraphPlan, ReadTensor } from "./graph-builder.ts";

export interface Session {
  /** Names of the values to feed. */
  inputs: Set<string>;
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  dispose(): Promise<void>;
}

/** Protobuf cannot carry 2 GiB; the rest is room for the graph itself. */
const MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 22;

/**
 * Reads the plan's weights one after another and makes a session.
 *
 * place: what is loaded, for messages. threads: default all cores. Throws ConfigError when the weights exceed 2 GiB.
 */
export async function openSession(
  plan: GraphPlan,
  { read, threads, place }: { read: ReadTensor; threads?: number; place: string },
): Promise<Session> {
  const weightBytes = plan.weights.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  if (weightBytes > MAX_WEIGHT_BYTES) {
    throw new ConfigError(
      `${place}: expected at most ${MAX_WEIGHT_BYTES} bytes of f32 weights, got ${weightBytes}`,
      { hint: "compare at an earlier layer (only the layers up to it are loaded), or a smaller model" },
    );
  }
  const session = await InferenceSession.create(await encodeWithWeights(plan, read), {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads ?? availableParallelism(),
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    // Errors are thrown; onnxruntime must not also print them.
    logSeverityLevel: 4,
    // Idle pools of the other model's session must not burn the cores this one needs.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  return {
    inputs: new Set(plan.inputs.map(({ name }) => name)),
    run: (feeds) => session.run(feeds) as Promise<Record<string, Tensor>>,
    dispose: () => session.release(),
  };
}

/** Its own function so that the weights are garbage by the time onnxruntime makes its copy. */
async function encodeWithWeights(plan: GraphPlan, read: ReadTensor): Promise<Uint8Array> {
  const initializers: OnnxInitializer[] = [...plan.constants];
  for (const { name, shape, load } of plan.weights) {
    initializers.push({ name, dtype: "float32", shape, data: await load(read) });
  }
  return encodeOnnxModel({
    name: "model",
    nodes: plan.nodes,
    initializers,
    inputs: plan.inputs,
    outputs: plan.outputs,
  });
}
