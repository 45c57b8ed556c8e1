// A --data file: one JSON document a line, checked field by field before anything is computed.
//
// Accepts {"text": …}, {"messages": [{role, content}]} and {"conversation": […]} (lmsys-chat), with optional id,
// dataset, split and spans; role "model" means assistant. Unknown fields are ignored. Lone surrogates become U+FFFD,
// as every UTF-8 writer makes them. Duplicates are not this file's business: harvest drops them by content hash.

import { basename } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { readJsonLines } from "../formats/jsonl.ts";
import { SPLITS } from "../store/rows.ts";
import type { InputDocument } from "./document.ts";

const MAX_CONTENT_CHARS = 4_000_000;
const MAX_MESSAGES = 2_000;
const MAX_SPANS = 100_000;
const MAX_NAME_CHARS = 500;

/** A string that UTF-8 can hold; replacing keeps every offset. */
const wellFormed = z
  .string()
  .max(MAX_CONTENT_CHARS)
  .transform((text) => text.replace(/\p{Surrogate}/gu, "\uFFFD"));

const name = z.union([z.string().min(1).max(MAX_NAME_CHARS), z.number().transform(String)]);

const role = z
  .enum(["system", "user", "assistant", "model"])
  .transform((role) => (role === "model" ? "assistant" : role));

const messages = z
  .array(z.object({ role, content: wellFormed }))
  .min(1)
  .max(MAX_MESSAGES);

const span = z.object({
  concept: z.string().min(1).max(MAX_NAME_CHARS),
  kind: z.enum(["trigger", "decision", "response"]),
  turn: z.int().min(0),
  start: z.int().min(0).optional(),
  end: z.int().min(0).optional(),
});

const documentLine = z
  .object({
    id: name.optional(),
    dataset: name.optional(),
    split: z.enum(SPLITS).optional(),
    text: wellFormed.pipe(z.string().min(1)).optional(),
    messages: messages.optional(),
    conversation: messages.optional(),
    spans: z.array(span).max(MAX_SPANS).optional(),
  })
  .superRefine((line, context) => {
    const present = (["text", "messages", "conversation"] as const).filter((key) => line[key] !== undefined);
    if (present.length !== 1) {
      const got = present.length === 0 ? "none" : present.join(" and ");
      context.addIssue({
        code: "custom",
        message: `expected exactly one of text, messages, conversation, got ${got}`,
      });
      return;
    }
    const contents = (line.messages ?? line.conversation)?.map(({ content }) => content) ?? [];
    for (const [i, { turn, kind, start, end }] of (line.spans ?? []).entries()) {
      const issue = (message: string) => context.addIssue({ code: "custom", path: ["spans", i], message });
      if (turn >= contents.length) issue(`expected a turn below ${contents.length}, got ${turn}`);
      else if (start === undefined && end === undefined && kind === "decision") continue;
      else if (start === undefined || end === undefined || start >= end || end > contents[turn].length) {
        issue(`expected 0 ≤ start < end ≤ ${contents[turn].length}, got ${start} and ${end}`);
      }
    }
  });

function valueAt(value: unknown, path: PropertyKey[]): unknown {
  let inner = value;
  for (const key of path) inner = (inner as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return inner;
}

/** "place: field: expected …, got …" for the first thing wrong. */
function explain(place: string, value: unknown, error: z.ZodError): FormatError {
  const issue = error.issues[0];
  const field = issue.path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
  const got = JSON.stringify(valueAt(value, issue.path))?.slice(0, 80) ?? "nothing";
  const wanted = issue.message.replace(/^Invalid \w+: |, received .*$/g, "");
  const message = issue.code === "custom" ? wanted : `${wanted}, got ${got}`;
  return new FormatError(`${place}: ${field === "" ? "" : `${field}: `}${message}`, {
    hint: 'each line is {"text": "…"} or {"messages": [{"role": "user", "content": "…"}, …]}',
  });
}

/** One parsed line as a document. defaults fill what the line does not say. Throws FormatError naming place and field. */
export function parseDocument(
  value: unknown,
  { place, id, dataset }: { place: string; id: string; dataset: string },
): InputDocument {
  const parsed = documentLine.safeParse(value);
  if (!parsed.success) throw explain(place, value, parsed.error);
  const { messages, conversation, text, split, spans, ...line } = parsed.data;
  const chat = messages ?? conversation;
  return {
    id: line.id ?? id,
    dataset: line.dataset ?? dataset,
    ...(split === undefined ? {} : { split }),
    ...(text === undefined ? {} : { text }),
    ...(chat === undefined ? {} : { messages: chat }),
    ...(spans === undefined ? {} : { spans }),
  };
}

/**
 * Documents of a JSONL file in file order.
 *
 * Missing ids become line-N, a missing dataset the file's name without extension.
 * Throws FormatError (file:line, field, expected, got), also when the file holds no document.
 */
export async function* readDocuments(path: string): AsyncGenerator<InputDocument> {
  const dataset = basename(path).replace(/(\.(jsonl|ndjson|json|txt))?(\.gz)?$/, "") || "data";
  let nDocuments = 0;
  for await (const { line, value } of readJsonLines(path)) {
    yield parseDocument(value, { place: `${path}:${line}`, id: `line-${line}`, dataset });
    nDocuments += 1;
  }
  if (nDocuments === 0) {
    throw new FormatError(`${path}: expected at least one document, got an empty file`, {
      hint: 'write one JSON object a line, such as {"text": "…"}',
    });
  }
}
