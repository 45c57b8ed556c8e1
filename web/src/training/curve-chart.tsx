// One quantity over the training, a line a dictionary: chart with a crosshair that all charts share, its values, and a table twin.

import { type PointerEvent, type ReactNode, useCallback, useMemo, useRef, useState } from "react";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatCount, formatNumber, NO_VALUE } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { showInvisible } from "../visible-text.ts";
import { drawable, evenly, type Point, pointAt } from "./series.ts";

export interface Curve {
  key: string;
  title: string;
  /** Class of the swatch, and the custom property of its colour. */
  colour: string;
  dashes: string;
  raw: Point[];
  /** Equal to raw without smoothing. */
  shown: Point[];
  heldout: Point[];
}

export interface CurveChartProps {
  title: string;
  name: string;
  curves: readonly Curve[];
  xLabel: string;
  /** Of all charts. */
  domain: readonly [number, number];
  isLog: boolean;
  /** How it was smoothed. */
  note: string;
  /** Crosshair of all charts, in units of x; null: none. */
  at: number | null;
  onPoint: (x: number | null) => void;
}

const HEIGHT = 210;
const MARGIN = { left: 54, right: 10, top: 12, bottom: 34 } as const;
const TABLE_ROWS = 120;
const BUCKETS = 400;

export function CurveChart(props: CurveChartProps): ReactNode {
  const { title, name, curves, xLabel, domain, isLog, note, at, onPoint } = props;
  const [from, to] = domain;
  const box = useRef<HTMLDivElement>(null);
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      height: HEIGHT,
      ...{ marginLeft: MARGIN.left, marginRight: MARGIN.right },
      ...{ marginTop: MARGIN.top, marginBottom: MARGIN.bottom },
      x: { label: xLabel, domain: [from, to], ticks: 5, tickFormat: "~s" },
      y: {
        label: null,
        grid: true,
        ticks: 4,
        ...constantDomain(curves),
        ...(isLog && { type: "log" as const, tickFormat: "~g" }),
      },
      marks: curves.flatMap((curve) => linesOf(plot, curve, isLog)),
    }),
    [curves, xLabel, from, to, isLog],
  );
  const point = (event: PointerEvent): void => {
    const chart = box.current?.querySelector("svg.plot")?.getBoundingClientRect();
    if (chart === undefined) return;
    const share = (event.clientX - chart.left - MARGIN.left) / (chart.width - MARGIN.left - MARGIN.right);
    onPoint(share >= 0 && share <= 1 ? from + share * (to - from) : null);
  };
  const share = at === null || to === from ? null : (at - from) / (to - from);
  return (
    <section className="curve" aria-label={title}>
      <h3>{title}</h3>
      {/* The slider above all charts does the same with the keyboard. */}
      <div className="curve-box" ref={box} onPointerMove={point} onPointerLeave={() => onPoint(null)}>
        <PlotFigure label={`${title} over ${xLabel}`} draw={draw} name={`training-${name}`}>
          {note}
          {isLog && " Logarithmic axis; values that are not above 0 are left out."}
        </PlotFigure>
        {share !== null && share >= 0 && share <= 1 && (
          <svg className="crosshair" aria-hidden="true">
            {/* Per cent of the whole width, moved by what the margins take. */}
            <g transform={`translate(${MARGIN.left - share * (MARGIN.left + MARGIN.right)} 0)`}>
              <line
                x1={`${share * 100}%`}
                x2={`${share * 100}%`}
                y1={MARGIN.top}
                y2={HEIGHT - MARGIN.bottom}
              />
            </g>
          </svg>
        )}
      </div>
      <ul className="readout">
        {curves.map((curve) => (
          <li key={curve.key}>
            <Swatch colour={curve.colour} dashes={curve.dashes} /> <bdi>{showInvisible(curve.title)}</bdi>{" "}
            <b>{valueAt(curve, at)}</b>
          </li>
        ))}
      </ul>
      <Table {...props} />
    </section>
  );
}

function linesOf(plot: Plot, { raw, shown, heldout, colour, dashes }: Curve, isLog: boolean) {
  const stroke = `var(--${colour})`;
  const positive = (points: readonly Point[]): Point[] =>
    drawable(points, BUCKETS).map(({ x, y }) => ({ x, y: isLog && y <= 0 ? Number.NaN : y }));
  const line = { x: "x", y: "y", stroke, strokeLinejoin: "round" as const };
  return [
    ...(raw === shown ? [] : [plot.line(positive(raw), { ...line, strokeWidth: 1, strokeOpacity: 0.25 })]),
    plot.line(positive(shown), { ...line, strokeWidth: 1.6, strokeDasharray: dashes }),
    ...(heldout.length === 0
      ? []
      : [
          plot.dot(positive(heldout), {
            x: "x",
            y: "y",
            r: 3,
            stroke,
            fill: "var(--paper)",
            strokeWidth: 1.4,
          }),
        ]),
  ];
}

/** At the crosshair; without one the last. */
function valueAt({ shown }: Curve, at: number | null): string {
  // Past its end a run has no value.
  if (at !== null && at > (shown.at(-1)?.x ?? 0)) return NO_VALUE;
  const value = pointAt(shown, at ?? Number.POSITIVE_INFINITY)?.y ?? Number.NaN;
  return Math.abs(value) >= 1000 ? formatCount(value) : formatNumber(value);
}

/** Room around a value that never changes; Plot has none for it. */
function constantDomain(curves: readonly Curve[]): { domain?: [number, number] } {
  const values = new Set(curves.flatMap(({ raw, heldout }) => [...raw, ...heldout].map(({ y }) => y)));
  values.delete(Number.NaN);
  const [value] = values;
  if (values.size !== 1 || value === 0) return {};
  return { domain: value > 0 ? [value * 0.5, value * 1.5] : [value * 1.5, value * 0.5] };
}

export function Swatch({ colour, dashes }: { colour: string; dashes: string }): ReactNode {
  return (
    <svg className="swatch" viewBox="0 0 26 8" aria-hidden="true">
      <line
        x1="1"
        x2="25"
        y1="4"
        y2="4"
        stroke={`var(--${colour})`}
        strokeDasharray={dashes}
        strokeWidth="2.2"
      />
    </svg>
  );
}

function Table({ title, curves, xLabel }: CurveChartProps): ReactNode {
  const [isOpen, setOpen] = useState(false);
  const all = useMemo(
    () =>
      isOpen ? [...new Set(curves.flatMap(({ raw }) => raw.map(({ x }) => x)))].sort((a, b) => a - b) : [],
    [isOpen, curves],
  );
  const shown = evenly(all, TABLE_ROWS);
  const values = curves.map(({ raw }) => new Map(isOpen ? raw.map(({ x, y }) => [x, y]) : []));
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>As a table</summary>
      {isOpen && (
        <ScrollRegion className="scroll short" label={`${title} as a table`}>
          <table className="counts">
            <caption>
              {shown.length < all.length
                ? `${formatCount(shown.length)} of ${formatCount(all.length)} logged lines, evenly; as logged, not smoothed`
                : "As logged, not smoothed"}
            </caption>
            <thead>
              <tr>
                <th scope="col">{xLabel}</th>
                {curves.map(({ key, title: words }) => (
                  <th key={key} scope="col">
                    {showInvisible(words)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((x) => (
                <tr key={x}>
                  <th scope="row">{formatCount(x)}</th>
                  {curves.map(({ key }, i) => (
                    <td key={key}>{formatNumber(values[i].get(x) ?? Number.NaN)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </details>
  );
}
