// A planned graph with its weights, loaded into onnxruntime.
//
// On the CPU weights are graph inputs fed on every run, not initializers: onnxruntime-node reads a fed array in place, so
// each weight is held once and no 2 GiB limit of protobuf applies. Embedded in the model they are held four times while
// loading (protobufjs, its copy, onnxruntime's, the packed one), and files beside the model would cost the disk another copy.
// Batches of hundreds of rows run equally fast either way; single rows are slower, because nothing is packed beforehand.
// "packed" hands the arrays over as external data instead, which onnxruntime copies and packs: on a SmolLM-135M shape (513
// MiB of f32, 2 threads) a token of one sequence took 32 ms against 49 and of eight 62 against 112, for a peak of 1,390 MiB
// against 680. A GPU provider has memory of its own and always gets them so. onnxruntime-node runs a graph on the calling
// thread (inside run) with its own pool beside it, so two sessions do not run at the same time: parallelism comes from
// `threads`.

import { availableParallelism, totalmem } from "node:os";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { ConfigError, ShapeError } from "../errors.ts";
import {
  encodeOnnxModel,
  type OnnxExternalInitializer,
  type OnnxGraph,
  type OnnxValue,
} from "../formats/onnx.ts";
import { type ExecutionDevice, missingDevice, requireDevice } from "./device.ts";
import type { GraphPlan, PlannedWeight, ReadTensor } from "./graph-builder.ts";

export interface Session {
  /** Names of the values to feed. */
  inputs: Set<string>;
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
  /** Frees the weights; run fails afterwards. */
  dispose(): Promise<void>;
}

export interface SessionOptions {
  read: ReadTensor;
  /** Default: all cores. */
  threads?: number | undefined;
  /** Default: cpu. */
  device?: ExecutionDevice | undefined;
  /** fed: graph inputs, held once. packed: onnxruntime's own copies. Default: fed on the CPU, packed elsewhere. */
  weights?: "fed" | "packed" | undefined;
  /** What is loaded, for messages. */
  place: string;
}

/**
 * Makes a session and reads the plan's weights into it one after another.
 *
 * Throws ConfigError when memory does not hold the weights or this machine lacks the device.
 */
export async function openSession(plan: GraphPlan, options: SessionOptions): Promise<Session> {
  const { device = "cpu", weights = device === "cpu" ? "fed" : "packed", place } = options;
  const weightBytes = plan.weights.reduce((sum, weight) => sum + bytesOf(weight), 0);
  if (weightBytes > totalmem()) {
    throw new ConfigError(
      `${place}: expected at most ${totalmem()} bytes (this machine's memory) of f32 weights, got ${weightBytes}`,
      { hint: "compare at an earlier layer (only the layers up to it are loaded), or a smaller model" },
    );
  }
  requireDevice(device);
  return weights === "fed" ? openFed(plan, options) : openPacked(plan, options);
}

async function openFed(plan: GraphPlan, { read, place, ...options }: SessionOptions): Promise<Session> {
  const weightValues = plan.weights.map(
    ({ name, shape }): OnnxValue => ({ name, dtype: "float32", shape: [...shape] }),
  );
  const model = encodeOnnxModel({ ...graphOf(plan), inputs: [...plan.inputs, ...weightValues] });
  const session = await createSession(model, options);
  const weights: Record<string, Tensor> = {};
  try {
    for (const weight of plan.weights) {
      weights[weight.name] = new Tensor("float32", await loadWeight(weight, read, place), weight.shape);
    }
  } catch (error) {
    await session.release();
    throw error;
  }
  return {
    inputs: new Set(plan.inputs.map(({ name }) => name)),
    run: (feeds) => session.run({ ...feeds, ...weights }) as Promise<Record<string, Tensor>>,
    async dispose() {
      for (const name of Object.keys(weights)) delete weights[name];
      await session.release();
    },
  };
}

async function openPacked(plan: GraphPlan, { read, place, ...options }: SessionOptions): Promise<Session> {
  const externalInitializers = plan.weights.map(
    (weight, i): OnnxExternalInitializer => ({
      name: weight.name,
      dtype: "float32",
      shape: [...weight.shape],
      location: `weight${i}`,
      nBytes: bytesOf(weight),
    }),
  );
  const model = encodeOnnxModel({ ...graphOf(plan), externalInitializers });
  const externalData: { path: string; data: Uint8Array }[] = [];
  for (const [i, weight] of plan.weights.entries()) {
    const { buffer, byteOffset, byteLength } = await loadWeight(weight, read, place);
    externalData.push({ path: `weight${i}`, data: new Uint8Array(buffer, byteOffset, byteLength) });
  }
  const session = await createSession(model, { ...options, externalData });
  return {
    inputs: new Set(plan.inputs.map(({ name }) => name)),
    run: (feeds) => session.run(feeds) as Promise<Record<string, Tensor>>,
    dispose: () => session.release(),
  };
}

/** Throws ConfigError unless a session can start on the device: seconds before the weights, not minutes after. */
export async function probeDevice(device: ExecutionDevice): Promise<void> {
  requireDevice(device);
  if (device === "cpu") return;
  const shape = [1];
  const model = encodeOnnxModel({
    name: "probe",
    nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
    initializers: [],
    inputs: [{ name: "x", dtype: "float32", shape }],
    outputs: [{ name: "y", dtype: "float32", shape }],
  });
  const session = await createSession(model, { device });
  await session.release();
}

function graphOf({ nodes, constants, inputs, outputs }: GraphPlan): OnnxGraph {
  return { name: "model", nodes, initializers: constants, inputs, outputs };
}

function bytesOf({ shape }: PlannedWeight): number {
  return 4 * shape.reduce((a, b) => a * b, 1);
}

interface CreateOptions extends Pick<SessionOptions, "threads" | "device"> {
  externalData?: { path: string; data: Uint8Array }[];
}

async function createSession(
  model: Uint8Array,
  { threads, device = "cpu", externalData }: CreateOptions,
): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(model, {
      // onnxruntime puts the CPU behind every other provider by itself.
      executionProviders: [device],
      intraOpNumThreads: threads ?? availableParallelism(),
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      // Errors are thrown; onnxruntime must not also print them.
      logSeverityLevel: 4,
      // Idle pools of the other model's session must not burn the cores this one needs.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
      ...(externalData ? { externalData } : {}),
    });
  } catch (cause) {
    if (device === "cpu" || !(cause instanceof Error)) throw cause;
    // Without the source line and the condition that onnxruntime puts before its reason.
    const reason = cause.message.split(" was false. ").at(-1)?.replace(/\s+/g, " ").trim();
    throw missingDevice(device, `a session that could not start: ${reason}`, cause);
  }
}

async function loadWeight(
  { name, shape, load }: PlannedWeight,
  read: ReadTensor,
  place: string,
): Promise<Float32Array> {
  let data: Float32Array;
  try {
    data = await load(read);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ConfigError(
      `${place}: ${name}: expected memory for one more array of [${shape.join(", ")}] f32, got ${cause.message}`,
      {
        hint: "compare at an earlier layer (only the layers up to it are loaded), or a smaller model",
        cause,
      },
    );
  }
  const size = shape.reduce((a, b) => a * b, 1);
  if (data.length !== size)
    throw new ShapeError(`${place}: ${name}: expected ${size} numbers, got ${data.length}`);
  return data;
}
