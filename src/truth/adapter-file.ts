// adapters.json and the merged PEFT adapter beside it → names and directions of a pair made by rank-1 adapters.
//
// adapters.json is written by organisms/minichat/recipe; only what scoring needs is read here: the block, and the order of the
// adapters in all/, whose lora_B [dModel, n] has one direction a column. Opening the adapter as a model is lm/adapter.ts.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, StorageError } from "../errors.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import type { AdapterDirection } from "./adapter-scores.ts";

const SCHEMA_VERSION = 1;

export interface PlantedAdapters {
  /** 0-based block into whose output they write. */
  layer: number;
  adapters: AdapterDirection[];
}

/** folder: holds adapters.json and all/. Throws StorageError for one that cannot be read, FormatError naming file and fault. */
export async function readPlantedAdapters(folder: string): Promise<PlantedAdapters> {
  const path = join(folder, "adapters.json");
  const hint = "make it again with the recipe that made the adapters";
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new StorageError(`${path}: expected a file that can be read`, { cause });
  });
  let parsed: { schemaVersion?: unknown; layer?: unknown; adapters?: unknown };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint, cause });
  }
  const { schemaVersion, layer, adapters } = parsed;
  const names = Array.isArray(adapters)
    ? adapters.map((adapter: { name?: unknown } | null) => adapter?.name)
    : [];
  if (
    schemaVersion !== SCHEMA_VERSION ||
    typeof layer !== "number" ||
    names.length === 0 ||
    !names.every((name) => typeof name === "string")
  ) {
    throw new FormatError(
      `${path}: expected schemaVersion ${SCHEMA_VERSION}, a layer and adapters with names, got schemaVersion ${schemaVersion}`,
      { hint },
    );
  }
  return { layer, adapters: await readDirections(join(folder, "all", "adapter_model.safetensors"), names) };
}

/** Columns of the only lora_B in the file. */
async function readDirections(path: string, names: string[]): Promise<AdapterDirection[]> {
  const file = await openSafetensors(path);
  try {
    const found = [...file.tensors.values()].filter((info) => info.name.endsWith(".lora_B.weight"));
    const n = names.length;
    if (found.length !== 1 || found[0].shape.length !== 2 || found[0].shape[1] !== n) {
      throw new FormatError(
        `${path}: expected one lora_B [dModel, ${n}], got ${found.map(({ shape }) => `[${shape.join(", ")}]`).join(" and ") || "none"}`,
        { hint: "adapters.json and all/ come from different runs of the recipe" },
      );
    }
    const values = await file.readFloat32(found[0].name);
    return names.map((name, i) => ({ name, direction: values.filter((_, at) => at % n === i) }));
  } finally {
    await file.close();
  }
}
