// Keys that work anywhere on a screen: judging latents one after another without a pointer.
//
// Not while something is typed, and not with a modifier: those belong to the browser.

import { useEffect, useRef } from "react";

export type TriageKey = "j" | "k" | "s" | "l" | "t" | "/" | "Enter";

/** What stands beside the table, for people. */
export const TRIAGE_KEYS: readonly (readonly [TriageKey, string])[] = [
  ["j", "next"],
  ["k", "previous"],
  ["Enter", "open"],
  ["s", "star"],
  ["l", "label"],
  ["t", "tag"],
  ["/", "search"],
];

export function useTriageKeys(actions: Partial<Record<TriageKey, () => void>>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      // Enter on a link or button is its own.
      if (
        event.key === "Enter" &&
        event.target instanceof Element &&
        event.target.closest("a, button, summary")
      )
        return;
      const action = latest.current[event.key as TriageKey];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches("input[type=checkbox]")) return false;
  return target.matches("input, textarea, select") || target.isContentEditable;
}
