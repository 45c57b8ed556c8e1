// The documents of a harvest: read to the end, equal ones kept once, and named by one hash.

import { createHash } from "node:crypto";
import { FormatError, throwIfInterrupted } from "../errors.ts";
import { contentHash } from "../text/content-hash.ts";
import type { InputDocument } from "../text/document.ts";

export interface CollectedDocuments {
  documents: InputDocument[];
  /** Left out because an earlier document has the same content. */
  nDuplicates: number;
  /** SHA-256 hex over everything that can change a row or a record, in order. */
  hash: string;
}

/** Throws FormatError when there is no document at all. */
export async function collectDocuments(
  source: AsyncIterable<InputDocument> | Iterable<InputDocument>,
  signal?: AbortSignal,
): Promise<CollectedDocuments> {
  const documents: InputDocument[] = [];
  const seen = new Set<string>();
  const hash = createHash("sha256");
  let nDuplicates = 0;
  for await (const document of source) {
    throwIfInterrupted(signal);
    const content = contentHash(document);
    if (seen.has(content)) {
      nDuplicates += 1;
      continue;
    }
    seen.add(content);
    documents.push(document);
    const { id, dataset, split, spans } = document;
    hash.update(`${JSON.stringify([content, id, dataset, split ?? null, spans ?? null])}\n`);
  }
  if (documents.length === 0) {
    throw new FormatError("documents: expected at least one, got none", {
      hint: "give a --data file with one JSON document a line",
    });
  }
  return { documents, nDuplicates, hash: hash.digest("hex") };
}
