import { expect, test } from "vitest";
import { initialDictionary } from "./init.ts";
import { decoderNorms } from "./latent-norms.ts";

const sites = [
  { name: "base-L0", model: "base" as const, layer: 0, width: 12 },
  { name: "finetuned-L0", model: "finetuned" as const, layer: 0, width: 12 },
];
const options = { sites, nLatents: 30, k: 4, initNorm: 0.3, seed: 5 };

test("every latent starts with the given norm at every site, with one draw for both sites", () => {
  const dictionary = initialDictionary(options);
  const ofEncoder = decoderNorms({ ...dictionary, decoderWeight: dictionary.encoderWeight });
  for (const norms of [...decoderNorms(dictionary), ...ofEncoder]) {
    for (const norm of norms) expect(norm).toBeCloseTo(0.3, 6); // f32 rounding of 12 squares
  }
  for (let latent = 0; latent < 30; latent += 1) {
    const row = dictionary.encoderWeight.subarray(latent * 24, (latent + 1) * 24);
    expect(row.subarray(0, 12)).toEqual(row.subarray(12));
  }
});

test("the decoder is an untied copy of the encoder, the biases are 0 and the threshold is not calibrated", () => {
  const dictionary = initialDictionary(options);
  expect(dictionary.decoderWeight).toEqual(dictionary.encoderWeight);
  expect(dictionary.decoderWeight.buffer).not.toBe(dictionary.encoderWeight.buffer);
  expect([...dictionary.encoderBias, ...dictionary.decoderBias].every((value) => value === 0)).toBe(true);
  expect(dictionary.inferenceThreshold).toBe(-1);
});

test("the seed decides the draw, and a latent's draw does not depend on how many there are", () => {
  const dictionary = initialDictionary(options);
  expect(initialDictionary(options).encoderWeight).toEqual(dictionary.encoderWeight);
  expect(initialDictionary({ ...options, seed: 6 }).encoderWeight).not.toEqual(dictionary.encoderWeight);
  const smaller = initialDictionary({ ...options, nLatents: 7 });
  expect(smaller.encoderWeight).toEqual(dictionary.encoderWeight.subarray(0, 7 * 24));
});

test("directions are spread evenly: their mean is near 0", () => {
  const { encoderWeight } = initialDictionary({ ...options, nLatents: 4000 });
  const mean = encoderWeight.reduce((sum, value) => sum + value, 0) / encoderWeight.length;
  // std of an entry 0.3 / sqrt(12) = 0.087; of the mean over 48,000 independent entries 4e-4; 5 of them
  expect(Math.abs(mean)).toBeLessThan(2e-3);
});
