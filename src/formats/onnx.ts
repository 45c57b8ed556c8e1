// ONNX files from plain objects: the small part of the ONNX schema that our graphs use, written by protobufjs.
//
// Field numbers from onnx.proto (ONNX 1.19, Apache-2.0). Not a reader, not a checker: onnxruntime checks a graph when
// it loads it. Initializers are embedded as raw_data and are for small constants: a protobuf ends at 2 GiB. Weights are fed
// as inputs, or named as external data that the caller hands to onnxruntime beside the model.

import protobuf from "protobufjs";

/** ONNX TensorProto.DataType. */
export const ONNX_DTYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
} as const;
export type OnnxDtype = keyof typeof ONNX_DTYPES;

export type OnnxAttribute =
  | { float: number }
  | { int: number }
  | { string: string }
  | { ints: number[] }
  | { floats: number[] };

export interface OnnxNode {
  op: string;
  inputs: string[];
  outputs: string[];
  /** "" is the ONNX standard set, "com.microsoft" onnxruntime's own. */
  domain?: string;
  name?: string;
  attributes?: Record<string, OnnxAttribute>;
}

export interface OnnxInitializer {
  name: string;
  dtype: OnnxDtype;
  shape: number[];
  /** Little-endian, C order, exactly product(shape) elements. Copied when the model is encoded. */
  data: Float32Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array;
}

/** An initializer whose bytes stand outside the protobuf: the whole of the array that is handed over as `location`. */
export interface OnnxExternalInitializer {
  name: string;
  dtype: OnnxDtype;
  shape: number[];
  location: string;
  nBytes: number;
}

export interface OnnxValue {
  name: string;
  dtype: OnnxDtype;
  /** A string names a dynamic dimension. */
  shape: (number | string)[];
}

export interface OnnxGraph {
  name: string;
  nodes: OnnxNode[];
  initializers: OnnxInitializer[];
  externalInitializers?: OnnxExternalInitializer[];
  inputs: OnnxValue[];
  outputs: OnnxValue[];
}

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: { id: 1, type: "int64" },
        producerName: { id: 2, type: "string" },
        graph: { id: 7, type: "GraphProto" },
        opsetImport: { rule: "repeated", id: 8, type: "OperatorSetIdProto" },
      },
    },
    OperatorSetIdProto: { fields: { domain: { id: 1, type: "string" }, version: { id: 2, type: "int64" } } },
    GraphProto: {
      fields: {
        node: { rule: "repeated", id: 1, type: "NodeProto" },
        name: { id: 2, type: "string" },
        initializer: { rule: "repeated", id: 5, type: "TensorProto" },
        input: { rule: "repeated", id: 11, type: "ValueInfoProto" },
        output: { rule: "repeated", id: 12, type: "ValueInfoProto" },
      },
    },
    NodeProto: {
      fields: {
        input: { rule: "repeated", id: 1, type: "string" },
        output: { rule: "repeated", id: 2, type: "string" },
        name: { id: 3, type: "string" },
        opType: { id: 4, type: "string" },
        attribute: { rule: "repeated", id: 5, type: "AttributeProto" },
        domain: { id: 7, type: "string" },
      },
    },
    AttributeProto: {
      fields: {
        name: { id: 1, type: "string" },
        f: { id: 2, type: "float" },
        i: { id: 3, type: "int64" },
        s: { id: 4, type: "bytes" },
        floats: { rule: "repeated", id: 7, type: "float", options: { packed: true } },
        ints: { rule: "repeated", id: 8, type: "int64", options: { packed: true } },
        type: { id: 20, type: "int32" },
      },
    },
    TensorProto: {
      fields: {
        dims: { rule: "repeated", id: 1, type: "int64", options: { packed: true } },
        dataType: { id: 2, type: "int32" },
        name: { id: 8, type: "string" },
        rawData: { id: 9, type: "bytes" },
        externalData: { rule: "repeated", id: 13, type: "StringStringEntryProto" },
        dataLocation: { id: 14, type: "int32" },
      },
    },
    StringStringEntryProto: {
      fields: { key: { id: 1, type: "string" }, value: { id: 2, type: "string" } },
    },
    ValueInfoProto: { fields: { name: { id: 1, type: "string" }, type: { id: 2, type: "TypeProto" } } },
    TypeProto: { fields: { tensorType: { id: 1, type: "TensorTypeProto" } } },
    TensorTypeProto: {
      fields: { elemType: { id: 1, type: "int32" }, shape: { id: 2, type: "TensorShapeProto" } },
    },
    TensorShapeProto: { fields: { dim: { rule: "repeated", id: 1, type: "DimensionProto" } } },
    DimensionProto: {
      oneofs: { value: { oneof: ["dimValue", "dimParam"] } },
      fields: { dimValue: { id: 1, type: "int64" }, dimParam: { id: 2, type: "string" } },
    },
  },
});
const ModelProto = root.lookupType("ModelProto");

function attributeProto(name: string, value: OnnxAttribute): Record<string, unknown> {
  if ("float" in value) return { name, f: value.float, type: 1 };
  if ("int" in value) return { name, i: value.int, type: 2 };
  if ("string" in value) return { name, s: new TextEncoder().encode(value.string), type: 3 };
  if ("floats" in value) return { name, floats: value.floats, type: 6 };
  return { name, ints: value.ints, type: 7 };
}

function valueProto({ name, dtype, shape }: OnnxValue): Record<string, unknown> {
  const dim = shape.map((size) => (typeof size === "string" ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: ONNX_DTYPES[dtype], shape: { dim } } } };
}

function externalProto({ name, dtype, shape, location, nBytes }: OnnxExternalInitializer): object {
  const externalData = [
    { key: "location", value: location },
    { key: "offset", value: "0" },
    { key: "length", value: String(nBytes) },
  ];
  return { name, dims: shape, dataType: ONNX_DTYPES[dtype], externalData, dataLocation: 1 };
}

/** A serialized ONNX ModelProto, opset 23 plus com.microsoft 1, ready for onnxruntime's InferenceSession.create. */
export function encodeOnnxModel(graph: OnnxGraph): Uint8Array {
  const message = ModelProto.create({
    irVersion: 10,
    producerName: "tunediff",
    opsetImport: [
      { domain: "", version: 23 },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => ({
        input: node.inputs,
        output: node.outputs,
        name: node.name ?? node.outputs[0],
        opType: node.op,
        domain: node.domain ?? "",
        attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attributeProto(name, value)),
      })),
      initializer: [
        ...graph.initializers.map(({ name, dtype, shape, data }) => ({
          name,
          dims: shape,
          dataType: ONNX_DTYPES[dtype],
          rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        })),
        ...(graph.externalInitializers ?? []).map(externalProto),
      ],
      input: graph.inputs.map(valueProto),
      output: graph.outputs.map(valueProto),
    },
  });
  return ModelProto.encode(message).finish();
}
