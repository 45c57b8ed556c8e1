// The one dense product of the dictionary, x · wᵀ + bias, through onnxruntime's GEMM (MLAS).
//
// The encoder is the only place where every latent meets every row; WASM would reach about a third of MLAS's speed there.
// Weights are graph inputs, not initializers, because they change every step. A GPU provider would stand behind this same
// function. gemm-reference.ts is the readable twin.

import { InferenceSession, Tensor } from "onnxruntime-node";
import { ShapeError } from "../errors.ts";
import { encodeOnnxModel } from "../formats/onnx.ts";

export interface GemmOptions {
  n: number;
  m: number;
  k: number;
  /** [m], added to every row of the result. */
  bias?: Float32Array;
  /** [n, m], overwritten and returned; written in place without a copy. */
  target?: Float32Array;
}

export interface Gemm {
  /**
   * x [n, k] and w [m, k], row-major f32. onnxruntime-node computes on the calling thread (and its pool), so JavaScript waits.
   * Returns [n, m] = x · wᵀ (+ bias). Throws ShapeError.
   */
  multiplyTransposed(x: Float32Array, w: Float32Array, options: GemmOptions): Promise<Float32Array>;
  dispose(): Promise<void>;
}

function gemmModel(withBias: boolean): Uint8Array {
  const inputs = [
    { name: "x", dtype: "float32" as const, shape: ["n", "k"] },
    { name: "w", dtype: "float32" as const, shape: ["m", "k"] },
  ];
  if (withBias) inputs.push({ name: "bias", dtype: "float32", shape: ["m"] });
  return encodeOnnxModel({
    name: "gemm",
    nodes: [
      {
        op: "Gemm",
        inputs: inputs.map(({ name }) => name),
        outputs: ["y"],
        attributes: { transB: { int: 1 } },
      },
    ],
    initializers: [],
    inputs,
    outputs: [{ name: "y", dtype: "float32", shape: ["n", "m"] }],
  });
}

/** threads: intra-op threads of onnxruntime; 0 or undefined lets it choose. */
export async function createGemm({ threads = 0 }: { threads?: number } = {}): Promise<Gemm> {
  const open = (withBias: boolean): Promise<InferenceSession> =>
    InferenceSession.create(gemmModel(withBias), {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      logSeverityLevel: 3,
      // Threads that spin between two products would take cores from everything else.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  const [plain, biased] = [await open(false), await open(true)];

  return {
    async multiplyTransposed(x, w, { n, m, k, bias, target = new Float32Array(n * m) }) {
      const expected = { x: [x.length, n * k], w: [w.length, m * k], target: [target.length, n * m] };
      for (const [name, [got, want]] of Object.entries(expected)) {
        if (got !== want)
          throw new ShapeError(`${name}: expected ${want} elements for n ${n}, m ${m}, k ${k}, got ${got}`);
      }
      if (bias !== undefined && bias.length !== m)
        throw new ShapeError(`bias: expected ${m} elements, got ${bias.length}`);
      if (n === 0 || m === 0) return target;
      if (k === 0) {
        for (let row = 0; row < n; row += 1) target.set(bias ?? new Float32Array(m), row * m);
        return target;
      }
      const feeds: Record<string, Tensor> = {
        x: new Tensor("float32", x, [n, k]),
        w: new Tensor("float32", w, [m, k]),
      };
      if (bias !== undefined) feeds.bias = new Tensor("float32", bias, [m]);
      await (bias === undefined ? plain : biased).run(feeds, { y: new Tensor("float32", target, [n, m]) });
      return target;
    },
    async dispose() {
      await Promise.all([plain.release(), biased.release()]);
    },
  };
}
