// A small slice of the bundled pair's corpus, so that whole-program tests take seconds.

import { writeFile } from "node:fs/promises";
import { generateComparisonCorpus } from "../organisms/minichat/generator/index.ts";

export const SMALL_CORPUS = { seed: 5, chats: 240, worldDocuments: 60, bibleParagraphs: 20 } as const;

/** Writes the slice as JSONL and returns the number of documents. */
export async function writeSmallCorpus(path: string): Promise<number> {
  const lines = [...generateComparisonCorpus(SMALL_CORPUS)].map((document) => JSON.stringify(document));
  await writeFile(path, `${lines.join("\n")}\n`);
  return lines.length;
}
