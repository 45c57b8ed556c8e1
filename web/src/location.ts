// The address is the state: every choice on a screen stands in the query part, so that a link shows the same thing again.
//
// The path is always "/". Names common to all screens: study, dictionary, screen; the rest belongs to the screen. The launch token
// comes in the fragment and is gone before anything else happens (sign-in.ts).

import { useSyncExternalStore } from "react";

const CHANGED = "tunediff:place";

export const SCREENS = ["overview", "latents", "latent"] as const;
export type Screen = (typeof SCREENS)[number] | (string & {});

/** The query part of the address now; the component is drawn again when it changes. */
export function useQueryPart(): URLSearchParams {
  const search = useSyncExternalStore(subscribe, () => window.location.search);
  return new URLSearchParams(search);
}

export function currentQuery(): URLSearchParams {
  return new URLSearchParams(window.location.search);
}

/** Goes to a query part. replace: without a new entry in the history, for what changes often. */
export function goTo(query: URLSearchParams, { replace = false }: { replace?: boolean } = {}): void {
  const address = `/?${query}`;
  if (replace) window.history.replaceState(null, "", address);
  else window.history.pushState(null, "", address);
  window.dispatchEvent(new Event(CHANGED));
  if (!replace) window.scrollTo(0, 0);
}

/** The same study and dictionary on another screen, with other parameters. */
export function queryOf(
  from: URLSearchParams,
  screen: Screen,
  more: Record<string, string> = {},
): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["study", "dictionary"]) if (from.has(name)) query.set(name, from.get(name) as string);
  query.set("screen", screen);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query;
}

/** Parts of one parameter: column names hold any character, so each is escaped and "~" stands between. */
export function joinParts(parts: readonly (string | number)[]): string {
  return parts.map((part) => encodeURIComponent(part).replaceAll("~", "%7E")).join("~");
}

/** Inverse of joinParts; what is not an escape stays as it is. */
export function splitParts(text: string): string[] {
  return text.split("~").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // written by hand: taken as it stands
    }
  });
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(CHANGED, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(CHANGED, listener);
  };
}
