// The documents of the store, a page at a time, of a dataset and split; the address says which page and which document is open.

import { type ReactNode, useEffect } from "react";
import type { DocumentPage, StoreFacts } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { formatCount } from "../format.ts";
import { goTo } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty, Failure, Loading, PartOf } from "../parts/states.tsx";
import { useDocuments } from "../queries.ts";
import { showInvisible } from "../visible-text.ts";

const PAGE = 25;
const OPENING = 110;

export function Documents(options: {
  place: DictionaryPlace;
  query: URLSearchParams;
  store: StoreFacts;
}): ReactNode {
  const { place, query, store } = options;
  const [dataset, split] = [query.get("dataset") ?? "", query.get("split") ?? ""];
  const asked = Number(query.get("from") ?? 0);
  const from = Number.isInteger(asked) && asked > 0 ? asked : 0;
  const splits = store.splits.map(({ name }) => name);
  const documents = useDocuments(place, {
    ...{ from, count: PAGE, dataset },
    split: splits.includes(split) ? split : "",
  });
  useScrollTo("documents", query.get("from"));
  const choose = (name: string, value: string): void =>
    goTo(changed(query, { [name]: value, from: "" }), { replace: true });
  return (
    <>
      <div className="filters">
        <Choice
          label="Dataset"
          value={dataset}
          names={store.datasets.map(({ name }) => name)}
          onPick={(name) => choose("dataset", name)}
        />
        <Choice label="Split" value={split} names={splits} onPick={(name) => choose("split", name)} />
      </div>
      {documents.isPending && <Loading what="the documents" />}
      {documents.isError && <Failure error={documents.error} retry={() => documents.refetch()} />}
      {documents.isSuccess && (
        <PartOf part={documents.data}>{(page) => <List page={page} from={from} query={query} />}</PartOf>
      )}
    </>
  );
}

function List({
  page,
  from,
  query,
}: {
  page: DocumentPage;
  from: number;
  query: URLSearchParams;
}): ReactNode {
  if (page.documents.length === 0) return <Empty>No documents here.</Empty>;
  const open = query.get("document");
  const last = from + page.documents.length;
  return (
    <>
      <ScrollRegion className="scroll" label="Table of documents">
        <table className="counts documents">
          <caption>
            {formatCount(from + 1)} to {formatCount(last)} of {formatCount(page.total)}
          </caption>
          <thead>
            <tr>
              <th scope="col">document</th>
              <th scope="col" className="words">
                dataset
              </th>
              <th scope="col" className="words">
                split
              </th>
              <th scope="col">rows</th>
              <th scope="col">messages</th>
              <th scope="col" className="words">
                begins
              </th>
            </tr>
          </thead>
          <tbody>
            {page.documents.map(({ number, id, dataset, split, nRows, nTurns, opening }) => (
              <tr key={number} aria-current={String(number) === open ? "true" : undefined}>
                <th scope="row">
                  <Link to={changed(query, { document: String(number), at: "" })}>
                    {number} <bdi>{showInvisible(id)}</bdi>
                  </Link>
                </th>
                <td className="words">
                  <bdi>{showInvisible(dataset)}</bdi>
                </td>
                <td className="words">{split}</td>
                <td>{formatCount(nRows)}</td>
                <td>{nTurns === 0 ? "–" : formatCount(nTurns)}</td>
                <td className="words opening">
                  <bdi>{showInvisible(opening.slice(0, OPENING))}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      <nav className="bar" aria-label="Pages of documents">
        {from > 0 && <Link to={changed(query, { from: String(Math.max(0, from - PAGE)) })}>← earlier</Link>}
        {last < page.total && <Link to={changed(query, { from: String(last) })}>later →</Link>}
      </nav>
    </>
  );
}

function Choice(options: {
  label: string;
  value: string;
  names: readonly string[];
  onPick: (name: string) => void;
}): ReactNode {
  const { label, value, names, onPick } = options;
  return (
    <label>
      {label}{" "}
      <select value={names.includes(value) ? value : ""} onChange={(event) => onPick(event.target.value)}>
        <option value="">all</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {showInvisible(name)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Brings a heading into view when its part of the address changes: a link leads to the top of the page otherwise. */
export function useScrollTo(id: string, value: string | null): void {
  useEffect(() => {
    if (value !== null) document.getElementById(id)?.scrollIntoView();
  }, [id, value]);
}

/** "" takes a parameter away. */
export function changed(query: URLSearchParams, changes: Record<string, string>): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") next.delete(name);
    else next.set(name, value);
  }
  return next;
}
