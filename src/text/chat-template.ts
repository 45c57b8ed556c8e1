// A model folder's chat template: messages to the text its model was trained on.
//
// Hugging Face's Jinja (@huggingface/jinja, trim_blocks and lstrip_blocks on, raise_exception, {% generation %}) run in
// the guarded process, with the source and output caps of spec reliability §5, a deadline a chat and a memory cap. Dates
// are frozen (guard-child.ts), so that a render is a pure function of its messages.
// Where each message's content ends up is content-spans.ts.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import type { ChatMessage } from "./document.ts";
import { askGuard, DEFAULT_DEADLINE_MS, type GuardLimits } from "./guard-process.ts";
import type { RenderOutcome } from "./guard-protocol.ts";
import { type NamedTokens, readFolderJson, readFolderText } from "./tokenizer-file.ts";

const MAX_SOURCE_BYTES = 64 * 1024;
const MAX_OUTPUT_CHARS = 1_000_000;

export interface RenderOptions {
  /** Go on with the opening of the assistant's turn, for a model to answer; default false. */
  addGenerationPrompt?: boolean;
}

export interface ChatTemplate {
  /** Where the source was found, for messages. */
  place: string;
  source: string;
  /** SHA-256 hex of source and named tokens: equal hashes render alike. */
  hash: string;
  /** Whether the template asks for today's date; it is told 26 July 2024, always. */
  asksForDate: boolean;
  /**
   * One chat without generation prompt. Throws FormatError with the template's own reason, or when the output is too
   * long, or the template does not parse, takes too long or too much memory.
   */
  render(messages: ChatMessage[]): Promise<string>;
  /**
   * Many chats, in groups that are answered together: one outcome a chat, in order. A chat that the template refuses is
   * an outcome; throws FormatError where the template itself is at fault (does not parse, too slow, too large).
   */
  renderGroups(groups: ChatMessage[][][], options?: RenderOptions): Promise<RenderOutcome[][]>;
}

/** Template from its source. place names it in messages. Throws FormatError when it is too long. */
export function createChatTemplate(options: {
  place: string;
  source: string;
  namedTokens: NamedTokens;
  limits?: GuardLimits;
}): ChatTemplate {
  const { place, source, namedTokens, limits = { deadlineMs: DEFAULT_DEADLINE_MS } } = options;
  const nBytes = Buffer.byteLength(source);
  if (nBytes > MAX_SOURCE_BYTES) {
    throw new FormatError(
      `${place}: expected a chat template of at most ${MAX_SOURCE_BYTES} bytes, got ${nBytes}`,
      { hint: "no published template is that long: check the file" },
    );
  }
  const renderGroups = async (
    groups: ChatMessage[][][],
    { addGenerationPrompt = false }: RenderOptions = {},
  ): Promise<RenderOutcome[][]> => {
    const items = groups.map((chats) =>
      chats.map((messages) => messages.map(({ role, content }) => ({ role, content }))),
    );
    const globals = Object.fromEntries(Object.entries(namedTokens));
    try {
      const results = await askGuard(
        { kind: "render", source, globals, items, addGenerationPrompt, maxOutputChars: MAX_OUTPUT_CHARS },
        limits,
      );
      return results as RenderOutcome[][];
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      throw new FormatError(
        `${place}: expected a chat template that parses and runs, got: ${cause.message}`,
        {
          hint: "give the folder a chat_template.jinja that renders these messages",
          cause,
        },
      );
    }
  };
  return {
    place,
    source,
    asksForDate: source.includes("strftime_now"),
    hash: createHash("sha256")
      .update(JSON.stringify([source, Object.entries(namedTokens).sort()]))
      .digest("hex"),
    renderGroups,
    render: async (messages) => {
      const [[outcome]] = await renderGroups([[messages]]);
      if ("text" in outcome) return outcome.text;
      const roles = messages.map(({ role }) => role).join(", ");
      throw new FormatError(
        `${place}: expected a chat template that accepts the roles ${roles}, got: ${outcome.refused}`,
      );
    },
  };
}

/**
 * The chat template of a model folder: chat_template.jinja, else chat_template.json, else chat_template in
 * tokenizer_config.json (of several named ones, "default"). undefined when the folder has none.
 */
export async function loadChatTemplate(
  folder: string,
  namedTokens: NamedTokens,
): Promise<ChatTemplate | undefined> {
  const file = await readFolderText(folder, "chat_template.jinja");
  if (file !== undefined) {
    return createChatTemplate({ place: join(folder, "chat_template.jinja"), source: file, namedTokens });
  }
  for (const name of ["chat_template.json", "tokenizer_config.json"]) {
    const found = (await readFolderJson(folder, name))?.chat_template;
    if (found === undefined || found === null) continue;
    const source = Array.isArray(found)
      ? found.find((entry: { name?: unknown }) => entry?.name === "default")?.template
      : found;
    if (typeof source !== "string") {
      throw new FormatError(
        `${join(folder, name)}: chat_template: expected a string or a list with "default", got ${JSON.stringify(found).slice(0, 80)}`,
      );
    }
    return createChatTemplate({ place: join(folder, name), source, namedTokens });
  }
  return undefined;
}
