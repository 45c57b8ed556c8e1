// The lens's view of a model's end against the end itself: the suffix after the last layer, fed directions.

import { rm } from "node:fs/promises";
import { afterAll, expect, test } from "vitest";
import { lensScoresReference } from "../lens/lens-reference.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { goldenWeights, readFamilyGolden, writeFamilyFolder } from "./family-golden.test.data.ts";
import { createSuffix, loadUnembedding } from "./runner.ts";
import { worstRowError } from "./tiny-llama.test.data.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** Odd part of the logits of a direction: what a norm's bias adds is gone. Scaled to length 1. */
function oddPart(up: Float32Array, down: Float32Array): Float64Array {
  return unit(Float64Array.from(up, (value, i) => value - down[i]));
}

function unit(values: Float64Array): Float64Array {
  const size = Math.hypot(...values);
  return values.map((value) => value / size);
}

test.each(["llama-llama3", "gemma", "gemma2", "gemma3", "gpt2", "gpt-neox", "olmo2"])(
  "%s: lens scores of a direction are its logits, up to a factor",
  async (name) => {
    const golden = readFamilyGolden(name);
    const folder = await writeFamilyFolder(golden, { weights: goldenWeights(golden, 1) });
    folders.push(folder);
    const checkpoint = await openCheckpoint(folder);
    const { dModel, vocabSize, nLayers } = checkpoint.config;
    const direction = Float32Array.from({ length: dModel }, (_, i) => 3 + 40 * Math.sin(5 * i));
    // The soft-cap of the logits keeps their order and is left out of the lens.
    const architecture = { ...checkpoint.architecture, finalLogitSoftCap: undefined };
    const suffix = await createSuffix({ ...checkpoint, architecture }, { layer: nLayers - 1, threads: 1 });
    const residual = Float32Array.from([...direction, ...direction.map((value) => -value)]);
    const logits = await suffix.run({ residual, batch: 1, length: 2, lengths: Int32Array.of(2) });
    await suffix.dispose();
    const expected = oddPart(logits.subarray(0, vocabSize), logits.subarray(vocabSize));
    const scores = unit(lensScoresReference(direction, await loadUnembedding(checkpoint)));
    await checkpoint.close();
    expect(worstRowError(scores, expected, vocabSize)).toBeLessThan(1e-5); // f32 sums of up to 64 terms
  },
);
