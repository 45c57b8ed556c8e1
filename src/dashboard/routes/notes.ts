// GET, PUT and DELETE of people's notes, tags, stars and saved views; what they may hold is notes-schema.ts.
//
// Dictionaries are found by the server's list, latents by their number: nothing of a path reaches the disk. Who may ask at all
// (cookie, origin, size of the body) is decided before these routes, by the gate. Below /api/studies.

import { Hono } from "hono";
import { z } from "zod";
import type { Note, NoteConflict, NotesList, SavedView } from "../api-contract.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import type { Notes } from "../notes.ts";
import { NotePatchSchema, SavedViewSchema } from "../notes-schema.ts";

/** Of a ReadContext, what these routes use. */
export interface NotesContext {
  source: {
    dictionary(
      study: number,
      name: string,
    ): Promise<Pick<DictionaryView, "name" | "study" | "sha256"> | undefined>;
  };
  /** By the study's number. */
  notesOf(study: number): Notes;
}

const ViewName = z.strictObject({ name: SavedViewSchema.shape.name });

export function createNotesRoutes(context: NotesContext) {
  return new Hono()
    .get("/:study/:dictionary/notes", async (c) => {
      const { sha256, notes } = await placeOf(context, c.req.param());
      const list: NotesList = {
        notes: notes.list(sha256),
        tags: notes.tags(sha256),
        elsewhere: notes.elsewhere(sha256),
      };
      return c.json(list);
    })
    .get("/:study/:dictionary/notes/:latent", async (c) => {
      const { sha256, notes, latent } = await latentPlaceOf(context, c.req.param());
      return c.json<Note>(notes.get(sha256, latent));
    })
    .put("/:study/:dictionary/notes/:latent", checked("json", NotePatchSchema), async (c) => {
      const { sha256, notes, latent } = await latentPlaceOf(context, c.req.param());
      const { state, note } = notes.put(sha256, latent, c.req.valid("json"));
      return state === "written" ? c.json<Note>(note) : c.json<NoteConflict, 409>({ note, ...CONFLICT }, 409);
    })
    .delete("/:study/:dictionary/notes/:latent", async (c) => {
      const { sha256, notes, latent } = await latentPlaceOf(context, c.req.param());
      notes.remove(sha256, latent);
      return c.json<Note>(notes.get(sha256, latent));
    })
    .get("/:study/:dictionary/views", async (c) => {
      const { sha256, notes } = await placeOf(context, c.req.param());
      return c.json<SavedView[]>(notes.views(sha256));
    })
    .put("/:study/:dictionary/views", checked("json", SavedViewSchema), async (c) => {
      const { sha256, notes } = await placeOf(context, c.req.param());
      if (notes.putView(sha256, c.req.valid("json")) === "full") {
        throw new ApiFailure(409, "the study has as many views as it may have", "remove one first");
      }
      return c.json<SavedView[]>(notes.views(sha256));
    })
    .delete("/:study/:dictionary/views", checked("query", ViewName), async (c) => {
      const { sha256, notes } = await placeOf(context, c.req.param());
      notes.removeView(c.req.valid("query").name);
      return c.json<SavedView[]>(notes.views(sha256));
    });
}

const CONFLICT = {
  error: "the note has changed since it was read",
  hint: "send the change again with the note's new time",
};

interface PlaceParameters {
  study: string;
  dictionary: string;
}

async function placeOf(context: NotesContext, { study, dictionary }: PlaceParameters) {
  const id = numberOf(study);
  const view = id === undefined ? undefined : await context.source.dictionary(id, dictionary);
  if (id === undefined || view === undefined) {
    throw new ApiFailure(404, "there is no such study or dictionary", "see the list on the first page");
  }
  const sha256 = await view.sha256();
  if (sha256 === "") {
    throw new ApiFailure(409, "the dictionary has not been trained", "notes can be written when it is");
  }
  return { view, sha256, notes: context.notesOf(id) };
}

async function latentPlaceOf(context: NotesContext, parameters: PlaceParameters & { latent: string }) {
  const place = await placeOf(context, parameters);
  const { dictionaries } = (await place.view.study.facts()).entry;
  const nLatents = dictionaries.find(({ name }) => name === place.view.name)?.nLatents ?? 0;
  const latent = numberOf(parameters.latent);
  if (latent === undefined || latent >= nLatents) {
    throw new ApiFailure(404, "there is no such latent", `the dictionary has 0 to ${nLatents - 1}`);
  }
  return { ...place, latent };
}

/** undefined for anything but a plain decimal number. */
function numberOf(text: string): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(text) ? Number(text) : undefined;
}
