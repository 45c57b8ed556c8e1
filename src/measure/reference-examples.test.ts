import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../dictionary/dictionary-file.ts";
import { FormatError, StorageError } from "../errors.ts";
import { openDatabase, type SqliteRow } from "../formats/sqlite.ts";
import { randomDocuments } from "./disk-store.test.helper.ts";
import { measure, openExamples } from "./measure.ts";
import { measurePaths } from "./measure-files.ts";
import { createMemoryStore } from "./memory-store.test.helper.ts";
import { writeReferenceExamples } from "./reference-examples.ts";

let folder = "";
const dictionary = randomDictionary({ inferenceThreshold: 2.5, normalised: false });
const store = createMemoryStore(dictionary.sites, randomDocuments(dictionary.width, 60));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "reference-examples-"));
  await saveDictionary(folder, dictionary);
  await measure({ store, dictionary, folder, tokenString: String, examplesPerLatent: 4, threads: 1 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const int32 = (blob: unknown) => [...new Int32Array(Uint8Array.from(blob as Uint8Array).buffer)];
const float32 = (blob: unknown) => [...new Float32Array(Uint8Array.from(blob as Uint8Array).buffer)];

test("every example stands in the reference's three tables, in the bin of its share of the latent's maximum", async () => {
  const path = join(folder, "examples.db");
  const result = await writeReferenceExamples({ examples: measurePaths(folder).examples, path });
  const database = openDatabase(path, { readOnly: true });
  const examples = openExamples(folder);
  try {
    const rowsOf = (latent: number): SqliteRow[] =>
      database
        .prepare(
          "SELECT * FROM quantile_examples q JOIN sequences s USING (sequence_idx) JOIN activation_details d USING (feature_idx, sequence_idx) WHERE feature_idx = ?",
        )
        .all(latent);
    let nExamples = 0;
    const quantiles = new Set<number>();
    for (let latent = 0; latent < dictionary.nLatents; latent += 1) {
      const ours = [...examples.ofLatent(latent, 4), ...examples.sampleOfLatent(latent)];
      const theirs = rowsOf(latent);
      expect(theirs).toHaveLength(ours.length);
      nExamples += ours.length;
      for (const example of ours) {
        const tokens = example.tokens.map(Number); // named by their ids here
        const same = theirs.find(
          (row) =>
            row.activation === example.maxActivation &&
            int32(row.token_ids).join() === tokens.join() &&
            float32(row.activation_values).join() === example.activations.filter((v) => v > 0).join(),
        );
        if (same === undefined) throw new Error(`latent ${latent}: example ${example.documentId} is missing`);
        expect(int32(same.positions)).toEqual(
          [...example.activations.keys()].filter((i) => example.activations[i] > 0),
        );
        const share = example.maxActivation / ours[0].maxActivation;
        const bin = [0.25, 0.5, 0.75, 0.95].filter((edge) => share >= edge).length;
        expect(same.quantile_idx).toBe(bin);
        if (example.bin >= 0) expect(bin).toBe(example.bin);
        quantiles.add(bin);
      }
    }
    expect(result).toEqual({
      path,
      nExamples,
      nSequences: database.prepare("SELECT count(*) AS n FROM sequences").get()?.n,
    });
    expect(quantiles.size).toBeGreaterThan(2);
    // latents that fire in one window share it
    expect(result.nSequences).toBeLessThan(result.nExamples);
    expect(database.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
  } finally {
    database.close();
    examples.close();
  }
});

test("a missing file and one that holds no examples are refused, and nothing is left behind", async () => {
  const path = join(folder, "none.db");
  const foreign = join(folder, "foreign.sqlite");
  await writeFile(foreign, "not sqlite, but long enough to be read as a header");
  await expect(writeReferenceExamples({ examples: join(folder, "no.sqlite"), path })).rejects.toThrow(
    StorageError,
  );
  await expect(writeReferenceExamples({ examples: foreign, path })).rejects.toThrow(FormatError);
  expect(() => openDatabase(path, { readOnly: true })).toThrow(StorageError);
});
