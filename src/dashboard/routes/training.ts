// GET of the training log and record: what there is, and then what comes, of one dictionary or of several side by side.

import { Hono } from "hono";
import { z } from "zod";
import { API_LIMITS, type TrainingEvent, type TrainingFacts, type TrainingLine } from "../api-contract.ts";
import { checked } from "../errors-out.ts";
import { eventStream } from "../event-stream.ts";
import type { ReadContext } from "../study-source.ts";
import { readTrainingFacts } from "../training-facts.ts";
import { followTrainings, readTrainingLines } from "../training-stream.ts";
import { dictionaryOf } from "./dictionary-of.ts";

/** Names of dictionaries hold neither comma nor slash. */
const LiveQuery = z.strictObject({
  with: z
    .string()
    .max(4000)
    .transform((text) => text.split(","))
    .pipe(z.array(z.string().regex(/^(0|[1-9]\d{0,8})\/\w[\w.-]*$/)).max(API_LIMITS.dictionariesFollowed - 1))
    .optional(),
});

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
    .get("/:study/:dictionary/training/facts", async (c) => {
      const view = await dictionaryOf(source, c.req.param());
      return c.json<TrainingFacts>(await readTrainingFacts(view));
    })
    .get("/:study/:dictionary/training/live", checked("query", LiveQuery), async (c) => {
      const others = (c.req.valid("query").with ?? []).map((place) => {
        const [study, dictionary] = place.split("/");
        return { study, dictionary };
      });
      const followed = [];
      for (const place of [c.req.param(), ...others]) {
        const { study, name, folder } = await dictionaryOf(source, place);
        followed.push({ study: study.id, dictionary: name, folder });
      }
      const { signal } = c.req.raw;
      const events: AsyncGenerator<TrainingEvent> = followTrainings(followed, { signal });
      return eventStream(events, { signal, reportFault });
    });
}
