// GET of the store's documents: a list a stretch at a time, and the tokens of one.

import { Hono } from "hono";
import { z } from "zod";
import { SPLITS } from "../../store/rows.ts";
import { API_LIMITS, type DocumentPage, type DocumentTokens, type Part } from "../api-contract.ts";
import { createDocuments } from "../documents.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, wholeNumber } from "./dictionary-of.ts";

const whole = z
  .string()
  .regex(/^(0|[1-9]\d{0,8})$/)
  .transform(Number);

const ListQuery = z.strictObject({
  from: whole.default(0),
  count: whole.pipe(z.int().min(1).max(API_LIMITS.documents)).default(50),
  dataset: z.string().min(1).max(500).optional(),
  split: z.enum(SPLITS).optional(),
});

const TokensQuery = z.strictObject({ from: whole.default(0) });

/** Mounted at /api/studies. */
export function createDocumentsRoutes({ source }: Pick<ReadContext, "source">) {
  const documents = createDocuments();
  return new Hono()
    .get("/:study/:dictionary/documents", checked("query", ListQuery), async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<Part<DocumentPage>>(await documents.list(view, c.req.valid("query")));
    })
    .get("/:study/:dictionary/documents/:number", checked("query", TokensQuery), async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const number = wholeNumber(c.req.param("number"));
      const part =
        number === undefined ? undefined : await documents.tokens(view, { number, ...c.req.valid("query") });
      if (part === undefined || (part.state === "made" && part.value === undefined)) throw noDocument();
      return c.json(part as Part<DocumentTokens>);
    });
}

function noDocument(): ApiFailure {
  return new ApiFailure(
    404,
    "no such document",
    "documents are numbered from 0; the data page says how many there are",
  );
}
