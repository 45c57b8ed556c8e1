// What stands beside the table's filters: which columns are shown, saved views, files of the selection.

import { useMutation } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import type { ColumnInfo } from "../../../src/dashboard/api-contract.ts";
import { type DictionaryPlace, exportSelection, LIMITS } from "../api.ts";
import { saveFile } from "../charts/save-svg.ts";
import { Link } from "../parts/link.tsx";
import { Failure } from "../parts/states.tsx";
import { useViews, useViewWriter } from "../queries.ts";
import { showInvisible } from "../visible-text.ts";
import { columnTitle } from "./column-names.ts";
import { writeLatents } from "./latent-ranges.ts";
import type { TableState } from "./table-state.ts";

export function ColumnChooser(options: {
  list: readonly ColumnInfo[];
  shown: readonly string[];
  onShown: (names: string[] | null) => void;
}): ReactNode {
  const { list, shown, onShown } = options;
  const [part, setPart] = useState("");
  const matching = list.filter(({ name }) =>
    `${name} ${columnTitle(name)}`.toLowerCase().includes(part.toLowerCase()),
  );
  return (
    <details className="menu">
      <summary>Columns ({shown.length})</summary>
      <div className="menu-body">
        <input
          type="search"
          aria-label="Find a column"
          placeholder="find a column"
          value={part}
          onChange={(event) => setPart(event.target.value)}
        />
        <button type="button" onClick={() => onShown(null)}>
          The usual ones
        </button>
        <ul>
          {matching.map(({ name, table, description }) => (
            <li key={name}>
              <label title={description || undefined}>
                <input
                  type="checkbox"
                  checked={shown.includes(name)}
                  onChange={(event) =>
                    onShown(event.target.checked ? [...shown, name] : shown.filter((other) => other !== name))
                  }
                />{" "}
                {columnTitle(name)} <span className="note">{table}</span>
              </label>
            </li>
          ))}
        </ul>
        {matching.length === 0 && <p className="note">No column of this name.</p>}
      </div>
    </details>
  );
}

export function ViewsMenu({ place, query }: { place: DictionaryPlace; query: URLSearchParams }): ReactNode {
  const views = useViews(place);
  const writer = useViewWriter(place);
  const [name, setName] = useState("");
  const text = query.toString();
  const save = (event: FormEvent): void => {
    event.preventDefault();
    const trimmed = name.trim();
    if (trimmed === "") return;
    writer.mutate({ view: { name: trimmed, query: text }, remove: false });
    setName("");
  };
  return (
    <details className="menu">
      <summary>Views ({views.data?.length ?? 0})</summary>
      <div className="menu-body">
        <form onSubmit={save}>
          <input
            aria-label="Name of the view"
            placeholder="name this view"
            value={name}
            maxLength={LIMITS.viewName}
            onChange={(event) => setName(event.target.value)}
          />{" "}
          <button type="submit" disabled={text.length > LIMITS.viewQuery}>
            Save
          </button>
        </form>
        {views.isError && <Failure error={views.error} />}
        {writer.isError && <Failure error={writer.error} />}
        {views.data?.length === 0 && <p className="note">None saved yet.</p>}
        <ul>
          {views.data?.map((view) => (
            <li key={view.name}>
              <Link to={new URLSearchParams(view.query)}>
                <bdi>{showInvisible(view.name)}</bdi>
              </Link>{" "}
              {view.ofOtherDictionary && <span className="note">of another dictionary</span>}{" "}
              <button
                type="button"
                className="quiet"
                aria-label={`Remove the view ${showInvisible(view.name)}`}
                onClick={() => writer.mutate({ view, remove: true })}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      </div>
    </details>
  );
}

export function ExportMenu(options: {
  place: DictionaryPlace;
  order: Uint32Array;
  shown: readonly string[];
  nLatents: number;
  state: TableState;
}): ReactNode {
  const { place, order, shown, nLatents, state } = options;
  const file = useMutation({
    mutationFn: async (format: "csv" | "parquet") => {
      const content = await exportSelection(place, {
        format,
        columns: [...shown],
        latents: writeLatents(order, nLatents),
        ...(state.sort !== null && { sort: state.sort }),
      });
      saveFile(content, `latents.${format}`);
    },
  });
  return (
    <details className="menu">
      <summary>Save as</summary>
      <div className="menu-body">
        <p className="note">The latents and columns of the table as a file.</p>
        {(["csv", "parquet"] as const).map((format) => (
          <button
            key={format}
            type="button"
            disabled={file.isPending || order.length === 0}
            onClick={() => file.mutate(format)}
          >
            {format === "csv" ? "CSV" : "Parquet"}
          </button>
        ))}
        {file.isError && <Failure error={file.error} />}
      </div>
    </details>
  );
}
