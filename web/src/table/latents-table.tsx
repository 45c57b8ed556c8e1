// The rows: only those in sight are in the page, of however many there are. Headings sort; j and k move, Enter opens.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";
import type { ColumnInfo, SearchHit } from "../../../src/dashboard/api-contract.ts";
import { formatNumber } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { SidedWords } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { columnTitle } from "./column-names.ts";
import type { ColumnValues } from "./select-latents.ts";
import type { TableState } from "./table-state.ts";

const ROW_PX = 32;
const OVERSCAN = 10;
/** Characters shown before a match, so that the match itself is in sight. */
const BEFORE_MATCH = 24;

export interface LatentsTableProps {
  order: Uint32Array;
  shown: readonly ColumnInfo[];
  columns: ReadonlyMap<string, ColumnValues>;
  state: TableState;
  starred: ReadonlySet<number>;
  /** Of a search, shown beside each latent. */
  hits: ReadonlyMap<number, SearchHit> | null;
  /** Index into the order; −1: none. */
  cursor: number;
  onSort: (column: string) => void;
  onCursor: (index: number) => void;
  toLatent: (latent: number) => URLSearchParams;
}

export function LatentsTable(props: LatentsTableProps): ReactNode {
  const { order, shown, columns, starred, hits, cursor } = props;
  const scroller = useRef<HTMLElement>(null);
  const rows = useVirtualizer({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollPaddingStart: ROW_PX * 2,
  });
  useEffect(() => {
    if (cursor >= 0) rows.scrollToIndex(cursor, { align: "auto" });
  }, [cursor, rows]);

  const items = rows.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = items.length === 0 ? 0 : rows.getTotalSize() - items[items.length - 1].end;
  const nCells = shown.length + 1 + (hits === null ? 0 : 1);
  return (
    <ScrollRegion className="virtual" ref={scroller} label="Latents">
      <table aria-rowcount={order.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <Heading name="latent" description="Number of the latent; ★ is a star of somebody." {...props} />
            {hits !== null && (
              <th scope="col" className="words">
                first match
              </th>
            )}
            {shown.map(({ name, description, kind }) => (
              <Heading
                key={name}
                name={name}
                description={description}
                isWords={kind !== "number"}
                {...props}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Spacer height={before} nCells={nCells} />}
          {items.map(({ index }) => {
            const latent = order[index];
            return (
              <tr
                key={latent}
                aria-rowindex={index + 2}
                aria-current={index === cursor ? "true" : undefined}
                onMouseDown={() => props.onCursor(index)}
              >
                <th scope="row">
                  <Link to={props.toLatent(latent)}>{latent}</Link>
                  {starred.has(latent) && (
                    <span className="star" role="img" aria-label="starred">
                      ★
                    </span>
                  )}
                </th>
                {hits !== null && (
                  <td className="words">
                    <Match hit={hits.get(latent)} />
                  </td>
                )}
                {shown.map(({ name, kind }) => (
                  <td key={name} className={kind === "number" ? undefined : "words"}>
                    <Cell column={columns.get(name)} latent={latent} />
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <Spacer height={after} nCells={nCells} />}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Heading({
  name,
  description,
  isWords = false,
  state,
  onSort,
}: Pick<LatentsTableProps, "state" | "onSort"> & {
  name: string;
  description: string;
  isWords?: boolean;
}): ReactNode {
  const isSorted = state.sort?.column === name;
  const direction = state.sort?.descending ? "descending" : "ascending";
  return (
    <th scope="col" aria-sort={isSorted ? direction : undefined} className={isWords ? "words" : undefined}>
      <button type="button" className="sort" title={description || undefined} onClick={() => onSort(name)}>
        {columnTitle(name)}
        <span aria-hidden="true">{isSorted ? (state.sort?.descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function Cell({ column, latent }: { column: ColumnValues | undefined; latent: number }): ReactNode {
  if (column === undefined) return "…";
  if (column.kind === "number") return formatNumber(column.values[latent]);
  if (column.kind === "category") return <SidedWords words={column.words[column.codes[latent]] ?? ""} />;
  return <bdi>{showInvisible(column.texts[latent] ?? "")}</bdi>;
}

function Match({ hit }: { hit: SearchHit | undefined }): ReactNode {
  if (hit === undefined) return null;
  return (
    <bdi>
      {hit.start > BEFORE_MATCH && "…"}
      {showInvisible(hit.text.slice(Math.max(0, hit.start - BEFORE_MATCH), hit.start))}
      <mark>{showInvisible(hit.text.slice(hit.start, hit.end))}</mark>
      {showInvisible(hit.text.slice(hit.end))}
    </bdi>
  );
}

function Spacer({ height, nCells }: { height: number; nCells: number }): ReactNode {
  return (
    <tr className="spacer" style={{ height }}>
      <td colSpan={nCells} />
    </tr>
  );
}
