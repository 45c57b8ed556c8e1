// Warm start: a run whose parameters begin as another dictionary's, with moments at zero and every schedule from step 0.
//
// The space must be the one that dictionary was trained in, so its own normaliser is used and not one fitted on this store: with
// another, the same numbers would be other directions and offsets. What the run is, and so its hash, depends on the
// dictionary's bytes and not on where it lies.

import { stat } from "node:fs/promises";
import type { Dictionary, Normaliser } from "../dictionary/dictionary.ts";
import { dictionaryFilePath, loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import type { Site, Store } from "../store/store-contract.ts";
import { configHash, type TrainConfig } from "./config.ts";
import { fileSha256 } from "./training-record.ts";

export interface WarmStart {
  /** model.safetensors of the dictionary. */
  path: string;
  sha256: string;
  /** Undefined: trained on raw activations. */
  normaliser: Normaliser | undefined;
  /** The dictionary, read again each time so that nobody holds it. */
  load(): Promise<Dictionary>;
}

/** The hash of a run: with a warm start, by that dictionary's SHA-256 in place of its path. */
export async function runConfigHash(config: TrainConfig): Promise<string> {
  if (config.warmStart === undefined) return configHash(config);
  return configHash({ ...config, warmStart: `sha256:${await fileSha256(await warmFile(config.warmStart))}` });
}

/**
 * The dictionary that config.warmStart names, undefined when it names none. The config must have passed checkTrainConfig.
 *
 * Throws ConfigError when there is no dictionary, FormatError when the file is no crosscoder, MismatchError when sites, size,
 * code normalisation or the size of the normalised space are not this run's.
 */
export async function openWarmStart(
  config: TrainConfig,
  { manifest }: Pick<Store, "manifest">,
): Promise<WarmStart | undefined> {
  if (config.warmStart === undefined) return undefined;
  const path = await warmFile(config.warmStart);
  const dictionary = await loadDictionary(path);
  requireSame(path, { dictionary, config, sites: manifest.sites });
  return {
    path,
    sha256: await fileSha256(path),
    normaliser: dictionary.normaliser,
    load: () => loadDictionary(path),
  };
}

async function warmFile(place: string): Promise<string> {
  const path = await dictionaryFilePath(place);
  const isFile = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  if (isFile) return path;
  throw new ConfigError(`dictionary.warmStart: expected a dictionary, found no ${path}`, {
    hint: "name the folder of a finished dictionary, or remove warmStart",
  });
}

function requireSame(
  path: string,
  { dictionary, config, sites }: { dictionary: Dictionary; config: TrainConfig; sites: readonly Site[] },
): void {
  const { normaliser } = dictionary;
  const { normalise = true, codeNormalisation = "crosscoder" } = config;
  // Files of others say the model and the width of a site, but not its layer.
  const layerIsKnown = dictionary.sites.every(({ layer }) => layer >= 0);
  const describe = ({ model, layer, width }: Site): string =>
    `${model}${layerIsKnown ? ` layer ${layer}` : ""} width ${width}`;
  const rms = (value: number | undefined): string =>
    value === undefined ? "raw activations" : `activations normalised to ${Math.fround(value)}`;
  const compared: [what: string, got: string, expected: string][] = [
    ["sites", dictionary.sites.map(describe).join(" and "), sites.map(describe).join(" and ")],
    ["latents", `${dictionary.nLatents}`, `${config.nLatents}`],
    ["code normalisation", dictionary.codeNormalisation ?? "crosscoder", codeNormalisation],
    ["space", rms(normaliser?.targetRms), rms(normalise ? config.targetRms : undefined)],
  ];
  for (const [what, got, expected] of compared) {
    if (got === expected) continue;
    throw new MismatchError(`${path}: ${what}: this run expects ${expected}, the dictionary has ${got}`, {
      hint: "start from a dictionary of the same pair, size and space, or remove warmStart",
    });
  }
}
