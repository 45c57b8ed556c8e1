// Small random dictionaries for tests.

import { createRng } from "../numerics/rng.ts";
import type { Dictionary, Normaliser } from "./dictionary.ts";

export function randomDictionary({
  widths = [6, 6],
  nLatents = 20,
  seed = 3,
  inferenceThreshold = 0.8,
  normalised = true,
}: {
  widths?: number[];
  nLatents?: number;
  seed?: number;
  inferenceThreshold?: number;
  normalised?: boolean;
} = {}): Dictionary {
  const width = widths.reduce((a, b) => a + b, 0);
  const rng = createRng(seed, "random dictionary");
  const random = (length: number, stream: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => 0.5 * rng.normal(stream, i));
  const normaliser: Normaliser = {
    mean: random(width, 5),
    std: random(width, 6).map(Math.abs),
    scale: Float32Array.from(widths, (_, site) => 0.5 + site),
    targetRms: 1,
  };
  return {
    sites: widths.map((siteWidth, i) => ({
      name: i === 0 ? "base-L3" : "finetuned-L3",
      model: i === 0 ? "base" : "finetuned",
      layer: 3,
      width: siteWidth,
    })),
    nLatents,
    width,
    encoderWeight: random(nLatents * width, 1),
    encoderBias: random(nLatents, 2),
    decoderWeight: random(nLatents * width, 3),
    decoderBias: random(width, 4),
    k: 4,
    inferenceThreshold,
    normaliser: normalised ? normaliser : undefined,
  };
}
