// Files to take away: a selection of latents as CSV or Parquet, and the report. Below /api/studies.
//
// Always as a download under a name of ours, never shown: an HTML file of a study must not run on the server's origin. Neuronpedia's
// layout is a folder: `tunediff export STUDY --neuronpedia FOLDER` writes it.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Hono } from "hono";
import { z } from "zod";
import { errorCode } from "../../formats/disk.ts";
import { API_LIMITS } from "../api-contract.ts";
import { readColumns } from "../columns.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import { selectionCsv } from "../export/csv.ts";
import { readSelection, SELECTION_LIMITS } from "../export/selection.ts";
import { selectionParquet } from "../export/selection-parquet.ts";
import type { ReadContext } from "../study-source.ts";

const name = z.string().min(1).max(API_LIMITS.viewName);
const SelectionSchema = z.strictObject({
  format: z.enum(["csv", "parquet"]),
  columns: z
    .array(name)
    .max(SELECTION_LIMITS.columns)
    .refine((names) => new Set(names).size === names.length, "expected every column once"),
  latents: z
    .string()
    .min(1)
    .max(API_LIMITS.body)
    .meta({ examples: ["0-99,105"] }),
  sort: z.strictObject({ column: name, descending: z.boolean() }).optional(),
});

const TYPES = { csv: "text/csv; charset=utf-8", parquet: "application/vnd.apache.parquet" } as const;

export function createExportRoutes({ source, notesOf }: ReadContext) {
  return new Hono()
    .post("/:study/:dictionary/export/selection", checked("json", SelectionSchema), async (c) => {
      const { study, dictionary } = c.req.param();
      const view = await source.dictionary(numberOf(study), dictionary);
      if (view === undefined) throw noSuchPlace();
      const columns = await readColumns(view, notesOf(view.study.id));
      const measured = await view.part("measure", ({ summary }) => summary.nLatents);
      if (measured.state !== "made") throw new ApiFailure(409, measured.words, measured.command);
      const { format, ...asked } = c.req.valid("json");
      const selection = await readSelection(columns, measured.value, asked);
      const sha256 = await view.sha256();
      const chunks =
        format === "csv"
          ? selectionCsv(selection)
          : selectionParquet(selection, { schemaVersion: "1", dictionarySha256: sha256 });
      return c.body(streamOf(chunks), 200, {
        "content-type": TYPES[format],
        "content-disposition": `attachment; filename="latents.${format}"`,
      });
    })
    .get("/:study/:dictionary/export/report", async (c) => {
      const { study, dictionary } = c.req.param();
      const view = await source.dictionary(numberOf(study), dictionary);
      if (view === undefined) throw noSuchPlace();
      const file = await open(join(view.study.folder, "report.html")).catch((error: unknown) => {
        if (errorCode(error) !== "ENOENT") throw error;
        throw new ApiFailure(404, "the report has not been written", "tunediff report STUDY");
      });
      return c.body(streamOf(file.createReadStream()), 200, {
        "content-type": "text/html; charset=utf-8",
        "content-disposition": 'attachment; filename="report.html"',
      });
    });
}

/** Made as the browser takes it; given up when it goes. */
function streamOf(chunks: AsyncIterable<string | Uint8Array>): ReadableStream<Uint8Array> {
  return Readable.toWeb(Readable.from(chunks, { objectMode: false })) as ReadableStream<Uint8Array>;
}

function noSuchPlace(): ApiFailure {
  return new ApiFailure(404, "there is no such study or dictionary", "see the list on the first page");
}

/** −1, which is no study, for anything but a plain decimal number. */
function numberOf(text: string): number {
  return /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : -1;
}
