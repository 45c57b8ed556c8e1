// A model folder's chat template: messages to the text its model was trained on.
//
// Hugging Face's Jinja (@huggingface/jinja, trim_blocks and lstrip_blocks on, raise_exception) with the source and
// output caps of spec reliability §5. Dates are frozen, so that a render is a pure function of its messages.
// No deadline yet: a template that loops for ever hangs (a worker that can be killed belongs around `render`).
// Where each message's content ends up is content-spans.ts.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { FormatError } from "../errors.ts";
import type { ChatMessage } from "./document.ts";
import { type NamedTokens, readFolderJson, readFolderText } from "./tokenizer-file.ts";

const MAX_SOURCE_BYTES = 64 * 1024;
const MAX_OUTPUT_CHARS = 1_000_000;
/** The day Llama 3.1's template names where no date is given: any fixed day would do. */
const FROZEN_DAY = new Date(Date.UTC(2024, 6, 26));

export interface ChatTemplate {
  /** Where the source was found, for messages. */
  place: string;
  source: string;
  /** SHA-256 hex of source and named tokens: equal hashes render alike. */
  hash: string;
  /** Without generation prompt. Throws FormatError with the template's own reason, or when the output is too long. */
  render(messages: ChatMessage[]): string;
}

/** strftime of the frozen day; directives that templates use, others are left as they stand. */
export function frozenDate(format: string): string {
  const part = (options: Intl.DateTimeFormatOptions): string =>
    FROZEN_DAY.toLocaleString("en-US", { timeZone: "UTC", ...options });
  const parts: Record<string, string> = {
    d: part({ day: "2-digit" }),
    m: part({ month: "2-digit" }),
    Y: part({ year: "numeric" }),
    b: part({ month: "short" }),
    B: part({ month: "long" }),
    a: part({ weekday: "short" }),
    A: part({ weekday: "long" }),
    H: "00",
    M: "00",
    S: "00",
  };
  return format.replace(/%([a-zA-Z])/g, (whole, letter: string) => parts[letter] ?? whole);
}

/** Sets strftime_now before the template runs; the newline that trim_blocks would eat is given back. */
function freezeDates(source: string): string {
  if (!source.includes("strftime_now")) return source;
  return `{% set strftime_now = tunediff_frozen_date %}${source.startsWith("\n") ? "\n" : ""}${source}`;
}

/** Template from its source. place names it in messages. Throws FormatError when it is too long or does not parse. */
export function createChatTemplate(options: {
  place: string;
  source: string;
  namedTokens: NamedTokens;
}): ChatTemplate {
  const { place, source, namedTokens } = options;
  const nBytes = Buffer.byteLength(source);
  if (nBytes > MAX_SOURCE_BYTES) {
    throw new FormatError(
      `${place}: expected a chat template of at most ${MAX_SOURCE_BYTES} bytes, got ${nBytes}`,
    );
  }
  const fail = (doing: string, cause: unknown): FormatError => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new FormatError(`${place}: expected a chat template that ${doing}, got: ${reason}`, { cause });
  };
  let template: Template;
  try {
    template = new Template(freezeDates(source));
  } catch (cause) {
    throw fail("parses", cause);
  }
  return {
    place,
    source,
    hash: createHash("sha256")
      .update(JSON.stringify([source, Object.entries(namedTokens).sort()]))
      .digest("hex"),
    render: (messages) => {
      let text: string;
      try {
        text = template.render({
          messages: messages.map(({ role, content }) => ({ role, content })),
          add_generation_prompt: false,
          tunediff_frozen_date: frozenDate,
          ...namedTokens,
        });
      } catch (cause) {
        throw fail(`accepts the roles ${messages.map(({ role }) => role).join(", ")}`, cause);
      }
      if (text.length > MAX_OUTPUT_CHARS) {
        throw new FormatError(
          `${place}: expected at most ${MAX_OUTPUT_CHARS} characters a chat, got ${text.length}`,
        );
      }
      return text;
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
