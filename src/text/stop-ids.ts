// The ids behind which an answer is over: what the folders' generation_config.json says, EOS, and what closes a turn.
//
// A chat-tune often names only EOS in its tokenizer and closes its turns with another control token. A base model closes
// turns with it as well as it can: both models of a pair stop at the same ids.

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { createChatLocator } from "./content-spans.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { readFolderJson } from "./tokenizer-file.ts";

/** Ascending, each once; empty when nothing names one. Throws FormatError for an eos_token_id that is none. */
export async function findStopIds(options: {
  /** Model folders, for generation_config.json. */
  folders: readonly string[];
  tokenizer: Tokenizer;
  template: ChatTemplate | undefined;
}): Promise<number[]> {
  const { folders, tokenizer, template } = options;
  const ids = new Set<number>();
  for (const folder of folders) for (const id of await configuredEos(folder)) ids.add(id);
  const eos = tokenizer.specialTokens.get(tokenizer.namedTokens.eos_token ?? "");
  if (eos !== undefined) ids.add(eos);
  const close = template && (await closingId(template, tokenizer));
  if (close !== undefined) ids.add(close);
  return [...ids].sort((a, b) => a - b);
}

async function configuredEos(folder: string): Promise<number[]> {
  const found = (await readFolderJson(folder, "generation_config.json"))?.eos_token_id;
  if (found === undefined || found === null) return [];
  const ids: unknown[] = Array.isArray(found) ? found : [found];
  if (ids.every((id): id is number => Number.isInteger(id) && (id as number) >= 0)) return ids;
  throw new FormatError(
    `${join(folder, "generation_config.json")}: eos_token_id: expected an id or a list of ids, got ${JSON.stringify(found).slice(0, 80)}`,
    { hint: "copy or download the file again" },
  );
}

/** The control token that the template writes right behind an assistant's words; undefined where it writes none. */
async function closingId(template: ChatTemplate, tokenizer: Tokenizer): Promise<number | undefined> {
  const [chat] = await createChatLocator(template)([
    [
      { role: "user", content: "x" },
      { role: "assistant", content: "y" },
    ],
  ]);
  if ("refused" in chat) return undefined;
  const end = chat.segments.findLast(({ message }) => message === 1)?.end;
  if (end === undefined) return undefined;
  const closing = chat.text.slice(end).trimStart();
  const { ids } = await tokenizer.encode(closing);
  const controls = new Set(tokenizer.specialTokens.values());
  return ids.length > 0 && controls.has(ids[0]) ? ids[0] : undefined;
}
