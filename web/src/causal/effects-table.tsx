// Single latents as a table: only the rows in sight are in the page, headings sort, a row pressed shows what its latent moves.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";
import type { CausalEffectRow, Note } from "../../../src/dashboard/api-contract.ts";
import { queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { showInvisible } from "../visible-text.ts";
import type { CausalState } from "./causal-state.ts";
import { EFFECT_COLUMNS } from "./effect-rows.ts";

const ROW_PX = 32;
const OVERSCAN = 10;

export function EffectsTable(options: {
  /** In order. */
  rows: readonly CausalEffectRow[];
  draws: number;
  query: URLSearchParams;
  sort: CausalState["sort"];
  latent: number | null;
  notes: ReadonlyMap<number, Note>;
  onSort: (column: string) => void;
  onPick: (latent: number) => void;
}): ReactNode {
  const { rows, draws, query, sort, latent, notes, onSort, onPick } = options;
  const hasConcepts = rows.some(({ concept }) => concept !== "");
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollPaddingStart: ROW_PX * 2,
  });
  const latest = useRef(rows);
  latest.current = rows;
  // Follows what is chosen, and not the order: a table that is sorted anew shows its first rows.
  useEffect(() => {
    const at = latest.current.findIndex((row) => row.latent === latent);
    if (at >= 0) virtual.scrollToIndex(at, { align: "auto" });
  }, [latent, virtual]);
  const sortBy = (column: string): void => {
    onSort(column);
    scroller.current?.scrollTo({ top: 0 });
  };
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = items.length === 0 ? 0 : virtual.getTotalSize() - items[items.length - 1].end;
  const nCells = EFFECT_COLUMNS.length + 2 + (hasConcepts ? 1 : 0);
  return (
    <ScrollRegion className="virtual" ref={scroller} label="Single latents">
      <table aria-rowcount={rows.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <Heading
              name="latent"
              title="latent"
              description="Number of the latent."
              sort={sort}
              onSort={sortBy}
            />
            <th scope="col" className="plain">
              moves
            </th>
            {EFFECT_COLUMNS.map(({ name, title, description }) => (
              <Heading
                key={name}
                name={name}
                title={title}
                description={description}
                sort={sort}
                onSort={sortBy}
              />
            ))}
            {hasConcepts && (
              <th scope="col" className="words plain">
                planted behaviour
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Spacer height={before} nCells={nCells} />}
          {items.map(({ index }) => {
            const row = rows[index];
            const label = notes.get(row.latent)?.label ?? "";
            const isChosen = row.latent === latent;
            return (
              <tr
                key={`${row.role} ${row.latent}`}
                aria-rowindex={index + 2}
                aria-current={isChosen ? "true" : undefined}
                onClick={(event) => {
                  if (!(event.target as Element).closest("a, button")) onPick(row.latent);
                }}
              >
                <th scope="row">
                  <Link to={queryOf(query, "latent", { latent: String(row.latent) })}>{row.latent}</Link>
                  {label !== "" && <bdi className="row-label">{showInvisible(label)}</bdi>}
                </th>
                <td>
                  <button
                    type="button"
                    className="quiet"
                    aria-pressed={isChosen}
                    aria-label={`show what latent ${row.latent} moves`}
                    onClick={() => onPick(row.latent)}
                  >
                    show
                  </button>
                </td>
                {EFFECT_COLUMNS.map(({ name, show }) => (
                  <td key={name}>{show(row, draws)}</td>
                ))}
                {hasConcepts && (
                  <td className="words">
                    <bdi>{showInvisible(row.concept)}</bdi>
                  </td>
                )}
              </tr>
            );
          })}
          {after > 0 && <Spacer height={after} nCells={nCells} />}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Heading(options: {
  name: string;
  title: string;
  description: string;
  sort: CausalState["sort"];
  onSort: (column: string) => void;
}): ReactNode {
  const { name, title, description, sort, onSort } = options;
  const isSorted = sort.column === name;
  return (
    <th scope="col" aria-sort={isSorted ? (sort.descending ? "descending" : "ascending") : undefined}>
      <button type="button" className="sort" title={description} onClick={() => onSort(name)}>
        {title}
        <span aria-hidden="true">{isSorted ? (sort.descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function Spacer({ height, nCells }: { height: number; nCells: number }): ReactNode {
  return (
    <tr className="spacer" style={{ height }}>
      <td colSpan={nCells} />
    </tr>
  );
}
