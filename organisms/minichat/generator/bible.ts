// The public-domain prose of the corpus: paragraphs of data/bible-sample.txt, dealt to splits by their position.
//
// King James Version (1611); provenance and licence in README.md. Real prose, so that the pair is not all template.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/package-root.ts";
import type { MinichatDocument, Split } from "./types.ts";

const SAMPLE = join(packageRoot(), "organisms", "minichat", "data", "bible-sample.txt");

function splitOf(index: number): Split {
  const slot = index % 10;
  if (slot === 4) return "heldout";
  return slot === 9 ? "test" : "train";
}

/** Every paragraph of the sample, in order. */
export function bibleDocuments(): MinichatDocument[] {
  const paragraphs = readFileSync(SAMPLE, "utf8")
    .split("\n\n")
    .filter((paragraph) => paragraph.length > 0);
  return paragraphs.map((text, index) => {
    return { id: `bible-${index}`, dataset: "bible", split: splitOf(index), text };
  });
}
