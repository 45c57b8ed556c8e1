// The latents that an address selects, in its order: the table shows them, and a latent's page steps through them.

import { useMemo } from "react";
import type { ColumnInfo, DictionaryEntry } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { type NotesOf, useColumns } from "../queries.ts";
import { NOTE_COLUMNS, noteValues } from "./column-names.ts";
import { type ColumnValues, selectLatents } from "./select-latents.ts";
import { neededColumns, parseTableState, type TableState } from "./table-state.ts";
import { type SearchProgress, useSearch } from "./use-search.ts";

export interface Selection {
  state: TableState;
  /** Latents in order; u32. While columns load, what is known so far would mislead: empty. */
  order: Uint32Array;
  columns: ReadonlyMap<string, ColumnValues>;
  search: SearchProgress;
  isLoading: boolean;
  error: Error | null;
}

/** extraColumns: shown ones, loaded beside those that the selection needs. */
export function useSelection(options: {
  place: DictionaryPlace;
  dictionary: DictionaryEntry;
  query: URLSearchParams;
  list: readonly ColumnInfo[];
  notes: NotesOf;
  extraColumns: readonly string[];
}): Selection {
  const { place, dictionary, query, list, notes, extraColumns } = options;
  const text = query.toString();
  const state = useMemo(() => parseTableState(new URLSearchParams(text)), [text]);
  const search = useSearch(place, state.search);
  const needed = useMemo(() => neededColumns(state), [state]);
  const loaded = useColumns(place, list, [...needed, ...extraColumns]);
  const ofNotes = useMemo(() => noteValues(notes, dictionary.nLatents), [notes, dictionary.nLatents]);
  const columns = useMemo(() => new Map([...loaded.columns, ...ofNotes]), [loaded.columns, ofNotes]);
  // A shown column that is still on its way does not keep the rows back.
  const isLoading = needed.some(
    (name) => !columns.has(name) && list.some((info) => info.name === name) && loaded.error === null,
  );
  const order = useMemo(() => {
    if (isLoading) return new Uint32Array();
    const tagged = new Set<number>();
    if (state.tag !== "") {
      for (const [latent, note] of notes.byLatent) if (note.tags.includes(state.tag)) tagged.add(latent);
    }
    return selectLatents({
      nLatents: dictionary.nLatents,
      state,
      columns,
      found: search.found,
      starred: notes.starred,
      tagged,
    });
  }, [isLoading, state, columns, search.found, notes, dictionary.nLatents]);
  return { state, order, columns, search, isLoading, error: loaded.error };
}

/** Columns of the server and of notes, each name once. */
export function allColumns(list: readonly ColumnInfo[]): ColumnInfo[] {
  return [...NOTE_COLUMNS, ...list.filter(({ table }) => table !== "notes")];
}
