// The glance of a study: glance.json beside study.yaml, and what was planted in the documents that its KL peaks show.
//
// Outdated: of other models or another layer than the study's. What was planted is known only where the glance read the study's own
// text; nothing is guessed from words. What a glance is: glance/glance-contract.ts.

import { join } from "node:path";
import type { Glance } from "../glance/glance-contract.ts";
import { GLANCE_FILE, readGlance } from "../glance/glance-file.ts";
import type { DocumentRecord } from "../store/rows.ts";
import { openStore } from "../store/store.ts";
import { displayName } from "./display-name.ts";
import type { LateTable } from "./late-table.ts";

/** Planted behaviours of documents: of those with a KL peak, and of the whole store. */
export interface PlantedInPeaks {
  /** Documents with a peak shown, and how many of them are the store's. */
  peaks: number;
  known: number;
  /** Of these, with any planted behaviour; and the same of the store's documents. */
  withAny: number;
  ofStore: { documents: number; withAny: number };
  /** Most frequent first. */
  concepts: { concept: string; documents: number }[];
}

export interface GlanceOfStudy {
  glance: Glance;
  /** Null where none of the documents shown is in the store, or nothing is planted in it. */
  planted: PlantedInPeaks | null;
}

interface ComparedModel {
  path: string;
  adapter?: string;
}

/** FOLDER/glance.json of the study that a dictionary lies in: FOLDER/dictionaries/NAME. */
export function glancePath(dictionaryFolder: string): string {
  return join(studyFolder(dictionaryFolder), GLANCE_FILE);
}

function studyFolder(dictionaryFolder: string): string {
  return join(dictionaryFolder, "..", "..");
}

/** Throws FormatError or StorageError naming a file that is there and cannot be read. */
export async function readGlanceOfStudy(study: {
  dictionaryFolder: string;
  storeFolder: string;
  lock: { base: ComparedModel; finetuned: ComparedModel; layer: Glance["layer"] };
}): Promise<LateTable<GlanceOfStudy>> {
  const { dictionaryFolder, storeFolder, lock } = study;
  const glance = await readGlance(studyFolder(dictionaryFolder));
  if (glance === undefined) return { state: "absent" };
  const isOfPair =
    isModel(glance.base, lock.base) &&
    isModel(glance.finetuned, lock.finetuned) &&
    glance.layer.base === lock.layer.base &&
    glance.layer.finetuned === lock.layer.finetuned;
  if (!isOfPair) return { state: "outdated" };
  const store = await openStore(storeFolder);
  try {
    return { state: "made", value: { glance, planted: plantedInPeaks(glance, store.documents) } };
  } finally {
    await store.close();
  }
}

/** Folders may be written in several ways; the names that the page shows must agree. An adapter stands for its model. */
function isModel(shown: string, { path, adapter }: ComparedModel): boolean {
  return [path, adapter].some((own) => own !== undefined && displayName(own) === displayName(shown));
}

/** A document is known by its id and dataset. */
export function plantedInPeaks(
  { kl }: Pick<Glance, "kl">,
  documents: readonly Pick<DocumentRecord, "id" | "dataset" | "spans">[],
): PlantedInPeaks | null {
  const key = ({ id, dataset }: { id: string; dataset: string }): string => JSON.stringify([id, dataset]);
  const conceptsOf = new Map(
    documents.map((document) => [key(document), new Set(document.spans?.map(({ concept }) => concept))]),
  );
  const shown = [...new Set(kl.peaks.map(({ document, dataset }) => key({ id: document, dataset })))];
  const known = shown.flatMap((name) => conceptsOf.get(name) ?? []);
  const withAny = documents.filter(({ spans = [] }) => spans.length > 0).length;
  if (known.length === 0 || withAny === 0) return null;
  const counts = new Map<string, number>();
  for (const concepts of known)
    for (const concept of concepts) counts.set(concept, (counts.get(concept) ?? 0) + 1);
  return {
    peaks: shown.length,
    known: known.length,
    withAny: known.filter(({ size }) => size > 0).length,
    ofStore: { documents: documents.length, withAny },
    concepts: [...counts]
      .map(([concept, n]) => ({ concept, documents: n }))
      .sort((a, b) => b.documents - a.documents || (a.concept < b.concept ? -1 : 1)),
  };
}
