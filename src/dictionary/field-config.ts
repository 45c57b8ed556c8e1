// config.json beside a dictionary's tensors: constructor arguments of the field's classes, which refuse a name they do not know.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import type { Dictionary } from "./dictionary.ts";
import { haveOneWidth } from "./site-tensors.ts";

export const CONFIG_FILE = "config.json";
const MAX_CONFIG_BYTES = 10 * 2 ** 20;

/** No k and no θ to apply: the field's plain CrossCoder, whose class takes neither. */
export const isRelu = ({ k, inferenceThreshold }: Dictionary): boolean => k === 0 && inferenceThreshold === 0;

/**
 * Constructor arguments of the reference class, alphabetical as its mixin writes them. Two widths are a list, which it refuses,
 * as it does latent_thresholds, of which it knows nothing.
 */
export function fieldConfig(dictionary: Dictionary): Record<string, unknown> {
  const widths = dictionary.sites.map(({ width }) => width);
  const { nLatents, sites, k, normaliser, codeNormalisation = "crosscoder" } = dictionary;
  return {
    activation_dim: haveOneWidth(widths) ? widths[0] : widths,
    activation_mean: null,
    activation_std: null,
    code_normalization: codeNormalisation,
    code_normalization_alpha_cc: 0.1,
    code_normalization_alpha_sae: 1.0,
    dict_size: nLatents,
    encoder_layers: null,
    init_with_transpose: true,
    ...(isRelu(dictionary) ? {} : { k }),
    ...(dictionary.latentThresholds && { latent_thresholds: true }),
    norm_init_scale: 1.0,
    num_layers: sites.length,
    same_init_for_all_layers: true,
    target_rms: normaliser?.targetRms ?? 1.0,
  };
}

/** k of folder/config.json; undefined without one. Throws FormatError. */
export async function configuredK(folder: string): Promise<number | undefined> {
  const path = join(folder, CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined; // A bare model.safetensors is enough: config.json only repeats it.
  }
  try {
    if (text.length > MAX_CONFIG_BYTES) throw new Error("too large");
    const { k } = JSON.parse(text) as { k?: unknown };
    return typeof k === "number" && Number.isSafeInteger(k) && k > 0 ? k : undefined;
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, {
      hint: "remove it: model.safetensors alone is enough",
      cause,
    });
  }
}
