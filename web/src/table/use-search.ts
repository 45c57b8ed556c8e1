// The text search of the table: hits as they stream in, stopped when another search or another screen takes its place.

import { useEffect, useState } from "react";
import type { SearchHit } from "../../../src/dashboard/api-contract.ts";
import { type DictionaryPlace, searchTexts } from "../api.ts";
import type { TextSearch } from "./table-state.ts";

export interface SearchProgress {
  /** Null: nothing is searched for. */
  found: ReadonlySet<number> | null;
  /** The first hit of each latent. */
  firstHits: ReadonlyMap<number, SearchHit>;
  looked: number;
  candidates: number;
  isDone: boolean;
  isTruncated: boolean;
  error: Error | null;
}

const NOTHING: SearchProgress = {
  found: null,
  firstHits: new Map(),
  looked: 0,
  candidates: 0,
  isDone: true,
  isTruncated: false,
  error: null,
};

export function useSearch(place: DictionaryPlace, search: TextSearch | null): SearchProgress {
  const [progress, setProgress] = useState(NOTHING);
  const { study, dictionary } = place;
  const { text, mode, where } = search ?? { text: "", mode: "text" as const, where: "examples" as const };
  useEffect(() => {
    if (text === "") {
      setProgress(NOTHING);
      return;
    }
    const stop = new AbortController();
    const firstHits = new Map<number, SearchHit>();
    setProgress({ ...NOTHING, found: new Set(), isDone: false });
    const read = async (): Promise<void> => {
      try {
        for await (const batch of searchTexts({ study, dictionary }, { text, mode, where }, stop.signal)) {
          if (stop.signal.aborted) return;
          for (const hit of batch.hits) if (!firstHits.has(hit.latent)) firstHits.set(hit.latent, hit);
          setProgress({
            found: new Set(firstHits.keys()),
            firstHits: new Map(firstHits),
            looked: batch.looked,
            candidates: batch.candidates,
            isDone: batch.done,
            isTruncated: batch.truncated,
            error: null,
          });
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        setProgress((now) => ({ ...now, isDone: true, error: error as Error }));
      }
    };
    read();
    return () => stop.abort();
  }, [study, dictionary, text, mode, where]);
  return progress;
}
