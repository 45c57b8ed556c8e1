import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { readPlantedAdapters } from "./adapter-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "adapters-"));
  await mkdir(join(folder, "all"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** lora_B [3, 2] with columns 0 2 4 and 1 3 5. */
async function write({ json, columns = 2 }: { json: string; columns?: number }): Promise<void> {
  await writeFile(join(folder, "adapters.json"), json);
  const module = "base_model.model.model.layers.1.mlp.down_proj";
  await writeSafetensors(join(folder, "all", "adapter_model.safetensors"), [
    {
      name: `${module}.lora_A.weight`,
      dtype: "F32",
      shape: [columns, 5],
      data: new Float32Array(5 * columns),
    },
    {
      name: `${module}.lora_B.weight`,
      dtype: "F32",
      shape: [6 / columns, columns],
      data: Float32Array.of(0, 1, 2, 3, 4, 5),
    },
  ]);
}
const facts = (names: unknown[], schemaVersion = 1): string =>
  JSON.stringify({ schemaVersion, layer: 1, adapters: names.map((name) => ({ name, base: 0 })) });

test("names go with the columns of lora_B", async () => {
  await write({ json: facts(["a", "b"]) });
  expect(await readPlantedAdapters(folder)).toEqual({
    layer: 1,
    adapters: [
      { name: "a", direction: Float32Array.of(0, 2, 4) },
      { name: "b", direction: Float32Array.of(1, 3, 5) },
    ],
  });
});

test("facts and weights of different runs are refused", async () => {
  await write({ json: facts(["a", "b"]), columns: 3 });
  await expect(readPlantedAdapters(folder)).rejects.toThrow(
    /expected one lora_B \[dModel, 2\], got \[2, 3\]/,
  );
});

test.each([
  ["no JSON", "{"],
  ["another version", facts(["a", "b"], 2)],
  ["no adapters", facts([])],
  ["an adapter without a name", facts(["a", 7])],
])("a file with %s is refused", async (_, json) => {
  await write({ json });
  await expect(readPlantedAdapters(folder)).rejects.toThrow(FormatError);
});

test("a folder without facts is refused", async () => {
  await expect(readPlantedAdapters(folder)).rejects.toThrow(StorageError);
});
