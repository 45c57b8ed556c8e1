// The guarded process: runs chat templates and unfamiliar tokenizers, and can be killed at any moment.
//
// Started by guard-process.ts, never imported. Jinja's interpreter has no limits, and the tokenizer library ends the
// whole process when a regular expression runs away ("retry-limit-in-match over" cannot be caught); neither may
// happen where the store is being written. Every item is answered on its own, so that the parent can tell progress
// from a hang. Nothing is read from disk but this project's own code, and nothing written.

import { Template } from "@huggingface/jinja";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { findDroppedOutput, type TemplateNode } from "./dropped-output.ts";
import type {
  EncodeJob,
  GuardJob,
  GuardReply,
  LookUpJob,
  RawEncoding,
  RenderJob,
  RenderOutcome,
} from "./guard-protocol.ts";

/** Resident memory at which this process gives up; the heap is capped by the parent, native memory here. */
const MAX_RSS_BYTES = 450 * 2 ** 20;
const WATCH_MS = 25;
/** The day Llama 3.1's template names where no date is given: any fixed day would do. */
const FROZEN_DAY = new Date(Date.UTC(2024, 6, 26));
const MAX_ENGINES = 8;

const reply = (message: GuardReply): void => {
  process.send?.(message);
};
const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).slice(0, 500);

/** strftime of the frozen day; directives that templates use, others are left as they stand. */
function frozenDate(format: unknown): string {
  const part = (options: Intl.DateTimeFormatOptions): string =>
    FROZEN_DAY.toLocaleString("en-US", { timeZone: "UTC", ...options });
  const parts: Record<string, string> = {
    d: part({ day: "2-digit" }),
    m: part({ month: "2-digit" }),
    Y: part({ year: "numeric" }),
    y: part({ year: "2-digit" }),
    b: part({ month: "short" }),
    B: part({ month: "long" }),
    a: part({ weekday: "short" }),
    A: part({ weekday: "long" }),
    H: "00",
    M: "00",
    S: "00",
  };
  return String(format).replace(/%([a-zA-Z])/g, (whole, letter: string) => parts[letter] ?? whole);
}

/**
 * The template as it is run: line ends as Jinja reads them, and strftime_now set before all else (the newline that
 * trim_blocks would eat is given back).
 */
function prepareSource(given: string): string {
  const source = given.replace(/\r\n?/g, "\n");
  if (!source.includes("strftime_now")) return source;
  return `{% set strftime_now = tunediff_frozen_date %}${source.startsWith("\n") ? "\n" : ""}${source}`;
}

const templates = new Map<string, Template>();
const engines = new Map<string, RustTokenizer>();

function remember<T>(map: Map<string, T>, key: string, value: T): T {
  if (map.size >= MAX_ENGINES) map.delete(map.keys().next().value!);
  map.set(key, value);
  return value;
}

function parseTemplate(source: string): Template {
  const template = new Template(prepareSource(source));
  const control = findDroppedOutput(template.parsed as unknown as TemplateNode);
  if (control === undefined) return template;
  throw new Error(
    `{% ${control} %} after output in a loop: the interpreter used here would lose that output; write it with if and else instead`,
  );
}

function render(
  number: number,
  { source, globals, items, addGenerationPrompt, maxOutputChars }: RenderJob,
): void {
  const template = templates.get(source) ?? remember(templates, source, parseTemplate(source));
  for (const chats of items) {
    const result = chats.map((messages): RenderOutcome => {
      try {
        const text = template.render({
          messages,
          add_generation_prompt: addGenerationPrompt,
          tunediff_frozen_date: frozenDate,
          ...globals,
        });
        return text.length <= maxOutputChars
          ? { text }
          : { refused: `expected at most ${maxOutputChars} characters a chat, got ${text.length}` };
      } catch (cause) {
        return { refused: reasonOf(cause) };
      }
    });
    reply({ kind: "item", job: number, result });
  }
}

function engineOf({ engineKey, engineJson }: EncodeJob | LookUpJob): RustTokenizer {
  const known = engines.get(engineKey);
  if (known !== undefined) return known;
  return remember(engines, engineKey, RustTokenizer.fromString(engineJson!));
}

async function encode(number: number, job: EncodeJob): Promise<void> {
  const engine = engineOf(job);
  for (const texts of job.items) {
    const encodings = await engine.encodeBatch(texts, { addSpecialTokens: false });
    const result = encodings.map((encoded): RawEncoding => {
      const offsets = encoded.getOffsets();
      return {
        ids: Uint32Array.from(encoded.getIds()),
        start: Uint32Array.from(offsets, ([from]) => from),
        end: Uint32Array.from(offsets, ([, to]) => to),
      };
    });
    reply({ kind: "item", job: number, result });
  }
}

function lookUp(number: number, job: LookUpJob): void {
  const engine = engineOf(job);
  for (const contents of job.items) {
    const result = contents.map((content) => engine.tokenToId(content) ?? null);
    reply({ kind: "item", job: number, result });
  }
}

process.on("message", async ({ number, job }: { number: number; job: GuardJob }) => {
  try {
    if (job.kind === "render") render(number, job);
    else if (job.kind === "encode") await encode(number, job);
    else lookUp(number, job);
  } catch (cause) {
    reply({ kind: "failed", job: number, reason: reasonOf(cause) });
  }
});
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
setInterval(() => {
  if (process.memoryUsage.rss() < MAX_RSS_BYTES) return;
  reply({ kind: "tooMuchMemory" });
  process.kill(process.pid, "SIGKILL");
}, WATCH_MS);
reply({ kind: "ready" });
