// Which sites a dictionary file is about, and the other facts of ours that stand in its metadata.
//
// The field's layout has no place for names and layers: they are JSON under one key of the safetensors metadata. Without
// it the field's convention holds: base first, fine-tune second.

import { FormatError } from "../errors.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import type { Site } from "../store/store-contract.ts";
import { haveOneWidth } from "./site-tensors.ts";
import type { TensorReader } from "./tensor-reader.ts";

/** Key of our JSON in the safetensors metadata. */
export const METADATA_KEY = "tunediff";

/** Whether our metadata says that the k largest of every row are kept. */
export function isTopK(json: string | undefined): boolean {
  if (json === undefined) return false;
  try {
    return (JSON.parse(json) as { selection?: unknown } | null)?.selection === "topK";
  } catch {
    return false; // Not ours after all.
  }
}

/** Sites and size: from a stacked encoder.weight as the field writes it, or from one tensor a site as we do. */
export function findSites(
  file: SafetensorsFile,
  tensors: TensorReader,
  path: string,
): { sites: Site[]; nLatents: number } {
  const stacked = tensors.shape("encoder.weight");
  if (stacked?.length === 3) {
    const [nSites, dModel, nLatents] = stacked;
    return { sites: sitesOfOneWidth(file, { nSites, dModel, path }), nLatents };
  }
  const first = tensors.shape("encoder.weight.0");
  if (first === undefined) {
    throw new FormatError(
      `${path}: expected a crosscoder with encoder.weight [sites, width, latents], got ${stacked ? `[${stacked}]` : "none"}`,
      {
        hint: tensors.shape("b_dec")
          ? "this is a sparse autoencoder: only crosscoders are read so far"
          : "check that this folder holds a dictionary",
      },
    );
  }
  const sites = parseOwnSites(file.metadata.get(METADATA_KEY));
  if (sites === undefined || sites.length < 2 || haveOneWidth(sites.map(({ width }) => width))) {
    throw new FormatError(
      `${path}: expected sites of different width in the metadata beside encoder.weight.0, got ${sites ? JSON.stringify(sites).slice(0, 200) : "none"}`,
      { hint: "the file lost its metadata when it was saved again: use the one that tunediff wrote" },
    );
  }
  return { sites, nLatents: first[1] };
}

/** Sites from our metadata when they fit the tensors, else the field's convention: base first, fine-tune second. */
function sitesOfOneWidth(
  file: SafetensorsFile,
  { nSites, dModel, path }: { nSites: number; dModel: number; path: string },
): Site[] {
  const own = parseOwnSites(file.metadata.get(METADATA_KEY));
  if (own?.length === nSites && own.every((site) => site.width === dModel)) return own;
  if (nSites === 1) return [{ name: "finetuned", model: "finetuned", layer: -1, width: dModel }];
  if (nSites === 2) {
    return [
      { name: "base", model: "base", layer: -1, width: dModel },
      { name: "finetuned", model: "finetuned", layer: -1, width: dModel },
    ];
  }
  throw new FormatError(`${path}: expected one or two sites, got ${nSites}`, {
    hint: "only a model and its fine-tune are compared",
  });
}

function parseOwnSites(json: string | undefined): Site[] | undefined {
  if (json === undefined) return undefined;
  try {
    const { sites } = JSON.parse(json) as { sites?: unknown };
    return Array.isArray(sites) && sites.every(isSite) ? sites : undefined;
  } catch {
    return undefined; // Not ours after all; the field's convention stands in.
  }
}

function isSite(value: unknown): value is Site {
  if (typeof value !== "object" || value === null) return false;
  const { name, model, layer, width } = value as Partial<Site>;
  return (
    typeof name === "string" &&
    (model === "base" || model === "finetuned") &&
    Number.isInteger(layer) &&
    Number.isInteger(width)
  );
}
