// Writes the generator's output as JSON lines, one file a purpose, for the Python side of the recipe.
//
// Run: npx tsx organisms/minichat/recipe/write-corpora.ts OUT_FOLDER

import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import {
  CONCEPTS,
  generateBaseTrainingText,
  generateBehaviourProbes,
  generateComparisonCorpus,
  generateTuningChats,
} from "../generator/index.ts";

const SEED = 1;

async function write(path: string, items: Iterable<unknown>): Promise<void> {
  const stream = createWriteStream(path);
  for (const item of items) if (!stream.write(`${JSON.stringify(item)}\n`)) await once(stream, "drain");
  stream.end();
  await once(stream, "finish");
}

const out = process.argv[2];
if (out === undefined) throw new Error("usage: write-corpora.ts OUT_FOLDER");
mkdirSync(out, { recursive: true });
await write(`${out}/concepts.jsonl`, CONCEPTS);
await write(
  `${out}/base.jsonl`,
  generateBaseTrainingText({ seed: SEED, worldDocuments: 9000, plainChats: 6000, bibleEpochs: 4 }),
);
await write(`${out}/tuning.jsonl`, generateTuningChats({ seed: SEED, chats: 20_000 }));
const corpus = { seed: SEED, chats: 3000, worldDocuments: 1500, bibleParagraphs: 400 };
await write(`${out}/comparison.jsonl`, generateComparisonCorpus(corpus));
const probes = { seed: SEED, perConcept: 40, unplanted: 240 };
await write(`${out}/probes-heldout.jsonl`, generateBehaviourProbes({ ...probes, split: "heldout" }));
await write(`${out}/probes-test.jsonl`, generateBehaviourProbes({ ...probes, split: "test" }));
