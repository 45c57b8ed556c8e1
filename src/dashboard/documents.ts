// Documents of a study's store as the browser asks for them; where each lies is kept until the store changes.
//
// Which rows are norm outliers is known from the training record of the dictionary that is looked at. Reading: document-reader.ts.

import { join } from "node:path";
import type { DocumentPage, DocumentTokens, Part } from "./api-contract.ts";
import { storePart } from "./data-page.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import {
  type DocumentPlaces,
  type DocumentReader,
  indexStoreDocuments,
  openDocuments,
} from "./document-reader.ts";
import { createFileMemo } from "./file-memo.ts";

export interface Documents {
  list(view: DictionaryView, question: Parameters<DocumentReader["list"]>[0]): Promise<Part<DocumentPage>>;
  /** The value is undefined for a number that is none of a document. */
  tokens(
    view: DictionaryView,
    question: { number: number; from: number },
  ): Promise<Part<DocumentTokens | undefined>>;
}

export function createDocuments(): Documents {
  const memo = createFileMemo();
  const use = <R>(view: DictionaryView, work: (reader: DocumentReader) => Promise<R>): Promise<Part<R>> =>
    storePart(view, (folder) => {
      const paths = [join(folder, "manifest.json"), join(folder, "rows", "manifest.json")];
      const read = async () => ({ value: await indexStoreDocuments(folder) });
      return memo.use({ key: folder, paths, read }, async (places: DocumentPlaces) => {
        const reader = await openDocuments(folder, places);
        try {
          return await work(reader);
        } finally {
          await reader.close();
        }
      });
    });
  return {
    list: (view, question) => use(view, (reader) => reader.list(question)),
    async tokens(view, question) {
      const { store } = await view.study.facts();
      const limits = await view.part("training", (record) =>
        record.store === store ? record.rows.normLimits : undefined,
      );
      const normLimits = limits.state === "made" ? limits.value : undefined;
      return use(view, (reader) => reader.tokens({ ...question, normLimits }));
    },
  };
}
