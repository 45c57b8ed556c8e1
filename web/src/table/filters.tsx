// The filters of the table: text, words of a category, ranges of a number, star, tag, lasso. Each change goes into the address.

import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import type { ColumnInfo } from "../../../src/dashboard/api-contract.ts";
import { LIMITS } from "../api.ts";
import { formatNumber } from "../format.ts";
import { columnTitle } from "./column-names.ts";
import type { Range, TableState, TextSearch } from "./table-state.ts";

export interface FiltersProps {
  state: TableState;
  list: readonly ColumnInfo[];
  tags: readonly string[];
  onChange: (state: TableState) => void;
}

export function Filters({ state, list, tags, onChange }: FiltersProps): ReactNode {
  const filterable = list.filter(({ kind }) => kind !== "text");
  const add = (name: string): void => {
    const info = filterable.find((column) => column.name === name);
    if (info?.kind === "number")
      onChange({ ...state, ranges: [...state.ranges, { column: name, low: null, high: null }] });
    else if (info !== undefined)
      onChange({ ...state, categories: [...state.categories, { column: name, words: info.words ?? [] }] });
  };
  return (
    <div className="filters">
      <SearchForm search={state.search} onSearch={(search) => onChange({ ...state, search })} />
      {state.categories.map((filter, i) => (
        <Words
          key={filter.column}
          {...filter}
          all={list.find(({ name }) => name === filter.column)?.words ?? filter.words}
          onWords={(words) =>
            onChange({
              ...state,
              categories: state.categories.map((old, at) => (at === i ? { ...old, words } : old)),
            })
          }
          onRemove={() => onChange({ ...state, categories: state.categories.filter((_, at) => at !== i) })}
        />
      ))}
      {state.ranges.map((range, i) => (
        <RangeField
          // biome-ignore lint/suspicious/noArrayIndexKey: a column may have two ranges, and rows are only added at the end
          key={`${range.column} ${i}`}
          range={range}
          known={list.find(({ name }) => name === range.column)?.range ?? null}
          onRange={(next) =>
            onChange({ ...state, ranges: state.ranges.map((old, at) => (at === i ? next : old)) })
          }
          onRemove={() => onChange({ ...state, ranges: state.ranges.filter((_, at) => at !== i) })}
        />
      ))}
      {state.lasso !== null && (
        <p className="filter">
          inside the lasso over {columnTitle(state.lasso.x)} and {columnTitle(state.lasso.y)}{" "}
          <Remove what="lasso" onRemove={() => onChange({ ...state, lasso: null })} />
        </p>
      )}
      <div className="filter">
        <label>
          <input
            type="checkbox"
            checked={state.starred}
            onChange={(event) => onChange({ ...state, starred: event.target.checked })}
          />{" "}
          starred
        </label>
        <label>
          tag{" "}
          <select value={state.tag} onChange={(event) => onChange({ ...state, tag: event.target.value })}>
            <option value="">any</option>
            {[...new Set([...tags, ...(state.tag === "" ? [] : [state.tag])])].map((tag) => (
              <option key={tag}>{tag}</option>
            ))}
          </select>
        </label>
        <label>
          filter by{" "}
          <select value="" onChange={(event) => add(event.target.value)}>
            <option value="">column…</option>
            {filterable.map(({ name }) => (
              <option key={name} value={name}>
                {columnTitle(name)}
              </option>
            ))}
          </select>
        </label>
      </div>
    </div>
  );
}

function SearchForm({
  search,
  onSearch,
}: {
  search: TextSearch | null;
  onSearch: (search: TextSearch | null) => void;
}): ReactNode {
  const [text, setText] = useState(search?.text ?? "");
  const [mode, setMode] = useState<TextSearch["mode"]>(search?.mode ?? "text");
  const [where, setWhere] = useState<TextSearch["where"]>(search?.where ?? "examples");
  useEffect(() => setText(search?.text ?? ""), [search?.text]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    onSearch(text === "" ? null : { text, mode, where });
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: the search element is not known to every browser that this runs in
    <form role="search" className="filter" onSubmit={submit}>
      <input
        type="search"
        aria-label="Search text"
        placeholder="search text (press /)"
        value={text}
        maxLength={LIMITS.searchText}
        onChange={(event) => {
          setText(event.target.value);
          if (event.target.value === "" && search !== null) onSearch(null);
        }}
      />
      <select
        aria-label="Search in"
        value={where}
        onChange={(event) => setWhere(event.target.value as TextSearch["where"])}
      >
        <option value="examples">in examples</option>
        <option value="labels">in labels</option>
      </select>
      <select
        aria-label="Search as"
        value={mode}
        onChange={(event) => setMode(event.target.value as TextSearch["mode"])}
      >
        <option value="text">as text</option>
        <option value="regex">as regular expression</option>
      </select>
      <button type="submit">Search</button>
    </form>
  );
}

function Words(options: {
  column: string;
  words: readonly string[];
  all: readonly string[];
  onWords: (words: string[]) => void;
  onRemove: () => void;
}): ReactNode {
  const { column, words, all, onWords, onRemove } = options;
  return (
    <fieldset className="filter">
      <legend>{columnTitle(column)}</legend>
      {all.map((word) => (
        <label key={word}>
          <input
            type="checkbox"
            checked={words.includes(word)}
            onChange={(event) =>
              onWords(all.filter((other) => (other === word ? event.target.checked : words.includes(other))))
            }
          />{" "}
          {word === "" ? "(none)" : word}
        </label>
      ))}
      <Remove what={columnTitle(column)} onRemove={onRemove} />
    </fieldset>
  );
}

function RangeField(options: {
  range: Range;
  known: { low: number; high: number } | null;
  onRange: (range: Range) => void;
  onRemove: () => void;
}): ReactNode {
  const { range, known, onRange, onRemove } = options;
  const field = (end: "low" | "high", words: string): ReactNode => (
    <NumberField
      label={`${columnTitle(range.column)} ${words}`}
      value={range[end]}
      placeholder={known === null ? "" : formatNumber(known[end])}
      onValue={(value) => onRange({ ...range, [end]: value })}
    />
  );
  return (
    <p className="filter">
      {columnTitle(range.column)} from {field("low", "at least")} to {field("high", "at most")}{" "}
      <Remove what={columnTitle(range.column)} onRemove={onRemove} />
    </p>
  );
}

/** Keeps what is typed, and tells every value that is a number or nothing. */
function NumberField(options: {
  label: string;
  value: number | null;
  placeholder: string;
  onValue: (value: number | null) => void;
}): ReactNode {
  const { label, value, placeholder, onValue } = options;
  const [text, setText] = useState(value === null ? "" : String(value));
  useEffect(
    () => setText((now) => (parse(now) === value ? now : value === null ? "" : String(value))),
    [value],
  );
  return (
    <input
      type="text"
      inputMode="decimal"
      className="number"
      aria-label={label}
      aria-invalid={parse(text) === undefined}
      placeholder={placeholder}
      value={text}
      onChange={(event) => {
        setText(event.target.value);
        const next = parse(event.target.value);
        if (next !== undefined) onValue(next);
      }}
    />
  );
}

/** Null for nothing, undefined for what is no number. */
function parse(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  const value = Number(text.replace("\u2212", "-"));
  return Number.isNaN(value) ? undefined : value;
}

function Remove({ what, onRemove }: { what: string; onRemove: () => void }): ReactNode {
  return (
    <button type="button" className="quiet" aria-label={`Remove the filter ${what}`} onClick={onRemove}>
      ×
    </button>
  );
}
