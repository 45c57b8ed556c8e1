// The text search of the table: hits as they stream in, stopped when another search or another screen takes its place.

import { useEffect, useState } from "react";
import type { SearchBatch, SearchHit } from "../../../src/dashboard/api-contract.ts";
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

/** Hits are shown at most so often while a search goes on: each time the whole table is chosen and drawn anew. */
const SHOWN_EVERY_MS = 150;

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
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last: SearchBatch | undefined;
    const show = (): void => {
      clearTimeout(timer);
      timer = undefined;
      if (last === undefined || stop.signal.aborted) return;
      setProgress({
        found: new Set(firstHits.keys()),
        firstHits: new Map(firstHits),
        looked: last.looked,
        candidates: last.candidates,
        isDone: last.done,
        isTruncated: last.truncated,
        error: null,
      });
    };
    const read = async (): Promise<void> => {
      try {
        for await (const batch of searchTexts({ study, dictionary }, { text, mode, where }, stop.signal)) {
          if (stop.signal.aborted) return;
          const isFirst = firstHits.size === 0 && batch.hits.length > 0;
          for (const hit of batch.hits) if (!firstHits.has(hit.latent)) firstHits.set(hit.latent, hit);
          last = batch;
          if (isFirst || batch.done) show();
          else timer ??= setTimeout(show, SHOWN_EVERY_MS);
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        show();
        setProgress((now) => ({ ...now, isDone: true, error: error as Error }));
      }
    };
    read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [study, dictionary, text, mode, where]);
  return progress;
}
