// A graph under construction: nodes, the values fed at run time, and weights that are named now and read later.
//
// Keeps weights as promises to read, so that a plan can be looked at (and tested) without a checkpoint, and so that
// tensors are read one after another when a session is made. Knows no model; ops.ts holds the formulas.

import type { OnnxAttribute, OnnxInitializer, OnnxNode, OnnxValue } from "../formats/onnx.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** A tensor of the checkpoint as f32, checked against its spec. */
export type ReadTensor = (spec: TensorSpec) => Promise<Float32Array>;

export interface PlannedWeight {
  name: string;
  shape: number[];
  /** Fills a fresh array of the shape's size, in the graph's layout. */
  load(read: ReadTensor): Promise<Float32Array>;
}

export interface GraphPlan {
  nodes: OnnxNode[];
  weights: PlannedWeight[];
  /** Small numbers that belong to the graph itself. */
  constants: OnnxInitializer[];
  inputs: OnnxValue[];
  outputs: OnnxValue[];
}

export interface NodeOptions {
  /** Default: one output with a fresh name. "" leaves an optional output out. */
  outputs?: string[];
  domain?: "com.microsoft";
  attributes?: Record<string, OnnxAttribute>;
}

export interface GraphBuilder {
  /** Adds a node and returns the name of its first output. */
  node(op: string, inputs: string[], options?: NodeOptions): string;
  /** Names a weight; asking twice for one name shares it. */
  weight(weight: PlannedWeight): string;
  /** Names a vector of whole numbers, [values.length] i64. */
  int64(values: number[]): string;
  /** Names a number, [] f32. */
  float32(value: number): string;
  /** Names a value fed at run time; asking twice for one name shares it. */
  input(value: OnnxValue): string;
  output(value: OnnxValue): void;
  plan(): GraphPlan;
}

export function createGraphBuilder(): GraphBuilder {
  const nodes: OnnxNode[] = [];
  const weights = new Map<string, PlannedWeight>();
  const constants = new Map<string, OnnxInitializer>();
  const inputs = new Map<string, OnnxValue>();
  const outputs: OnnxValue[] = [];
  return {
    node(
      op,
      nodeInputs,
      { outputs: names = [`${op}_${nodes.length}`], domain = undefined, attributes } = {},
    ) {
      nodes.push({ op, inputs: nodeInputs, outputs: names, domain, attributes });
      return names[0];
    },
    weight(weight) {
      if (!weights.has(weight.name)) weights.set(weight.name, weight);
      return weight.name;
    },
    int64(values) {
      const name = `int64 ${values.join(" ")}`;
      const data = BigInt64Array.from(values.map(BigInt));
      constants.set(name, { name, dtype: "int64", shape: [values.length], data });
      return name;
    },
    float32(value) {
      const name = `float32 ${value}`;
      constants.set(name, { name, dtype: "float32", shape: [], data: Float32Array.of(value) });
      return name;
    },
    input(value) {
      if (!inputs.has(value.name)) inputs.set(value.name, value);
      return value.name;
    },
    output: (value) => {
      outputs.push(value);
    },
    plan: () => ({
      nodes,
      weights: [...weights.values()],
      constants: [...constants.values()],
      inputs: [...inputs.values()],
      outputs,
    }),
  };
}
