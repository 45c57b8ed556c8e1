// GET of what a whole dictionary says: overview, columns, the causal experiment, the glance, the data.

import { Hono } from "hono";
import { z } from "zod";
import type { CausalMoved, CausalPage, DataPage, GlancePage } from "../api-contract.ts";
import { readCausalPage, readMoved } from "../causal-page.ts";
import { columnBytes, columnInfos, readColumns } from "../columns.ts";
import { createDataPages } from "../data-page.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import { createGlancePages } from "../glance-page.ts";
import { readOverview } from "../overview.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, requireMade, wholeNumber } from "./dictionary-of.ts";

/** In the query, because names hold those of datasets, which may hold a slash. */
const ColumnName = z.object({ name: z.string().min(1).max(500) });

/** Mounted at /api/studies. */
export function createStudiesRoutes({ source, notesOf }: ReadContext) {
  const dataPages = createDataPages();
  const glancePages = createGlancePages();
  return new Hono()
    .get("/:study/:dictionary/overview", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json(await readOverview(view));
    })
    .get("/:study/:dictionary/columns", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json(await columnInfos(await readColumns(view, notesOf(view.study.id))));
    })
    .get("/:study/:dictionary/column", checked("query", ColumnName), async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const column = (await readColumns(view, notesOf(view.study.id))).get(c.req.valid("query").name);
      if (column === undefined)
        throw new ApiFailure(404, "no such column", "see …/columns for those that there are");
      const bytes = columnBytes(await column.read());
      if (Array.isArray(bytes)) return c.json(bytes);
      return c.body(bytes, 200, { "content-type": "application/octet-stream" });
    })
    .get("/:study/:dictionary/causal", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<CausalPage>(await readCausalPage(view));
    })
    .get("/:study/:dictionary/causal/:latent", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const latent = wholeNumber(c.req.param("latent"));
      const moved = latent === undefined ? [] : requireMade(await readMoved(view, latent));
      if (moved.length === 0)
        throw new ApiFailure(
          404,
          "no such latent among the causal experiment’s",
          "see …/causal for its rows",
        );
      return c.json<CausalMoved[]>(moved);
    })
    .get("/:study/:dictionary/glance", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<GlancePage>(await glancePages.read(view));
    })
    .get("/:study/:dictionary/data", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<DataPage>(await dataPages.read(view));
    });
}
