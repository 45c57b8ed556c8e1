// The training logs as they grow: one stream for all dictionaries shown, opened again when the server was away, closed while nobody looks.

import { useEffect, useState } from "react";
import { type DictionaryPlace, followTrainings } from "../api.ts";
import { RequestError } from "../request-error.ts";
import { joinEvent, type TrainingLogs } from "./training-log.ts";

const RECONNECT = { firstMs: 1000, mostMs: 10_000 } as const;
/** Lines of one log above which the stream is opened again, and thinned anew by the server. */
const MOST_HELD = 20_000;

export interface Trainings {
  logs: TrainingLogs;
  connection: "opening" | "open" | "away";
  /** A refusal: trying again would not help. */
  error: Error | null;
}

export const NOTHING: Trainings = { logs: new Map(), connection: "opening", error: null };

export function useTrainings(places: readonly DictionaryPlace[]): Trainings {
  const [trainings, setTrainings] = useState<Trainings>(NOTHING);
  const names = JSON.stringify(places.map(({ study, dictionary }) => ({ study, dictionary })));
  const isVisible = usePageVisible();
  useEffect(() => {
    if (!isVisible) return;
    const stop = new AbortController();
    void follow(JSON.parse(names) as DictionaryPlace[], stop.signal, (change) =>
      setTrainings((last) => (stop.signal.aborted ? last : { ...last, ...change(last) })),
    );
    return () => stop.abort();
  }, [names, isVisible]);
  return trainings;
}

type Change = (last: Trainings) => Partial<Trainings>;

/** Until aborted or refused. */
export async function follow(
  places: readonly DictionaryPlace[],
  signal: AbortSignal,
  change: (to: Change) => void,
  pause: typeof wait = wait,
): Promise<void> {
  let waitMs: number = RECONNECT.firstMs;
  while (!signal.aborted) {
    try {
      const held = new Map<string, number>();
      for await (const event of followTrainings(places, signal)) {
        waitMs = RECONNECT.firstMs;
        change(({ logs }) => ({ logs: joinEvent(logs, event), connection: "open", error: null }));
        const key = `${event.study}/${event.dictionary}`;
        held.set(key, (event.reset ? 0 : (held.get(key) ?? 0)) + event.lines.length);
        if ((held.get(key) as number) > MOST_HELD) break;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RequestError && error.status >= 400 && error.status < 500) {
        change(() => ({ error }));
        return;
      }
    }
    if (signal.aborted) return;
    change(() => ({ connection: "away" }));
    await pause(waitMs, signal);
    waitMs = Math.min(RECONNECT.mostMs, waitMs * 2);
  }
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function usePageVisible(): boolean {
  const [isVisible, setVisible] = useState(() => document.visibilityState !== "hidden");
  useEffect(() => {
    const look = (): void => setVisible(document.visibilityState !== "hidden");
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return isVisible;
}
