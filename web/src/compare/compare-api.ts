// Requests of the comparison: both dictionaries side by side, and their latents matched as a stream.

import type { Comparison, MatchingBy, MatchingEvent } from "../../../src/dashboard/api-contract.ts";
import { type DictionaryPlace, request } from "../api.ts";
import { readEvents } from "../event-stream.ts";

export async function readComparison(a: DictionaryPlace, b: DictionaryPlace): Promise<Comparison> {
  return (await (await request(address(a, b))).json()) as Comparison;
}

/** Abort `signal` to stop the server's work, too, unless another browser waits for the same. */
export function readMatching(options: {
  a: DictionaryPlace;
  b: DictionaryPlace;
  by: MatchingBy;
  latents: "claims" | "all";
  signal: AbortSignal;
}): AsyncGenerator<MatchingEvent> {
  const { a, b, by, latents, signal } = options;
  return readEvents<MatchingEvent>(() => request(address(a, b, { by, latents }), { signal }));
}

function address(a: DictionaryPlace, b: DictionaryPlace, matches?: Record<string, string>): string {
  const query = new URLSearchParams({ otherStudy: String(b.study), other: b.dictionary, ...matches });
  const path = `/api/studies/${a.study}/${encodeURIComponent(a.dictionary)}/compare`;
  return `${path}${matches === undefined ? "" : "/matches"}?${query}`;
}
