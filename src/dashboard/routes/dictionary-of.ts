// The dictionary that an address names, looked up in the list of what is served; and numbers of an address.

import type { Part } from "../api-contract.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { ApiFailure } from "../errors-out.ts";
import type { StudySource } from "../study-source.ts";

/** Throws ApiFailure 404. */
export async function dictionaryOf(
  source: StudySource,
  { study, dictionary }: { study: string; dictionary: string },
): Promise<DictionaryView> {
  const id = wholeNumber(study);
  const view = id === undefined ? undefined : await source.dictionary(id, dictionary);
  if (view !== undefined) return view;
  throw new ApiFailure(404, "no such study or dictionary", "see /api/session for those that are served");
}

/** What a part holds. Throws ApiFailure 409 with its words and the command that makes it. */
export function requireMade<T>(part: Part<T>): T {
  if (part.state === "made") return part.value;
  throw new ApiFailure(409, part.words, part.command);
}

/** Undefined for anything but a plain decimal number of at most nine digits. */
export function wholeNumber(text: string): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined;
}
