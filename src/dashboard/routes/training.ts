// GET of the training log: what there is, and then what comes.

import { Hono } from "hono";
import type { TrainingLine } from "../api-contract.ts";
import { eventStream } from "../event-stream.ts";
import type { ReadContext } from "../study-source.ts";
import { followTraining, readTrainingLines } from "../training-stream.ts";
import { dictionaryOf } from "./dictionary-of.ts";

/** Mounted at /api/studies. */
export function createTrainingRoutes({
  source,
  reportFault,
}: Pick<ReadContext, "source"> & { reportFault: (error: unknown) => void }) {
  return new Hono()
    .get("/:study/:dictionary/training", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<TrainingLine[]>(await readTrainingLines(view.folder));
    })
    .get("/:study/:dictionary/training/live", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      const { signal } = c.req.raw;
      return eventStream(followTraining(view.folder, { signal }), { signal, reportFault });
    });
}
