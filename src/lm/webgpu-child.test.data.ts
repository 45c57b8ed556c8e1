// The process that webgpu.test.ts starts, because a Vulkan driver is named by variables read when a process begins.
//
// TUNEDIFF_WEBGPU_CHILD: JSON of the file to write, families, and families to generate with. Writes one JSON object: worst row errors by family, and
// whether the greedy tokens are the golden ones. Or {"error", "hint"} where no session could start.

import { rm, writeFile } from "node:fs/promises";
import { TunediffError } from "../errors.ts";
import { rightPad } from "./batch.ts";
import { openCheckpoint } from "./checkpoint.ts";
import {
  goldenWeights,
  readFamilyGolden,
  readGoldenCases,
  realRows,
  writeFamilyFolder,
} from "./family-golden.test.data.ts";
import { createGenerator } from "./generate.ts";
import { readContinuations, writeGenerationFolder } from "./generation-golden.test.data.ts";
import { createFullModel } from "./runner.ts";
import { worstRowError } from "./tiny-llama.test.data.ts";

/** The padded case: rows of two lengths, the longer beyond the windows and longrope's change. */
async function worstError(name: string): Promise<number> {
  const golden = readFamilyGolden(name);
  const folder = await writeFamilyFolder(golden, { weights: goldenWeights(golden, 1) });
  const checkpoint = await openCheckpoint(folder);
  const { nLayers, dModel, vocabSize } = checkpoint.config;
  const layers = Array.from({ length: nLayers }, (_, layer) => layer);
  const model = await createFullModel(checkpoint, { layers, device: "webgpu", threads: 1 });
  const [{ sequences, residuals, logits }] = (await readGoldenCases(name, 1)).filter(
    (one) => one.name === "padded",
  );
  const batch = rightPad(sequences);
  const got = await model.run(batch);
  const size = residuals.length / nLayers;
  const errors = layers.map((layer) =>
    worstRowError(
      realRows(got.residuals[layer], batch, dModel),
      residuals.subarray(layer * size, (layer + 1) * size),
      dModel,
    ),
  );
  errors.push(worstRowError(realRows(got.logits, batch, vocabSize), logits, vocabSize));
  await model.dispose();
  await checkpoint.close();
  await rm(folder, { recursive: true });
  return Math.max(...errors);
}

async function isGolden(name: string): Promise<boolean> {
  const folder = await writeGenerationFolder(name, 1);
  const checkpoint = await openCheckpoint(folder);
  const golden = readContinuations(name, 1);
  const generator = await createGenerator(checkpoint, { device: "webgpu", threads: 1 });
  const prompts = golden.map(({ prompt }) => prompt);
  const got = await generator.generate({ prompts, maxNewTokens: 8 });
  await generator.dispose();
  await checkpoint.close();
  await rm(folder, { recursive: true });
  return got.every(({ tokenIds }, i) => tokenIds.join() === golden[i].tokens.slice(0, 8).join());
}

const { target, names, greedy }: { target: string; names: string[]; greedy: string[] } = JSON.parse(
  process.env.TUNEDIFF_WEBGPU_CHILD ?? "",
);
const report: Record<string, unknown> = {};
try {
  for (const name of names) report[name] = await worstError(name);
  for (const name of greedy) report[`greedy ${name}`] = await isGolden(name);
} catch (error) {
  if (!(error instanceof TunediffError)) throw error;
  Object.assign(report, { error: `${error.name}: ${error.message}`, hint: error.hint });
}
await writeFile(target, JSON.stringify(report));
