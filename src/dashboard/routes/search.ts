// GET …/search: hits in the examples of a dictionary, or in people's labels, as server-sent events.

import { Hono } from "hono";
import { z } from "zod";
import { measurePaths } from "../../measure/measure-files.ts";
import { API_LIMITS, type SearchBatch } from "../api-contract.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import { eventStream } from "../event-stream.ts";
import type { SearchQuestion } from "../search.ts";
import type { LatentText } from "../search-texts.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, requireMade } from "./dictionary-of.ts";

const SearchQuery = z.strictObject({
  q: z.string().min(1).max(API_LIMITS.searchText),
  mode: z.enum(["text", "regex"]).default("text"),
  in: z.enum(["examples", "labels"]).default("examples"),
  each: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .transform(Number)
    .optional(),
});

/** Mounted at /api/studies. */
export function createSearchRoutes({
  source,
  notesOf,
  reportFault,
}: ReadContext & { reportFault: (error: unknown) => void }) {
  return new Hono().get("/:study/:dictionary/search", checked("query", SearchQuery), async (c) => {
    const view = await dictionaryOf(source, c.req.param());
    const { q: text, mode, in: place, each } = c.req.valid("query");
    if (mode === "regex") requireExpression(text);
    const question: SearchQuestion = { mode, text, ...(each !== undefined && { each }) };
    const { signal } = c.req.raw;
    const { examples } = measurePaths(view.folder);
    const events = async function* (): AsyncGenerator<SearchBatch> {
      if (place === "examples") {
        yield* source.search.inExamples(examples, question, signal);
        return;
      }
      const notes = notesOf(view.study.id).list(await view.sha256());
      const texts = notes.map(
        ({ latent, label, text: words, tags }): LatentText => ({
          ...{ latent, bin: 0, rank: 0 },
          text: [label, words, tags.join(", ")].filter((part) => part !== "").join("\n"),
        }),
      );
      yield* source.search.inTexts(texts, question, signal);
    };
    if (place === "examples") requireMade(await view.part("examples", () => true));
    return eventStream(events(), { signal, reportFault });
  });
}

/** Made, never run: an expression that never ends hurts only where it is matched. */
function requireExpression(source: string): void {
  try {
    new RegExp(source, "u");
  } catch {
    throw new ApiFailure(
      400,
      "this is no regular expression",
      "write a \\ before ( ) [ ] { } . * + ? ^ $ | / that are meant as they are",
    );
  }
}
