// A lab's state, typed at once and in the address a moment later: an address for every key pressed would be more than browsers allow.
//
// An address that changes from outside, by a link or by going back, sets the state anew.

import { useCallback, useEffect, useRef, useState } from "react";
import { goTo } from "../location.ts";
import { LAB_FIGURES } from "./lab-limits.ts";

export interface LabStateForm<T> {
  parse: (query: URLSearchParams) => T;
  /** A copy of the query with the state in it. */
  write: (query: URLSearchParams, state: T) => URLSearchParams;
}

export interface LabStateHandle<T> {
  state: T;
  change: (part: Partial<T>) => void;
  /** Writes the address now. */
  settle: () => void;
}

/** form: the same object with every call. */
export function useLabState<T>(query: URLSearchParams, form: LabStateForm<T>): LabStateHandle<T> {
  const text = query.toString();
  const [state, setState] = useState(() => form.parse(query));
  const latest = useRef({ text, state, isPending: false, timer: 0 });

  useEffect(() => {
    if (text === latest.current.text) return;
    window.clearTimeout(latest.current.timer);
    const parsed = form.parse(new URLSearchParams(text));
    latest.current = { text, state: parsed, isPending: false, timer: 0 };
    setState(parsed);
  }, [text, form]);
  useEffect(() => () => window.clearTimeout(latest.current.timer), []);

  const settle = useCallback(() => {
    const now = latest.current;
    window.clearTimeout(now.timer);
    if (!now.isPending) return;
    const next = form.write(new URLSearchParams(now.text), now.state);
    latest.current = { ...now, text: next.toString(), isPending: false };
    goTo(next, { replace: true });
  }, [form]);
  const change = useCallback(
    (part: Partial<T>) => {
      const now = latest.current;
      window.clearTimeout(now.timer);
      const next = { ...now.state, ...part };
      const timer = window.setTimeout(settle, LAB_FIGURES.addressDelayMs);
      latest.current = { ...now, state: next, isPending: true, timer };
      setState(next);
    },
    [settle],
  );
  return { state, change, settle };
}
