// Pairs of latents: what a dictionary's latent is in the other, and what became of its claim. Only rows in sight are in the page.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";
import type { MatchingRows } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { formatCount, formatFixed, NO_VALUE } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { SidedWords } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import type { CompareState, SortColumn } from "./compare-state.ts";
import { queryOfPlace } from "./places.ts";

const ROW_PX = 32;
const OVERSCAN = 10;

export interface PairColumn {
  name: string;
  title: string;
  description: string;
  sort: SortColumn | null;
  isWords: boolean;
  cell: (row: number) => ReactNode;
  /** In the CSV file. */
  value: (row: number) => string | number | null;
}

export interface PairTexts {
  atPeak: (latent: number) => string;
  promoted: (latent: number, claim: string) => string;
}

export function pairColumns(options: {
  rows: MatchingRows;
  isDirection: boolean;
  places: Record<"a" | "b", DictionaryPlace>;
  texts: Record<"a" | "b", PairTexts>;
}): PairColumn[] {
  const { rows, isDirection, places, texts } = options;
  const latent = (of: "a" | "b"): PairColumn => ({
    ...{ name: `latent_${of}`, title: of.toUpperCase(), sort: of, isWords: false },
    description: of === "a" ? "Latent of A." : "Latent of B: the match, or the nearest where there is none.",
    cell: (row) =>
      rows[of][row] < 0 ? (
        NO_VALUE
      ) : (
        <Link
          to={queryOfPlace(places[of], "latent", { latent: String(rows[of][row]) })}
          aria-label={`latent ${rows[of][row]} of ${of.toUpperCase()}`}
        >
          {rows[of][row]}
        </Link>
      ),
    value: (row) => (rows[of][row] < 0 ? null : rows[of][row]),
  });
  const number = (
    name: Extract<SortColumn, keyof MatchingRows>,
    title: string,
    description: string,
  ): PairColumn => ({
    ...{ name, title, description, sort: name, isWords: false },
    cell: (row) => {
      const value = rows[name][row] as number | null;
      if (value === null) return NO_VALUE;
      return name === "shared" ? formatCount(value) : formatFixed(value, 3);
    },
    value: (row) => rows[name][row],
  });
  const claim = (of: "a" | "b"): PairColumn => {
    const claims = of === "a" ? rows.claimA : rows.claimB;
    return {
      ...{ name: `claim_${of}`, title: `claim in ${of.toUpperCase()}`, sort: null, isWords: true },
      description: "What the dictionary's own measurement claims of it.",
      cell: (row) => (claims[row] === "" ? NO_VALUE : <SidedWords words={claims[row]} />),
      value: (row) => claims[row],
    };
  };
  const words = (of: "a" | "b", kind: keyof PairTexts, title: string, description: string): PairColumn => {
    const text = (row: number): string => {
      const own = rows[of][row];
      const claimed =
        rows.claimA[row] === "none" || rows.claimA[row] === "" ? rows.claimB[row] : rows.claimA[row];
      return own < 0 ? "" : texts[of][kind](own, claimed);
    };
    return {
      ...{ name: `${kind}_${of}`, title, description, sort: null, isWords: true },
      cell: (row) => <bdi>{showInvisible(text(row))}</bdi>,
      value: text,
    };
  };
  return [
    latent("a"),
    latent("b"),
    {
      ...{ name: "change", title: "change", sort: "change", isWords: true },
      description: "What becomes of the claim from A to B.",
      cell: (row) => (
        <span className={`change ${rows.change[row].replace(" ", "-")}`}>{rows.change[row]}</span>
      ),
      value: (row) => rows.change[row],
    },
    {
      ...{ name: "found", title: "match", sort: null, isWords: true },
      description: "Each is the other's nearest, and they are near enough.",
      cell: (row) => (rows.found[row] === 1 ? "yes" : "no"),
      value: (row) => rows.found[row],
    },
    number(
      "score",
      isDirection ? "cosine" : "Jaccard",
      isDirection
        ? "Along the decoder rows of the latent's own side."
        : "Peaks in common, of all peaks of either.",
    ),
    claim("a"),
    claim("b"),
    ...(isDirection
      ? [
          number("cosineBase", "cosine, base", "Of the base decoder rows."),
          number("cosineFinetuned", "cosine, finetuned", "Of the finetuned decoder rows."),
          number(
            "cosineJoint",
            "cosine, joint",
            "Of both rows side by side, each in its dictionary's own units.",
          ),
        ]
      : [number("shared", "peaks in common", "Tokens at which examples of both peak.")]),
    words("a", "atPeak", "at peak, A", "Tokens at the peaks of its examples."),
    words("b", "atPeak", "at peak, B", "Tokens at the peaks of its examples."),
    words(
      "a",
      "promoted",
      "promoted, A",
      "Tokens that its direction promotes in the model of the claim's side.",
    ),
    words(
      "b",
      "promoted",
      "promoted, B",
      "Tokens that its direction promotes in the model of the claim's side.",
    ),
  ];
}

export function MatchesTable({
  order,
  columns,
  sort,
  onSort,
}: {
  order: readonly number[];
  columns: readonly PairColumn[];
  sort: CompareState["sort"];
  onSort: (column: SortColumn) => void;
}): ReactNode {
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollPaddingStart: ROW_PX * 2,
  });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = items.length === 0 ? 0 : virtual.getTotalSize() - items[items.length - 1].end;
  return (
    <ScrollRegion className="virtual matches" ref={scroller} label="Pairs of latents">
      <table aria-rowcount={order.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Heading key={column.name} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Spacer height={before} nCells={columns.length} />}
          {items.map(({ index }) => (
            <tr key={order[index]} aria-rowindex={index + 2}>
              {columns.map(({ name, isWords, cell }, i) =>
                i === 0 ? (
                  <th key={name} scope="row">
                    {cell(order[index])}
                  </th>
                ) : (
                  <td key={name} className={isWords ? "words" : undefined}>
                    {cell(order[index])}
                  </td>
                ),
              )}
            </tr>
          ))}
          {after > 0 && <Spacer height={after} nCells={columns.length} />}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Heading({
  column,
  sort,
  onSort,
}: {
  column: PairColumn;
  sort: CompareState["sort"];
  onSort: (column: SortColumn) => void;
}): ReactNode {
  const own = column.sort;
  const className = column.isWords ? "words" : undefined;
  if (own === null)
    return (
      <th scope="col" className={className} title={column.description}>
        <span className="unsorted">{column.title}</span>
      </th>
    );
  const isSorted = sort?.column === own;
  return (
    <th
      scope="col"
      className={className}
      aria-sort={isSorted ? (sort.descending ? "descending" : "ascending") : undefined}
    >
      <button type="button" className="sort" title={column.description} onClick={() => onSort(own)}>
        {column.title}
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
