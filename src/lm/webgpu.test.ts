// Every family on WebGPU through a software Vulkan driver, where one is installed (SwiftShader comes with Chromium).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeArguments } from "../../test/own-process.ts";
import { ConfigError } from "../errors.ts";
import { packageRoot } from "../package-root.ts";
import { parseDevice, requireDevice } from "./device.ts";
import { FAMILY_GOLDENS } from "./family-golden.test.data.ts";

const DRIVER = "/usr/lib/chromium/vk_swiftshader_icd.json";
// Where CI asks for Chromium, a missing driver fails the tests in place of skipping them.
const HAS_DRIVER =
  process.platform === "linux" && (existsSync(DRIVER) || process.env.TUNEDIFF_REQUIRE_CHROMIUM === "1");
const WITHOUT = HAS_DRIVER ? "" : ` (skipped: no software Vulkan driver at ${DRIVER})`;

/** One golden file of each of the eleven families: compiling shaders in software takes seconds a graph. */
const NAMES = FAMILY_GOLDENS.filter(
  (name) =>
    !["gpt2-inverse-layer-scale", "gpt-neox-sequential", "llama-linear-bias-tied", "phi3"].includes(name),
);

/** Runs webgpu-child.test.data.ts with that driver and no other; what it wrote. */
async function runChild(
  driver: string,
  { names, greedy = [] }: { names: string[]; greedy?: string[] },
): Promise<Record<string, unknown>> {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-webgpu-"));
  const target = join(folder, "report.json");
  const child = spawn(process.execPath, nodeArguments("src/lm/webgpu-child.test.data"), {
    cwd: packageRoot(),
    stdio: ["ignore", "ignore", "pipe"],
    // Chromium's folder also holds the Vulkan loader that finds the driver.
    env: {
      ...process.env,
      VK_DRIVER_FILES: driver,
      LD_LIBRARY_PATH: dirname(DRIVER),
      TUNEDIFF_WEBGPU_CHILD: JSON.stringify({ target, names, greedy }),
    },
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = await once(child, "close");
  expect(code, stderr).toBe(0);
  const report = JSON.parse(await readFile(target, "utf8"));
  await rm(folder, { recursive: true });
  return report;
}

test.skipIf(!HAS_DRIVER)(
  `residuals, logits and greedy tokens of all families agree with transformers on webgpu${WITHOUT}`,
  async () => {
    expect(NAMES.length).toBe(11);
    // Fused attention, and attention spelled out for its soft-cap.
    const greedy = ["llama-llama3", "gemma2"];
    const report = await runChild(DRIVER, { names: NAMES, greedy });
    expect(report.error).toBeUndefined();
    // The same promise as on the CPU, per row ‖a − b‖₂/‖b‖₂; 1.6e-6 was seen.
    for (const name of NAMES) {
      expect(report[name], name).toBeLessThanOrEqual(1e-5);
    }
    for (const name of greedy) expect(report[`greedy ${name}`], name).toBe(true);
  },
  180_000,
);

test.skipIf(!HAS_DRIVER)(
  `a machine without a driver is told which device is missing and what to do${WITHOUT}`,
  async () => {
    const report = await runChild("/nowhere.json", { names: ["gpt2"] });
    expect(report.error).toMatch(/^ConfigError: device: expected webgpu, got a session that could not start/);
    expect(report.hint).toMatch(/Vulkan.*--device cpu/);
  },
);

describe("the name of a device", () => {
  test("is cpu, webgpu or cuda", () => {
    expect(["cpu", "webgpu", "cuda"].map((name) => parseDevice(name))).toEqual(["cpu", "webgpu", "cuda"]);
    expect(() => parseDevice("gpu")).toThrow(ConfigError);
    expect(() => parseDevice("CPU", "study.yaml: device")).toThrow(
      "study.yaml: device: expected cpu, webgpu, cuda, got CPU",
    );
  });

  test("cpu is always there", () => {
    expect(() => requireDevice("cpu")).not.toThrow();
  });
});
