// GET …/labs and POST …/labs/prompt, …/labs/steer: the live models of a study, as server-sent events. Mounted at /api/studies.
//
// All that can be refused without a model is refused before the stream begins, with a status; what the models' side refuses is the stream's
// "failed" event.

import { Hono } from "hono";
import {
  API_LIMITS,
  type LabState,
  type PromptEvent,
  type PromptRequest,
  type Session,
  type SteerEvent,
  type SteerRequest,
} from "../api-contract.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { ApiFailure, checked, withoutPaths } from "../errors-out.ts";
import { eventStream } from "../event-stream.ts";
import { composeReading, readingTables } from "../labs/compose-reading.ts";
import type { LabEvent, LabGround } from "../labs/lab-protocol.ts";
import { PromptRequestSchema, SteerRequestSchema } from "../labs/lab-schema.ts";
import type { LabAnswer, Labs } from "../labs/labs.ts";
import { describeModels, findStudyModels } from "../labs/study-models.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, requireMade } from "./dictionary-of.ts";

export interface LabsContext extends ReadContext {
  labs: Session["labs"];
  /** Absent: as if switched off. */
  labModels: Labs | undefined;
  reportFault: (error: unknown) => void;
}

export function createLabsRoutes(context: LabsContext) {
  const { source, reportFault } = context;
  return new Hono()
    .get("/:study/:dictionary/labs", async (c) => {
      const labs = requireLabs(context);
      const view = await dictionaryOf(source, c.req.param());
      const state: LabState = { ...labs.state(), ...(await describeModels(view.study.folder)) };
      return c.json(state);
    })
    .post("/:study/:dictionary/labs/prompt", checked("json", PromptRequestSchema), async (c) => {
      const labs = requireLabs(context);
      const view = await dictionaryOf(source, c.req.param());
      const request: PromptRequest = c.req.valid("json");
      await requireLatents(view, request.latents);
      const ground = await groundOf(view);
      const { signal } = c.req.raw;
      const { prompt, answer, maxNewTokens } = request;
      const normLimits = await normLimitsOf(view);
      const question = { prompt, answer, maxNewTokens, ...(normLimits && { normLimits }) };
      const answers = labs.ask({ ground, kind: "read", question }, signal);
      return eventStream(promptEvents(answers, { context, view, pinned: request.latents }), {
        signal,
        reportFault,
      });
    })
    .post("/:study/:dictionary/labs/steer", checked("json", SteerRequestSchema), async (c) => {
      const labs = requireLabs(context);
      const view = await dictionaryOf(source, c.req.param());
      const request: SteerRequest = c.req.valid("json");
      await requireLatents(
        view,
        request.latents.map(({ latent }) => latent),
      );
      const ground = await groundOf(view);
      const maxCode = requireMade(await view.part("measure", ({ table }) => table.numbers("maxCode")));
      const { signal } = c.req.raw;
      const answers = labs.ask({ ground, kind: "steer", question: { ...request, maxCode } }, signal);
      return eventStream(steerEvents(answers, request), { signal, reportFault });
    });
}

/** Throws ApiFailure 403. */
function requireLabs({ labs, labModels }: LabsContext): Labs {
  if (labs.state !== "made") throw new ApiFailure(403, labs.words, labs.command);
  if (labModels !== undefined) return labModels;
  throw new ApiFailure(403, "this server has no labs", "start it again: tunediff serve STUDY");
}

/** Throws ApiFailure 409: no dictionary yet, or models that are not there. */
async function groundOf(view: DictionaryView): Promise<LabGround> {
  const dictionarySha256 = await view.sha256();
  if (dictionarySha256 === "") {
    throw new ApiFailure(409, "the dictionary has not been trained", "tunediff train STUDY");
  }
  await findStudyModels(view.study.folder);
  return { studyFolder: view.study.folder, dictionaryFolder: view.folder, dictionarySha256 };
}

/** Throws ApiFailure 400. */
async function requireLatents(view: DictionaryView, latents: readonly number[]): Promise<void> {
  const { dictionaries } = (await view.study.facts()).entry;
  const nLatents = dictionaries.find(({ name }) => name === view.name)?.nLatents ?? 0;
  if (latents.every((latent) => latent < nLatents)) return;
  throw new ApiFailure(400, "there is no such latent", `the dictionary has 0 to ${nLatents - 1}`);
}

/** Above which a row was no row to train or measure on; undefined where the record does not say. */
async function normLimitsOf(view: DictionaryView): Promise<number[] | undefined> {
  const part = await view.part("training", ({ rows }) => rows.normLimits);
  return part.state === "made" ? part.value : undefined;
}

interface PromptOptions {
  context: LabsContext;
  view: DictionaryView;
  pinned: readonly number[];
}

async function* promptEvents(
  answers: AsyncIterable<LabAnswer>,
  { context, view, pinned }: PromptOptions,
): AsyncGenerator<PromptEvent> {
  for await (const event of answers) {
    if (event.kind === "progress") yield event;
    if (event.kind !== "reading") continue;
    const { warnings, ...tables } = await readingTables(view, context.notesOf(view.study.id));
    const reading = composeReading(event.reading, { ...tables, pinned });
    const shown = reading.latents.length;
    const cut =
      shown < reading.nFiring && shown >= API_LIMITS.readingLatents
        ? [`${reading.nFiring} latents fire; shown are ${shown}: claims, and the strongest others.`]
        : [];
    const all = [...reading.warnings.map(withoutPaths), ...warnings, ...cut];
    yield { kind: "reading", reading: { ...reading, warnings: all } };
  }
}

const SAME_ANSWERS = "At temperature 0 every seed gives the same answer.";

async function* steerEvents(
  answers: AsyncIterable<LabAnswer>,
  { temperature, seeds }: SteerRequest,
): AsyncGenerator<SteerEvent> {
  for await (const event of answers) {
    if (event.kind === "progress" || event.kind === "token") yield event;
    if (event.kind === "side") for (const answer of event.answers) yield answerEvent(answer);
    if (event.kind !== "answers") continue;
    const same = temperature === 0 && seeds.length > 1 ? [SAME_ANSWERS] : [];
    yield { kind: "done", warnings: [...event.warnings.map(withoutPaths), ...same] };
  }
}

/** JSON has no infinity: an answer whose likelihood is below every number has the greatest perplexity there is. */
function answerEvent({
  end: _,
  ...answer
}: Extract<LabEvent, { kind: "answers" }>["answers"][number]): SteerEvent {
  return { kind: "answer", ...answer, perplexity: Math.min(answer.perplexity, Number.MAX_VALUE) };
}
