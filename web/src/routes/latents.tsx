// The table of all latents: filtered, sorted and stepped through, its exact state in the address.

import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { formatAmount, formatCount } from "../format.ts";
import { conflictingNote, NoteConflict } from "../latent/note-conflict.tsx";
import { currentQuery, goTo } from "../location.ts";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { EMPTY_NOTE, useColumnList, useNotes, useNoteWriter } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { USUAL_COLUMNS } from "../table/column-names.ts";
import { Filters } from "../table/filters.tsx";
import { LatentsTable } from "../table/latents-table.tsx";
import { NoteBar, type NoteField } from "../table/note-bar.tsx";
import { ColumnChooser, ExportMenu, ViewsMenu } from "../table/table-menus.tsx";
import { EMPTY_TABLE, parseTableState, type TableState, withTableState } from "../table/table-state.ts";
import { TRIAGE_KEYS, useTriageKeys } from "../table/triage.ts";
import type { SearchProgress } from "../table/use-search.ts";
import { allColumns, useSelection } from "../table/use-selection.ts";

/** A cursor that rests this long is written into the address, ms; browsers slow down pages that write more often. */
const CURSOR_REST_MS = 200;

export function LatentsScreen({ place, dictionary, query }: ScreenProps): ReactNode {
  const columnList = useColumnList(place);
  const notes = useNotes(place);
  const writer = useNoteWriter(place);
  const list = useMemo(() => allColumns(columnList.data ?? []), [columnList.data]);
  const wanted = parseTableState(query).columns ?? USUAL_COLUMNS;
  const shown = wanted.flatMap((name) => list.find((info) => info.name === name) ?? []);
  const shownNames = shown.map(({ name }) => name);
  const selection = useSelection({ place, dictionary, query, list, notes, extraColumns: shownNames });
  const { state, order, search } = selection;

  const [current, setCurrent] = useState(() => Number(query.get("at") ?? -1));
  const [editing, setEditing] = useState<NoteField | null>(null);
  const cursor = useMemo(() => order.indexOf(current), [order, current]);
  const latent = cursor >= 0 ? current : null;
  const region = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (current < 0) return;
    const rest = setTimeout(() => {
      const now = currentQuery();
      if (now.get("screen") !== "latents" || now.get("at") === String(current)) return;
      now.set("at", String(current));
      goTo(now, { replace: true });
    }, CURSOR_REST_MS);
    return () => clearTimeout(rest);
  }, [current]);

  const change = (next: TableState): void => goTo(withTableState(query, next), { replace: true });
  const sortBy = (column: string): void => {
    const isSame = state.sort?.column === column;
    // Numbers are asked for greatest first; the third press gives the order of the latents back.
    if (!isSame) change({ ...state, sort: { column, descending: true } });
    else change({ ...state, sort: state.sort?.descending ? { column, descending: false } : null });
  };
  const toLatent = (of: number): URLSearchParams => {
    const next = new URLSearchParams(query);
    next.set("screen", "latent");
    next.set("latent", String(of));
    next.set("at", String(of));
    return next;
  };
  const move = (step: number): void => {
    if (order.length === 0) return;
    const at = cursor < 0 ? (step > 0 ? 0 : order.length - 1) : cursor + step;
    setCurrent(order[Math.min(order.length - 1, Math.max(0, at))]);
  };
  useTriageKeys({
    j: () => move(1),
    k: () => move(-1),
    ...(latent !== null && {
      Enter: () => goTo(toLatent(latent)),
      s: () => writer.mutate({ latent, change: { starred: !notes.starred.has(latent) } }),
      l: () => setEditing("label"),
      t: () => setEditing("tags"),
    }),
    "/": () => region.current?.querySelector<HTMLInputElement>("input[type=search]")?.focus(),
  });

  const conflict = conflictingNote(writer.error);
  if (columnList.isPending) return <Loading what="the columns" />;
  if (columnList.isError) return <Failure error={columnList.error} retry={() => columnList.refetch()} />;
  return (
    <div className="latents" ref={region}>
      <h1>Latents</h1>
      <Filters state={state} list={list} tags={notes.tags} onChange={change} />
      <div className="bar">
        <p role="status">
          {selection.isLoading
            ? "loading…"
            : `${formatCount(order.length)} of ${formatAmount(dictionary.nLatents, "latent")}`}
          <SearchWords search={search} />
          {latent !== null && <span className="hidden">, at latent {latent}</span>}
        </p>
        <button type="button" onClick={() => change({ ...EMPTY_TABLE, columns: state.columns })}>
          Clear
        </button>
        <ColumnChooser list={list} shown={shownNames} onShown={(columns) => change({ ...state, columns })} />
        <ViewsMenu place={place} query={query} />
        <ExportMenu
          place={place}
          order={order}
          shown={shownNames}
          nLatents={dictionary.nLatents}
          state={state}
        />
      </div>
      {notes.nElsewhere > 0 && notes.byLatent.size === 0 && (
        <p className="note">
          {formatAmount(notes.nElsewhere, "note")} of this study belong to a dictionary trained before; they
          are kept.
        </p>
      )}
      {selection.error !== null && <Failure error={selection.error} />}
      {notes.error !== null && <Failure error={notes.error} />}
      {writer.isError && conflict === null && <Failure error={writer.error} />}
      {conflict !== null && writer.variables !== undefined && (
        <NoteConflict
          latent={writer.variables.latent}
          theirs={conflict}
          mine={writer.variables.change}
          onMine={() =>
            writer.mutate({
              latent: writer.variables.latent,
              change: { ...writer.variables.change, seen: conflict.updated },
            })
          }
          onTheirs={writer.reset}
        />
      )}
      {search.error !== null && <Failure error={search.error} />}
      {editing !== null && latent !== null && (
        <NoteBar
          key={`${editing} ${latent}`}
          latent={latent}
          field={editing}
          note={notes.byLatent.get(latent) ?? EMPTY_NOTE}
          tags={notes.tags}
          onDone={(noteChange) => {
            setEditing(null);
            region.current?.querySelector<HTMLElement>(".virtual")?.focus();
            if (noteChange !== null) writer.mutate({ latent, change: noteChange });
          }}
        />
      )}
      {!dictionary.measured && <Empty>Not measured yet: `tunediff measure` makes the columns.</Empty>}
      {order.length === 0 && !selection.isLoading && search.isDone ? (
        <Empty>No latent passes these filters.</Empty>
      ) : (
        <LatentsTable
          order={order}
          shown={shown}
          columns={selection.columns}
          state={state}
          starred={notes.starred}
          hits={state.search === null ? null : search.firstHits}
          cursor={cursor}
          onSort={sortBy}
          onCursor={(index) => setCurrent(order[index])}
          toLatent={toLatent}
        />
      )}
      <p className="keys note">
        {TRIAGE_KEYS.map(([key, words]) => (
          <span key={key}>
            <kbd>{key}</kbd> {words}
          </span>
        ))}
      </p>
    </div>
  );
}

function SearchWords({ search }: { search: SearchProgress }): ReactNode {
  if (search.found === null || search.error !== null) return null;
  if (!search.isDone && search.candidates === 0) return ", searching…";
  const looked = `${formatCount(search.looked)} of ${formatCount(search.candidates)} texts looked at`;
  if (!search.isDone) return `, searching: ${looked}`;
  return search.isTruncated ? `, the search stopped at its bound: ${looked}` : ", search done";
}
