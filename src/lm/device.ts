// Where a model runs: cpu, or a GPU through WebGPU or CUDA, as far as this onnxruntime has the provider.
//
// onnxruntime-node's npm package holds the CPU and (on most platforms) the WebGPU provider; CUDA is a download of its own
// install script. Nodes that a GPU provider lacks run on the CPU inside the same session, which onnxruntime arranges.

import { listSupportedBackends } from "onnxruntime-node";
import { ConfigError } from "../errors.ts";

export const EXECUTION_DEVICES = ["cpu", "webgpu", "cuda"] as const;
export type ExecutionDevice = (typeof EXECUTION_DEVICES)[number];

/** Throws ConfigError naming `place` for anything but cpu, webgpu and cuda. */
export function parseDevice(text: string, place = "--device"): ExecutionDevice {
  const device = EXECUTION_DEVICES.find((known) => known === text);
  if (device) return device;
  throw new ConfigError(`${place}: expected ${EXECUTION_DEVICES.join(", ")}, got ${text}`, {
    hint: "cpu runs everywhere",
  });
}

const NEXT_STEP: Record<ExecutionDevice, string> = {
  cpu: "run npm ci again: this onnxruntime-node is incomplete",
  webgpu:
    "WebGPU needs a driver that onnxruntime finds: Direct3D 12, Metal, or Vulkan (on Linux install the GPU's Vulkan driver, or point VK_DRIVER_FILES at a software one); --device cpu runs everywhere",
  cuda: "reinstall onnxruntime-node with ONNXRUNTIME_NODE_INSTALL=cuda12 (Linux x64, CUDA 12, cuDNN 9); --device webgpu or cpu needs no install",
};

/** Throws ConfigError unless this onnxruntime was built with the device's provider. */
export function requireDevice(device: ExecutionDevice): void {
  const names = listSupportedBackends().map(({ name }) => name);
  if (!names.includes(device)) throw missingDevice(device, `onnxruntime has ${names.join(", ")}`);
}

/** got: what was found instead. */
export function missingDevice(device: ExecutionDevice, got: string, cause?: unknown): ConfigError {
  return new ConfigError(`device: expected ${device}, got ${got}`, { hint: NEXT_STEP[device], cause });
}
