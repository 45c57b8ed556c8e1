// A matching as it is computed: how far it is, then the whole of it. Asked for again when the question changes; ended with the screen.

import { useCallback, useEffect, useState } from "react";
import type { LabProgress, Matching, MatchingBy } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { readMatching } from "./compare-api.ts";

export interface MatchingState {
  progress: LabProgress | null;
  matching: Matching | null;
  isStopped: boolean;
  error: Error | null;
}

const NOTHING: MatchingState = { progress: null, matching: null, isStopped: false, error: null };

/** by: null while it is not known what is possible. */
export function useMatching(options: {
  a: DictionaryPlace;
  b: DictionaryPlace;
  by: MatchingBy | null;
  latents: "claims" | "all";
}): MatchingState & { stop: () => void; restart: () => void } {
  const { by, latents } = options;
  const [studyA, dictionaryA] = [options.a.study, options.a.dictionary];
  const [studyB, dictionaryB] = [options.b.study, options.b.dictionary];
  const [state, setState] = useState(NOTHING);
  /** Raised to ask again. */
  const [attempt, setAttempt] = useState(0);
  const [controller, setController] = useState<AbortController | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: attempt asks the same question again
  useEffect(() => {
    if (by === null) return;
    const stop = new AbortController();
    setController(stop);
    setState(NOTHING);
    const read = async (): Promise<void> => {
      try {
        const events = readMatching({
          ...{ a: { study: studyA, dictionary: dictionaryA }, b: { study: studyB, dictionary: dictionaryB } },
          ...{ by, latents, signal: stop.signal },
        });
        for await (const event of events) {
          if (stop.signal.aborted) return;
          if (event.kind === "progress") setState({ ...NOTHING, progress: event });
          else setState({ ...NOTHING, matching: event.matching });
        }
      } catch (error) {
        if (!stop.signal.aborted) setState({ ...NOTHING, error: error as Error });
      }
    };
    read();
    return () => stop.abort();
  }, [studyA, dictionaryA, studyB, dictionaryB, by, latents, attempt]);
  const stop = useCallback(() => {
    controller?.abort();
    setState({ ...NOTHING, isStopped: true });
  }, [controller]);
  const restart = useCallback(() => setAttempt((count) => count + 1), []);
  return { ...state, stop, restart };
}
