// The studies that a server shows, by number: what is in them, and a view of one dictionary at a time. Read-only.
//
// A study or dictionary that is asked for is looked up in a list; what a request says is never joined to a path.

import type { StudyEntry } from "./api-contract.ts";
import { createDictionaryView, type DictionaryView } from "./dictionary-view.ts";
import type { Notes } from "./notes.ts";
import { createSearchService, type SearchService } from "./search.ts";
import { type StudyFolder, studyFolder } from "./study-folder.ts";

export const SOURCE_LIMITS = {
  /** Dictionaries whose tables are held at a time. */
  dictionaries: 2,
} as const;

export interface StudySource {
  /** Read anew at every call, in the order of the folders. */
  studies(): Promise<StudyEntry[]>;
  /** Undefined for a number that is none of a study. */
  study(id: number): StudyFolder | undefined;
  /** Undefined for a study or dictionary that is not there. */
  dictionary(id: number, name: string): Promise<DictionaryView | undefined>;
  /** Of all of them; its threads end with the source. */
  search: SearchService;
  close(): Promise<void>;
}

/** What every route file is given. */
export interface ReadContext {
  source: StudySource;
  /** By the study's number. */
  notesOf(study: number): Notes;
}

/** Nothing is opened before it is asked for. */
export function openStudySource(folders: readonly string[]): StudySource {
  const studies = folders.map((folder, id) => studyFolder(id, folder));
  /** In order of last use. */
  const views = new Map<string, DictionaryView>();
  const search = createSearchService();
  return {
    search,
    studies: () => Promise.all(studies.map(async (study) => (await study.facts()).entry)),
    study: (id) => studies[id],
    async dictionary(id, name) {
      const study = studies[id];
      if (study === undefined) return undefined;
      const { dictionaries } = (await study.facts()).entry;
      const key = `${id}/${name}`;
      const view = views.get(key) ?? createDictionaryView(study, name);
      if (!dictionaries.some((entry) => entry.name === name)) return undefined;
      views.delete(key);
      views.set(key, view);
      for (const [oldest, other] of views) {
        if (views.size <= SOURCE_LIMITS.dictionaries) break;
        views.delete(oldest);
        await other.close();
      }
      return view;
    },
    async close() {
      await Promise.all([search.close(), ...[...views.values()].map((view) => view.close())]);
      views.clear();
    },
  };
}
