// config.json of a checkpoint folder → the architecture it describes, or the reason why it is refused.
//
// config.json comes from strangers and never selects code: `auto_map` is refused, `_…` keys and everything else not on
// a family's list are never looked at. Sizes are checked here, before a single tensor is.

import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FormatError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { isFusedWidth } from "./attention.ts";
import { badField } from "./config-fields.ts";
import { FAMILIES } from "./families/index.ts";

const MAX_CONFIG_BYTES = 2 ** 20;

/** Reads FOLDER/config.json. Throws FormatError naming file and key. */
export async function readArchitecture(folder: string): Promise<Architecture> {
  const place = join(folder, "config.json");
  return describeArchitecture(parseJson(await readConfigText(place), place), place);
}

async function readConfigText(place: string): Promise<string> {
  const info = await stat(place).catch(() => undefined);
  if (!info?.isFile()) {
    throw new FormatError(`${place}: expected a file that describes the model, found none`, {
      hint: `point at the folder of a Hugging Face checkpoint (config.json and model.safetensors); is ${basename(dirname(place))} its parent?`,
    });
  }
  if (info.size > MAX_CONFIG_BYTES) {
    throw new FormatError(`${place}: expected at most ${MAX_CONFIG_BYTES} bytes, got ${info.size}`, {
      hint: "a model's config.json is a few kilobytes: this is another file",
    });
  }
  return readFile(place, "utf8");
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${place}: expected JSON, got ${(cause as Error).message}`, {
      hint: "fetch the file again: it is cut short or edited badly",
      cause,
    });
  }
}

/** raw: parsed config.json. place: how messages call it. Throws FormatError naming the key. */
export function describeArchitecture(raw: unknown, place: string): Architecture {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw badField(place, { key: "(root)", expected: "an object", got: raw });
  }
  const field = (key: string): unknown => (Object.hasOwn(raw, key) ? Reflect.get(raw, key) : undefined);
  if (field("auto_map") !== undefined) {
    throw badField(place, {
      key: "auto_map",
      expected: "a model that needs no code of its own",
      got: field("auto_map"),
      hint: "tunediff never runs code from a checkpoint: use a model of a built-in family; if this code only repeats one (as Phi-3's does), remove auto_map from a copy of config.json",
    });
  }
  if (field("quantization_config") != null) {
    throw badField(place, {
      key: "quantization_config",
      expected: "unquantised weights (F32, F16 or BF16)",
      got: field("quantization_config"),
      hint: "use the original checkpoint, or dequantise it and save it again",
    });
  }
  const modelType = field("model_type");
  const family = FAMILIES.find((candidate) => candidate.modelType === modelType);
  if (!family) {
    throw badField(place, {
      key: "model_type",
      expected: `one of ${FAMILIES.map((known) => JSON.stringify(known.modelType)).join(", ")}`,
      got: modelType,
      hint: "only these model families are read so far",
    });
  }
  const architecture = family.describe(raw, place);
  checkHeadWidth(architecture, place);
  return architecture;
}

/** No kernel at hand windows or caps the scores of heads of other widths; no published model has them. */
function checkHeadWidth({ config, block }: Architecture, place: string): void {
  if (isFusedWidth(config.headDim)) return;
  for (let layer = 0; layer < config.nLayers; layer += 1) {
    const { window, softCap } = block(layer).attention;
    if (window === undefined && softCap === undefined) continue;
    throw badField(place, {
      key: "head_dim",
      expected: "a multiple of 8 where attention is windowed or soft-capped",
      got: config.headDim,
      hint: "this combination is not supported",
    });
  }
}
