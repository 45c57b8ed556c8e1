// Addresses of another study or dictionary's screens, and how the dictionaries of all studies are named where they stand side by side.

import type { DictionaryEntry, StudyEntry } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { formatAmount } from "../format.ts";

export function queryOfPlace(
  place: DictionaryPlace,
  screen: string,
  more: Record<string, string> = {},
): URLSearchParams {
  return new URLSearchParams({
    study: String(place.study),
    dictionary: place.dictionary,
    screen,
    ...more,
  });
}

export interface ServedDictionary {
  place: DictionaryPlace;
  study: StudyEntry;
  dictionary: DictionaryEntry;
  /** Tells it from all others that are served. */
  title: string;
}

export function servedDictionaries(studies: readonly StudyEntry[]): ServedDictionary[] {
  return studies.flatMap((study, i) =>
    study.dictionaries.map((dictionary) => {
      const { base, finetuned } = study.layer;
      const layer = base === finetuned ? `layer ${base}` : `layers ${base} and ${finetuned}`;
      const parts = [
        ...(studies.length > 1 ? [`study ${i + 1}`] : []),
        dictionary.name,
        formatAmount(dictionary.nLatents, "latent"),
        layer,
        study.title,
      ];
      return {
        ...{ study, dictionary, place: { study: study.id, dictionary: dictionary.name } },
        title: parts.join(" · "),
      };
    }),
  );
}

export function isPlace(a: DictionaryPlace, b: DictionaryPlace): boolean {
  return a.study === b.study && a.dictionary === b.dictionary;
}
