// The vector that a steering request adds to the residual: multiples of latents' finetuned directions, in raw units.
//
//   activation:  Σ factor · v_max · d/‖d‖,  v_max = f_max · W     (Minder et al. 2025, App. N.2: "max activation × direction")
//   code:        Σ factor · f_max · d
//
// d is the latent's finetuned decoder row and W its weight (for a crosscoder ‖d_base‖ + ‖d_finetuned‖), both in raw activation
// units: a dictionary trained on normalised rows has its rows divided by the site's scale, as foldNormaliser does; codes stay.
// f_max is the greatest code on the measured rows. The two units are never crossed: v_max · d would count the norm twice.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import type { SteeredLatent } from "./causal-contract.ts";

export const STEERING_UNITS = ["activation", "code"] as const;
export type SteeringUnit = (typeof STEERING_UNITS)[number];

/** What steering needs of a measured latent; rows of tables/measure.parquet have it. */
export type MeasuredLatent = Pick<LatentMeasure, "latent" | "maxCode">;

export interface SteeringVectorOptions {
  /** As trained, with its normaliser or without one. */
  dictionary: Dictionary;
  /** One row a latent, in order. */
  measured: readonly MeasuredLatent[];
  unit: SteeringUnit;
}

/**
 * Σ over the latents, [dModel of the finetuned model] f32, raw activation units; summed in f64. A latent named twice counts twice.
 *
 * Throws ConfigError (no latent, one that does not exist, never fired or has no finetuned direction, a factor that is not
 * finite), MismatchError (a dictionary without a finetuned site, a measurement of another one).
 */
export function steeringVector(
  latents: readonly SteeredLatent[],
  { dictionary, measured, unit }: SteeringVectorOptions,
): Float32Array {
  const { sites, nLatents } = dictionary;
  if (latents.length === 0) {
    throw new ConfigError("latents: expected at least one to steer with, got none", {
      hint: "name one with --latent N or --latent N:FACTOR",
    });
  }
  if (measured.length !== nLatents) {
    throw new MismatchError(`measurement: expected ${nLatents} latents, got ${measured.length}`, {
      hint: "run `tunediff measure` again: the table is of another dictionary",
    });
  }
  const site = sites.findIndex(({ model }) => model === "finetuned");
  if (site < 0) {
    throw new MismatchError(
      `dictionary: expected a site of the finetuned model, got ${sites.map(({ name }) => name).join(", ")}`,
      { hint: "steer with a dictionary of the pair" },
    );
  }
  const offsets = siteOffsets(sites);
  const sum = new Float64Array(sites[site].width);
  for (const { latent, factor } of latents) {
    const place = `latent ${latent}`;
    if (!(Number.isInteger(latent) && latent >= 0 && latent < nLatents)) {
      throw new ConfigError(`${place}: expected a whole number from 0 to ${nLatents - 1}`, {
        hint: `the dictionary has ${nLatents} latents; the report and latents.parquet list them`,
      });
    }
    if (!Number.isFinite(factor)) {
      throw new ConfigError(`${place}: expected a finite factor, got ${factor}`);
    }
    const { maxCode } = measured[latent];
    if (!(maxCode > 0)) {
      throw new ConfigError(
        `${place}: expected one that fired on the measured rows, got one that never did`,
        {
          hint: "its greatest activation is not known: choose a latent with documents > 0 in latents.parquet",
        },
      );
    }
    const row = rawDecoderRow(dictionary, latent);
    const own = row.subarray(offsets[site], offsets[site + 1]);
    const length = norm(own);
    if (!(length > 0)) {
      throw new ConfigError(`${place}: expected a direction in the finetuned model, got a row of zeros`);
    }
    const scale = unit === "code" ? maxCode : (maxCode * rawWeight(dictionary, row)) / length;
    for (let i = 0; i < sum.length; i += 1) sum[i] += factor * scale * own[i];
  }
  return Float32Array.from(sum);
}

/** Decoder row of a latent, all sites side by side, [width] f64: d / scale of its site, as foldNormaliser's. */
function rawDecoderRow(
  { decoderWeight, width, sites, normaliser }: Dictionary,
  latent: number,
): Float64Array {
  const row = Float64Array.from(decoderWeight.subarray(latent * width, (latent + 1) * width));
  if (normaliser === undefined) return row;
  const offsets = siteOffsets(sites);
  for (let site = 0; site < sites.length; site += 1) {
    for (let i = offsets[site]; i < offsets[site + 1]; i += 1) row[i] /= normaliser.scale[site];
  }
  return row;
}

/** W of a row [width], by the dictionary's code normalisation; see latentWeights. */
function rawWeight({ sites, codeNormalisation = "crosscoder" }: Dictionary, row: Float64Array): number {
  if (codeNormalisation === "none") return 1;
  if (codeNormalisation === "sae") return norm(row);
  const offsets = siteOffsets(sites);
  return sites.reduce((sum, _, site) => sum + norm(row.subarray(offsets[site], offsets[site + 1])), 0);
}

function norm(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
