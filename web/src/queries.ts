// The server's answers as hooks, kept and shared by react-query; what writes, and what is read anew after it.
//
// Derived data is asked for again after a while, because a stage may have been re-run; labels at once, because others write too.

import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import type {
  ColumnInfo,
  LatentPage,
  Note,
  NoteChange,
  NotesList,
  SavedView,
  Session,
} from "../../src/dashboard/api-contract.ts";
import {
  type DictionaryPlace,
  readCausal,
  readCausalMoved,
  readColumn,
  readColumns,
  readData,
  readDocument,
  readDocuments,
  readGlance,
  readLatent,
  readNotes,
  readOverview,
  readSession,
  readTrainingFacts,
  readViews,
  removeView,
  writeNote,
  writeView,
} from "./api.ts";
import type { ColumnValues } from "./table/select-latents.ts";

/** How long an answer counts as new, ms. */
export const FRESH_MS = { session: 5_000, sessionAgain: 15_000, derived: 60_000, notes: 5_000 } as const;

const keyOf = (place: DictionaryPlace, ...rest: unknown[]): unknown[] => [
  place.study,
  place.dictionary,
  ...rest,
];

export const useSession = () =>
  useQuery<Session>({
    queryKey: ["session"],
    queryFn: readSession,
    staleTime: FRESH_MS.session,
    // A stage that ends, or a dictionary whose training begins, is seen without loading anew.
    refetchInterval: FRESH_MS.sessionAgain,
  });

export const useOverview = (place: DictionaryPlace) =>
  useQuery({
    queryKey: keyOf(place, "overview"),
    queryFn: () => readOverview(place),
    staleTime: FRESH_MS.derived,
  });

export const useColumnList = (place: DictionaryPlace) =>
  useQuery({
    queryKey: keyOf(place, "columns"),
    queryFn: () => readColumns(place),
    staleTime: FRESH_MS.derived,
  });

export const useLatent = (place: DictionaryPlace, latent: number) =>
  useQuery({
    queryKey: keyOf(place, "latent", latent),
    queryFn: () => readLatent(place, latent),
    staleTime: FRESH_MS.derived,
  });

export const useCausal = (place: DictionaryPlace) =>
  useQuery({
    queryKey: keyOf(place, "causal"),
    queryFn: () => readCausal(place),
    staleTime: FRESH_MS.derived,
  });

export const useCausalMoved = (place: DictionaryPlace, latent: number) =>
  useQuery({
    queryKey: keyOf(place, "causal", latent),
    queryFn: () => readCausalMoved(place, latent),
    staleTime: FRESH_MS.derived,
  });

export const useGlance = (place: DictionaryPlace) =>
  useQuery({
    queryKey: keyOf(place, "glance"),
    queryFn: () => readGlance(place),
    staleTime: FRESH_MS.derived,
  });

/** Facts of the trainings, in the order of the places; asked for again when a state (live, finished, …) is another one. */
export const useTrainingFacts = (runs: readonly { place: DictionaryPlace; state: string }[]) =>
  useQueries({
    queries: runs.map(({ place, state }) => ({
      queryKey: keyOf(place, "training-facts", state),
      queryFn: () => readTrainingFacts(place),
      staleTime: FRESH_MS.notes,
    })),
  });

export const useData = (place: DictionaryPlace) =>
  useQuery({ queryKey: keyOf(place, "data"), queryFn: () => readData(place), staleTime: FRESH_MS.derived });

export const useDocuments = (place: DictionaryPlace, question: Parameters<typeof readDocuments>[1]) =>
  useQuery({
    queryKey: keyOf(place, "documents", question),
    queryFn: () => readDocuments(place, question),
    staleTime: FRESH_MS.derived,
    placeholderData: (last) => last,
  });

export const useDocument = (place: DictionaryPlace, question: Parameters<typeof readDocument>[1]) =>
  useQuery({
    queryKey: keyOf(place, "document", question),
    queryFn: () => readDocument(place, question),
    staleTime: FRESH_MS.derived,
  });

export interface LoadedColumns {
  /** Those that have come. */
  columns: ReadonlyMap<string, ColumnValues>;
  isLoading: boolean;
  error: Error | null;
}

/** The named columns of the list, each fetched once; names that the list lacks, or that are of notes, are passed over. */
export function useColumns(
  place: DictionaryPlace,
  list: readonly ColumnInfo[],
  names: readonly string[],
): LoadedColumns {
  const wanted = list.filter(({ name, table }) => table !== "notes" && names.includes(name));
  return useQueries({
    queries: wanted.map((info) => ({
      queryKey: keyOf(place, "column", info.name),
      queryFn: () => readColumn(place, info),
      staleTime: FRESH_MS.derived,
    })),
    combine: (results) => ({
      columns: new Map(
        results.flatMap(({ data }, i) => (data === undefined ? [] : [[wanted[i].name, data] as const])),
      ),
      isLoading: results.some(({ isPending }) => isPending),
      error: results.find(({ error }) => error !== null)?.error ?? null,
    }),
  });
}

export interface NotesOf {
  byLatent: ReadonlyMap<number, Note>;
  starred: ReadonlySet<number>;
  /** Most used first. */
  tags: readonly string[];
  /** Notes of other dictionaries of the study, kept. */
  nElsewhere: number;
  /** Why they cannot be read. */
  error: Error | null;
}

const NO_NOTES: NotesList = { notes: [], tags: [], elsewhere: [] };

/** What people wrote about this dictionary; empty while it loads. */
export function useNotes(place: DictionaryPlace): NotesOf {
  const { data = NO_NOTES, error } = useQuery({
    queryKey: keyOf(place, "notes"),
    queryFn: () => readNotes(place),
    staleTime: FRESH_MS.notes,
    refetchOnWindowFocus: true,
  });
  return useMemo(
    () => ({
      byLatent: new Map(data.notes.map((note) => [note.latent, note])),
      starred: new Set(data.notes.filter(({ starred }) => starred).map(({ latent }) => latent)),
      tags: data.tags.map(({ tag }) => tag),
      nElsewhere: data.elsewhere.reduce((sum, { notes }) => sum + notes, 0),
      error,
    }),
    [data, error],
  );
}

export const EMPTY_NOTE: Note = { label: "", text: "", tags: [], starred: false, updated: "" };

/** Sets the fields that are given; the others stay as another browser may have left them. */
export function useNoteWriter(place: DictionaryPlace) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ latent, change }: { latent: number; change: NoteChange }) =>
      writeNote(place, latent, change),
    // At once, so that the next change to the note is made to this one.
    onSuccess: (note, { latent }) => {
      client.setQueryData<NotesList>(
        keyOf(place, "notes"),
        (list) =>
          list && { ...list, notes: [...list.notes.filter((n) => n.latent !== latent), { ...note, latent }] },
      );
      client.setQueryData<LatentPage>(
        keyOf(place, "latent", latent),
        (page) => page && { ...page, note: { state: "made", value: note } },
      );
    },
    onSettled: (_data, _error, { latent }) =>
      Promise.all([
        client.invalidateQueries({ queryKey: keyOf(place, "notes") }),
        client.invalidateQueries({ queryKey: keyOf(place, "latent", latent) }),
      ]),
  });
}

export const useViews = (place: DictionaryPlace) =>
  useQuery({ queryKey: keyOf(place, "views"), queryFn: () => readViews(place), staleTime: FRESH_MS.notes });

export function useViewWriter(place: DictionaryPlace) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ view, remove }: { view: SavedView; remove: boolean }) =>
      remove ? removeView(place, view.name) : writeView(place, view),
    onSettled: () => client.invalidateQueries({ queryKey: keyOf(place, "views") }),
  });
}
