// Training curves as small multiples: one quantity a chart, the steps of the run along the bottom.
//
// Small on purpose: four stand in a row and each says where the run ended. Not a monitor of a running training.

import { formatCount } from "../format.ts";
import { html } from "../html.ts";
import { type Chart, type Frame, linearScale, round, svgRoot, text, ticks, xAxis, yAxis } from "./chart.ts";
import { colour } from "./palette.ts";

export interface CurveOptions {
  id: string;
  /** Ascending steps; values that are not finite are left out and break the line. */
  points: { step: number; value: number }[];
  /** With its unit in brackets: "FVE (share of variance)". */
  label: string;
  format: (value: number) => string;
  /** The vertical axis begins here at the latest. */
  atMost?: number;
  /** The vertical axis ends here at the earliest. */
  atLeast?: number;
}

const WIDTH = 250;
const HEIGHT = 178;
const FRAME: Frame = { left: 44, right: 240, top: 32, bottom: 132 };

export function trainingCurve({ id, points, label, format, atMost = 0, atLeast = 0 }: CurveOptions): Chart {
  const finite = points.filter((point) => Number.isFinite(point.value));
  const values = finite.map((point) => point.value);
  const low = Math.min(atMost, ...values);
  const high = Math.max(atLeast, ...values, low + 1e-9);
  const x = linearScale(
    [Math.min(0, points[0]?.step ?? 0), points.at(-1)?.step ?? 1],
    [FRAME.left, FRAME.right],
  );
  const y = linearScale([low, high], [FRAME.bottom, FRAME.top]);
  const last = finite.at(-1);

  let pen = "M";
  let d = "";
  for (const point of points) {
    if (!Number.isFinite(point.value)) pen = "M";
    else {
      d += `${pen}${round(x(point.step))} ${round(y(point.value))}`;
      pen = "L";
    }
  }
  const children = html`${text(4, 15, label, { fill: colour("ink"), weight: 600 })}${yAxis({
    scale: y,
    frame: FRAME,
    at: ticks(low, high, 4),
    label: "",
    format,
  })}${d !== "" && html`<path d="${d}" fill="none" stroke="${colour("ink")}" stroke-width="1.5" stroke-linejoin="round"/>`}${
    last !== undefined &&
    html`<circle cx="${round(x(last.step))}" cy="${round(y(last.value))}" r="3" fill="${colour("ink")}"/>${text(
      FRAME.right,
      15,
      format(last.value),
      {
        anchor: "end",
        fill: colour("ink"),
      },
    )}`
  }${xAxis({ scale: x, frame: FRAME, at: ticks(x.domain[0], x.domain[1], 3), label: "step", format: formatCount })}`;
  const svg = svgRoot({
    id,
    width: WIDTH,
    height: HEIGHT,
    title: `${label} over training`,
    description:
      last === undefined
        ? "No values were recorded."
        : `Ends at ${format(last.value)} after ${formatCount(last.step)} steps.`,
    children,
  });
  return {
    svg,
    table: {
      columns: ["step", label],
      rows: points.map((point) => [formatCount(point.step), format(point.value)]),
    },
  };
}
