// Bars one below another, each with its words above it: a wide bar with limits, and if there is one a thin bar below for what it is held against.
//
// Words stand above the bars and not beside them, so that long names fit a narrow screen. A table twin comes with every chart.

import "../parts/page-parts.css";
import { type ReactNode, useCallback } from "react";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { type Plot, PlotFigure } from "./plot-figure.tsx";

export interface BandSpan {
  /** null: not drawn. */
  value: number | null;
  low: number | null;
  high: number | null;
}

export interface Band {
  /** Differs from all others. */
  key: string;
  label: string;
  /** At the right end of the line above the bar. */
  words: string;
  main: BandSpan;
  /** null: none. */
  thin: BandSpan | null;
  fill: "base" | "finetuned" | "neutral";
  /** Drawn lighter. */
  isPale?: boolean;
}

export interface BandTable {
  /** Of the first column and the others. */
  columns: readonly string[];
  /** A row a band or more; cells in the order of the columns. */
  rows: readonly { key: string; cells: readonly ReactNode[] }[];
}

const BAND = {
  /** Px of a band: words, wide bar, thin bar. */
  height: 46,
  bar: { insetTop: 17, insetBottom: 14, dy: 1.5 },
  thin: { insetTop: 34, insetBottom: 6, dy: 14 },
  words: -15,
} as const;

export function BandBars(options: {
  bands: readonly Band[];
  label: string;
  name: string;
  axis: string;
  /** Of the axis. */
  format: (value: number) => string;
  /** A broken line; null: none. */
  reference: number | null;
  /** Greatest value of the axis; absent: what the bars need. */
  most?: number;
  caption: ReactNode;
  table: BandTable;
}): ReactNode {
  const { bands, label, name, axis, format, reference, most, caption, table } = options;
  const draw = useCallback(
    (plot: Plot, width: number) => {
      const thin = bands.flatMap((band) => (band.thin === null ? [] : [{ ...band, main: band.thin }]));
      const ends = [...bands, ...thin].flatMap(({ main }) => [main.value, main.low, main.high]);
      const known = [0, reference, most ?? null, ...ends].filter((end): end is number => end !== null);
      const fill = (band: Band): string => `var(--${band.fill})`;
      const whiskers = (list: readonly Band[], dy: number) =>
        plot.ruleY(
          list.filter(({ main: { low, high } }) => low !== null && high !== null),
          {
            ...{ x1: (band: Band) => band.main.low, x2: (band: Band) => band.main.high, y: "key" },
            ...{ dy, stroke: "var(--ink)", strokeWidth: 1.3 },
          },
        );
      const drawn = (list: readonly Band[]) => list.filter(({ main }) => main.value !== null);
      return {
        ...{ height: 34 + BAND.height * bands.length, marginLeft: 4, marginRight: 12, marginTop: 4 },
        x: {
          ...{ label: axis, grid: true, ticks: Math.max(3, Math.floor(width / 90)), tickFormat: format },
          domain: [Math.min(...known), Math.max(...known)],
          nice: true,
        },
        y: { axis: null, domain: bands.map(({ key }) => key), padding: 0 },
        marks: [
          plot.barX(drawn(bands), {
            ...{ x1: 0, x2: (band: Band) => band.main.value, y: "key", fill },
            ...{ insetTop: BAND.bar.insetTop, insetBottom: BAND.bar.insetBottom },
            fillOpacity: (band: Band) => (band.isPale ? 0.55 : 1),
          }),
          plot.barX(drawn(thin), {
            ...{ x1: 0, x2: (band: Band) => band.main.value, y: "key", fill: "var(--neutral)" },
            ...{ insetTop: BAND.thin.insetTop, insetBottom: BAND.thin.insetBottom },
          }),
          whiskers(bands, BAND.bar.dy),
          whiskers(thin, BAND.thin.dy),
          ...(reference === null
            ? []
            : [
                plot.ruleX([reference], { stroke: "var(--ink)", strokeDasharray: "4 4", strokeOpacity: 0.6 }),
              ]),
          plot.ruleX([0], { stroke: "var(--ink)" }),
          plot.text(bands, {
            ...{ y: "key", text: "label", frameAnchor: "left" as const, textAnchor: "start" as const },
            ...{ dy: BAND.words, dx: 3, fill: "var(--ink)", stroke: "var(--paper)", strokeWidth: 3 },
          }),
          plot.text(bands, {
            ...{ y: "key", text: "words", frameAnchor: "right" as const, textAnchor: "end" as const },
            ...{ dy: BAND.words, fill: "var(--muted)", stroke: "var(--paper)", strokeWidth: 3 },
          }),
        ],
      };
    },
    [bands, axis, format, reference, most],
  );
  return (
    <div className="band-bars">
      <PlotFigure label={label} draw={draw} name={name}>
        {caption}
      </PlotFigure>
      <details>
        <summary>As a table</summary>
        <ScrollRegion className="scroll" label={`Table: ${label}`}>
          <table className="counts">
            <thead>
              <tr>
                {table.columns.map((column) => (
                  <th key={column} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {table.rows.map(({ key, cells: [first, ...rest] }) => (
                <tr key={key}>
                  <th scope="row">{first}</th>
                  {rest.map((cell, i) => (
                    <td key={table.columns[i + 1]}>{cell}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      </details>
    </div>
  );
}
