// Columns over whole-numbered places, e.g. a mean at every first position of a text.
//
// One quantity from zero upwards; places whose value is not finite are left empty. Not for differences or intervals: bars.ts.

import { html } from "../html.ts";
import { type Chart, type Frame, linearScale, round, svgRoot, text, ticks, xAxis, yAxis } from "./chart.ts";
import { colour } from "./palette.ts";

export interface ColumnsOptions {
  id: string;
  title: string;
  /** Of place `first`, `first + 1`, …; none below 0. */
  values: readonly number[];
  first?: number;
  /** Axes with their units in brackets. */
  labels: { x: string; y: string };
  format: (value: number) => string;
}

const WIDTH = 460;
const HEIGHT = 210;
const FRAME: Frame = { left: 56, right: 448, top: 10, bottom: 160 };
/** Share of a place that its column leaves free. */
const GAP = 0.2;

export function columns({ id, title, values, first = 0, labels, format }: ColumnsOptions): Chart {
  const finite = values.filter(Number.isFinite);
  const most = Math.max(0, ...finite);
  const step = (FRAME.right - FRAME.left) / Math.max(1, values.length);
  const y = linearScale([0, most > 0 ? most : 1], [FRAME.bottom, FRAME.top]);
  const x = linearScale([first - 0.5, first + Math.max(1, values.length) - 0.5], [FRAME.left, FRAME.right]);
  const children = html`${yAxis({ scale: y, frame: FRAME, at: ticks(0, y.domain[1], 4), label: labels.y, format, labelOffset: 44 })}${values.map(
    (value, i) =>
      Number.isFinite(value) &&
      html`<rect x="${round(x(first + i) - (step * (1 - GAP)) / 2)}" y="${round(y(value))}" width="${round(step * (1 - GAP))}" height="${round(FRAME.bottom - y(value))}" fill="${colour("finetuned")}"><title>${first + i}: ${format(value)}</title></rect>`,
  )}${xAxis({
    ...{ scale: x, frame: FRAME, label: labels.x, format: String },
    at: ticks(first, first + values.length - 1, 8).filter(Number.isInteger),
  })}${values.length === 0 && text(FRAME.left + 8, FRAME.top + 20, "none")}`;
  const greatest = values.indexOf(most);
  return {
    svg: svgRoot({
      ...{ id, title, width: WIDTH, height: HEIGHT, children },
      description: greatest < 0 ? "Nothing to show." : `Greatest at ${first + greatest}: ${format(most)}.`,
    }),
    table: {
      columns: [labels.x, labels.y],
      rows: values.map((value, i) => [first + i, Number.isFinite(value) ? format(value) : "none"]),
    },
  };
}
