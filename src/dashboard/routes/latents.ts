// GET of one latent: its page, and its examples a stretch at a time.

import { Hono } from "hono";
import { z } from "zod";
import { API_LIMITS, type ExamplePage, type LatentPage } from "../api-contract.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import { readExamplePage } from "../example-page.ts";
import { readLatentPage } from "../latent-page.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, requireMade, wholeNumber } from "./dictionary-of.ts";

const whole = z
  .string()
  .regex(/^(0|[1-9]\d{0,8})$/)
  .transform(Number);

const ExamplesQuery = z.strictObject({
  bin: z
    .string()
    .regex(/^(-1|\d)$/)
    .transform(Number)
    .optional(),
  from: whole.default(0),
  count: whole.pipe(z.int().min(1).max(API_LIMITS.examples)).default(20),
});

/** Mounted at /api/studies. */
export function createLatentsRoutes({ source, notesOf }: ReadContext) {
  return new Hono()
    .get("/:study/:dictionary/latents/:latent", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const latent = wholeNumber(c.req.param("latent"));
      const page =
        latent === undefined
          ? undefined
          : await readLatentPage(view, { latent, notes: notesOf(view.study.id) });
      if (page === undefined) throw noLatent();
      return c.json<LatentPage>(requireMade(page));
    })
    .get("/:study/:dictionary/latents/:latent/examples", checked("query", ExamplesQuery), async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const latent = wholeNumber(c.req.param("latent"));
      if (latent === undefined) throw noLatent();
      return c.json<ExamplePage>(
        requireMade(await readExamplePage(view, { latent, ...c.req.valid("query") })),
      );
    });
}

function noLatent(): ApiFailure {
  return new ApiFailure(
    404,
    "no such latent",
    "latents are numbered from 0; the overview says how many there are",
  );
}
