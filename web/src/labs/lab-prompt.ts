// What the models are asked: a chat or plain text, as it is pasted, judged, shortened to a heading, and written into the address.
//
// Pasted JSON is that of data files (docs/formats.md): {"messages": …}, {"conversation": …}, {"text": …}, a list of turns, or several
// of these, one a line. Anything else is text, and the field takes it as it is. The server reads a prompt anew: nothing here is trusted.

import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { splitParts } from "../location.ts";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";

export type ChatTurn = Extract<LabPrompt, { messages: unknown }>["messages"][number];
export type ChatRole = ChatTurn["role"];

export const CHAT_ROLES: readonly ChatRole[] = ["system", "user", "assistant"];
/** Of other makers' files. */
const OTHER_ROLES: ReadonlyMap<unknown, ChatRole> = new Map([["model", "assistant"]]);

export const EMPTY_CHAT: LabPrompt = { messages: [{ role: "user", content: "" }] };

/** The prompts that a pasted text of JSON holds; null when it is not that, and so is text. */
export function parsePasted(text: string): LabPrompt[] | null {
  if (!/^\s*[[{]/.test(text) || text.length > LAB_LIMITS.prompt * LAB_LIMITS.labPrompts) return null;
  const whole = parseJson(text);
  if (whole !== undefined) return toPrompts(whole);
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const prompts = lines.map((line) => toPrompts(parseJson(line)));
  return prompts.every((found) => found !== null) ? prompts.flat() : null;
}

/** Undefined for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // text that begins like JSON
  }
}

function toPrompts(value: unknown): LabPrompt[] | null {
  const one = toPrompt(value);
  if (one !== null) return [one];
  if (!Array.isArray(value) || value.length === 0) return null;
  const prompts = value.map(toPrompt);
  return prompts.every((prompt) => prompt !== null) ? prompts : null;
}

function toPrompt(value: unknown): LabPrompt | null {
  if (Array.isArray(value)) {
    const messages = value.map(toTurn);
    return messages.length > 0 && messages.every((turn) => turn !== null) ? { messages } : null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { messages, conversation, text } = value as Record<string, unknown>;
  if (typeof text === "string") return { text };
  const turns = messages ?? conversation;
  return Array.isArray(turns) ? toPrompt(turns) : null;
}

function toTurn(value: unknown): ChatTurn | null {
  if (typeof value !== "object" || value === null) return null;
  const { role, content } = value as Record<string, unknown>;
  const known = CHAT_ROLES.find((name) => name === role) ?? OTHER_ROLES.get(role);
  return known !== undefined && typeof content === "string" ? { role: known, content } : null;
}

/** Why the prompt cannot be sent, in words; "" when it can. isAnswered: a model is to answer it. */
export function promptFault(prompt: LabPrompt, { isAnswered }: { isAnswered: boolean }): string {
  const length = promptLength(prompt);
  if (length > LAB_LIMITS.prompt)
    return `${length} characters; at most ${LAB_LIMITS.prompt} are read. Shorten it.`;
  if ("text" in prompt) return prompt.text === "" ? "Write a text first." : "";
  const { messages } = prompt;
  if (messages.length === 0 || messages.every(({ content }) => content.trim() === ""))
    return "Write a turn first.";
  const empty = messages.findIndex(({ content }) => content.trim() === "");
  if (empty >= 0) return `Turn ${empty + 1} is empty: write it or remove it.`;
  if (isAnswered && messages.at(-1)?.role === "assistant")
    return "A model answers a chat that ends with a user's turn; this one ends with the assistant's.";
  return "";
}

/** Characters. */
export function promptLength(prompt: LabPrompt): number {
  return "text" in prompt
    ? prompt.text.length
    : prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
}

/** The same words as plain text or as a chat. */
export function toKind(prompt: LabPrompt, kind: "chat" | "text"): LabPrompt {
  if (kind === "text")
    return "text" in prompt ? prompt : { text: prompt.messages.map(({ content }) => content).join("\n\n") };
  return "messages" in prompt ? prompt : { messages: [{ role: "user", content: prompt.text }] };
}

/** One line for a heading: the last turn's beginning. */
export function promptTitle(prompt: LabPrompt, length = 80): string {
  const words = "text" in prompt ? prompt.text : (prompt.messages.at(-1)?.content ?? "");
  const line = words.replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1).trimEnd()}…` : line;
}

/** A prompt as one value of the address: role~content~role~content, or text~content. */
export function writePrompt(prompt: LabPrompt): string {
  const parts =
    "text" in prompt
      ? ["text", prompt.text]
      : prompt.messages.flatMap(({ role, content }) => [role, content]);
  // The address escapes the rest, once.
  return parts.map((part) => part.replaceAll("%", "%25").replaceAll("~", "%7E")).join("~");
}

/** Inverse of writePrompt; null for what it has not written. */
export function readPrompt(value: string): LabPrompt | null {
  const parts = splitParts(value);
  if (parts.length % 2 !== 0 || parts.length > 2 * LAB_FIGURES.turns) return null;
  if (parts[0] === "text") return parts.length === 2 ? { text: parts[1] } : null;
  const messages: ChatTurn[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const role = CHAT_ROLES.find((name) => name === parts[i]);
    if (role === undefined) return null;
    messages.push({ role, content: parts[i + 1] });
  }
  return { messages };
}
