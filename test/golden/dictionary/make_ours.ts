// Writes the dictionaries of ours that make_cases.py gives to the reference classes, a folder each.
//
// Run: npx tsx test/golden/dictionary/make_ours.ts, then make_cases.py. src/dictionary/encode-file.test.ts checks that
// saveDictionary still writes these very bytes.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { randomDictionary } from "../../../src/dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../../../src/dictionary/dictionary.ts";
import { saveDictionary } from "../../../src/dictionary/dictionary-file.ts";

const common = { widths: [10, 10], nLatents: 32 };

/** By folder. ours-relu has neither k nor θ: the plain CrossCoder reads it. */
export const OURS: Record<string, Dictionary> = {
  ours: randomDictionary({ ...common, seed: 11, inferenceThreshold: 1.25 }),
  "ours-raw": randomDictionary({ ...common, seed: 12, inferenceThreshold: 1.25, normalised: false }),
  "ours-relu": { ...randomDictionary({ ...common, seed: 13, inferenceThreshold: 0 }), k: 0 },
  "ours-sae": {
    ...randomDictionary({ ...common, seed: 14, inferenceThreshold: 1.5 }),
    codeNormalisation: "sae",
  },
  "ours-none": {
    ...randomDictionary({ ...common, seed: 15, inferenceThreshold: 0.75, normalised: false }),
    codeNormalisation: "none",
  },
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [name, dictionary] of Object.entries(OURS)) {
    await saveDictionary(join(import.meta.dirname, name), dictionary);
  }
}
