// Prompts too long for the address: kept in this tab (sessionStorage) under a hash of their text, which the address names.
//
// The hash (cyrb53, bryc, public domain) finds a text again; it protects nothing. A link to it in another tab finds no text, and the
// screen says so.

import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { LAB_FIGURES } from "./lab-limits.ts";
import { readPrompt, writePrompt } from "./lab-prompt.ts";

const PREFIX = "tunediff-lab-";

export type TextStore = Pick<Storage, "getItem" | "setItem">;

export interface AddressPrompts {
  prompts: LabPrompt[];
  /** "address": all there; "tab": kept in this tab; "lost": kept in another tab, or not kept at all. */
  where: "address" | "tab" | "lost";
}

/** Of the parameters `prompt` and `kept`; no prompts when there is none. */
export function promptsFromQuery(query: URLSearchParams, store: TextStore): AddressPrompts {
  const key = query.get("kept");
  if (key === null) return { prompts: readAll(query.getAll("prompt")), where: "address" };
  const text = key === "" ? null : store.getItem(PREFIX + key);
  if (text === null) return { prompts: [], where: "lost" };
  return { prompts: readAll(text.split("\n").map(unescapeLine)), where: "tab" };
}

/** Sets `prompt` in `query`, or `kept` where they are too long; kept is "" when the tab cannot hold them. */
export function promptsToQuery(
  query: URLSearchParams,
  prompts: readonly LabPrompt[],
  store: TextStore,
): void {
  query.delete("prompt");
  query.delete("kept");
  const values = prompts.map(writePrompt);
  const length = new URLSearchParams(values.map((value) => ["prompt", value])).toString().length;
  if (length <= LAB_FIGURES.addressText) {
    for (const value of values) query.append("prompt", value);
    return;
  }
  const text = values.map(escapeLine).join("\n");
  const key = hashText(text);
  try {
    store.setItem(PREFIX + key, text);
    query.set("kept", key);
  } catch {
    query.set("kept", ""); // the tab's storage is full or shut: the screen says that the text is nowhere but in its fields
  }
}

const readAll = (values: readonly string[]): LabPrompt[] =>
  values.map(readPrompt).filter((prompt) => prompt !== null);

const escapeLine = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const unescapeLine = (line: string): string =>
  line.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));

/** 53 bits as hex. */
export function hashText(text: string): string {
  let [h1, h2] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    h1 = Math.imul(h1 ^ code, 2654435761);
    h2 = Math.imul(h2 ^ code, 1597334677);
  }
  h1 = Math.imul(h1 ^ (h1 >>> 16), 2246822507) ^ Math.imul(h2 ^ (h2 >>> 13), 3266489909);
  h2 = Math.imul(h2 ^ (h2 >>> 16), 2246822507) ^ Math.imul(h1 ^ (h1 >>> 13), 3266489909);
  return (4294967296 * (2097151 & h2) + (h1 >>> 0)).toString(16);
}
