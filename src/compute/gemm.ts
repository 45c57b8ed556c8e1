// The dense products of the dictionary, first of all x · wᵀ + bias of the encoder, through onnxruntime's GEMM (MLAS).
//
// The encoder is the only place where every latent always meets every row (ReLU + L1 starts dense everywhere); WASM would reach about a third of MLAS's speed there.
// Weights are graph inputs, not initializers, because they change every step. A GPU provider would stand behind this same
// function. gemm-reference.ts is the readable twin.

import { env, InferenceSession, Tensor } from "onnxruntime-node";
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

/** Which operand lies transposed: "none" a [n, k] · b [k, m]; "b" a [n, k], b [m, k]; "a" a [k, n], b [k, m]. */
export type Transposed = "none" | "a" | "b";

export interface Gemm {
  /**
   * Row-major f32. onnxruntime-node computes on the calling thread (and its pool), so JavaScript waits. Returns [n, m] = the
   * product (+ bias). Throws ShapeError.
   */
  multiply(
    a: Float32Array,
    b: Float32Array,
    options: GemmOptions & { transposed: Transposed },
  ): Promise<Float32Array>;
  /** x [n, k] · wᵀ, w [m, k]: multiply with b transposed. */
  multiplyTransposed(x: Float32Array, w: Float32Array, options: GemmOptions): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** What computes dense products: another version or processor may round otherwise. */
export function gemmBackend(): string {
  return `onnxruntime-node ${env.versions.node} on ${process.arch} CPU`;
}

function gemmModel(transposed: Transposed, withBias: boolean): Uint8Array {
  const input = (name: string, ...shape: string[]) => ({ name, dtype: "float32" as const, shape });
  const inputs = [
    transposed === "a" ? input("a", "k", "n") : input("a", "n", "k"),
    transposed === "b" ? input("b", "m", "k") : input("b", "k", "m"),
  ];
  if (withBias) inputs.push(input("bias", "m"));
  return encodeOnnxModel({
    name: "gemm",
    nodes: [
      {
        op: "Gemm",
        inputs: inputs.map(({ name }) => name),
        outputs: ["y"],
        attributes: {
          transA: { int: transposed === "a" ? 1 : 0 },
          transB: { int: transposed === "b" ? 1 : 0 },
        },
      },
    ],
    initializers: [],
    inputs,
    outputs: [input("y", "n", "m")],
  });
}

/** threads: intra-op threads of onnxruntime; 0 or undefined lets it choose. */
export async function createGemm({ threads = 0 }: { threads?: number } = {}): Promise<Gemm> {
  const open = (transposed: Transposed, withBias: boolean): Promise<InferenceSession> =>
    InferenceSession.create(gemmModel(transposed, withBias), {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      logSeverityLevel: 3,
      // Threads that spin between two products would take cores from everything else.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  const sessions = new Map<string, InferenceSession>();
  const sessionFor = async (transposed: Transposed, withBias: boolean): Promise<InferenceSession> => {
    const key = `${transposed} ${withBias}`;
    const session = sessions.get(key) ?? (await open(transposed, withBias));
    sessions.set(key, session);
    return session;
  };
  await sessionFor("b", true);

  const gemm: Gemm = {
    async multiply(a, b, { n, m, k, transposed, bias, target = new Float32Array(n * m) }) {
      const expected = { a: [a.length, n * k], b: [b.length, m * k], target: [target.length, n * m] };
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
        a: new Tensor("float32", a, transposed === "a" ? [k, n] : [n, k]),
        b: new Tensor("float32", b, transposed === "b" ? [m, k] : [k, m]),
      };
      if (bias !== undefined) feeds.bias = new Tensor("float32", bias, [m]);
      const session = await sessionFor(transposed, bias !== undefined);
      await session.run(feeds, { y: new Tensor("float32", target, [n, m]) });
      return target;
    },
    multiplyTransposed: (x, w, options) => gemm.multiply(x, w, { ...options, transposed: "b" }),
    async dispose() {
      await Promise.all([...sessions.values()].map((session) => session.release()));
    },
  };
  return gemm;
}
