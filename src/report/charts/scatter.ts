// Scatter of nuError against nuReconstruction for the latents that lean to one model: which leaning is real.
//
// A latent low on both axes is specific; high nuError means its norm was shrunk away although the concept is there,
// high nuReconstruction that other latents carry it (Minder et al. 2025, arXiv:2504.02922, §2.3). Axes are clipped at
// limits that are stated with the number of latents beyond them. Shape, not only colour, marks a claim.

import type { ClaimThresholds } from "../../measure/measure-contract.ts";
import { formatCount, formatFixed } from "../format.ts";
import { type Html, html } from "../html.ts";
import {
  type Chart,
  type Frame,
  line,
  linearScale,
  round,
  svgRoot,
  text,
  ticks,
  xAxis,
  yAxis,
} from "./chart.ts";
import { colour } from "./palette.ts";

export interface ScatterPoint {
  latent: number;
  nuReconstruction: number;
  nuError: number;
  /** claim: passed everything. judged: a candidate that failed a threshold. excluded: could not be judged. */
  kind: "claim" | "judged" | "excluded";
  /** Words for the last column of the table, e.g. the reason of an exclusion. */
  remark?: string;
}

export interface ScatterOptions {
  id: string;
  side: "base" | "finetuned";
  points: ScatterPoint[];
  thresholds: ClaimThresholds;
  /** Both axes show this range. */
  limits?: readonly [number, number];
  /** Rows of the table twin at most; the strongest come first. */
  tableRows?: number;
}

export interface Placed {
  inside: ScatterPoint[];
  beyond: ScatterPoint[];
  missing: ScatterPoint[];
}

const WIDTH = 480;
const HEIGHT = 452;
const FRAME: Frame = { left: 54, right: 456, top: 24, bottom: 404 };

/** Sorts points into those the axes show, those beyond the limits and those without both values. Each is in one list. */
export function placePoints(points: readonly ScatterPoint[], limits: readonly [number, number]): Placed {
  const placed: Placed = { inside: [], beyond: [], missing: [] };
  for (const point of points) {
    const { nuReconstruction: x, nuError: y } = point;
    if (!Number.isFinite(x) || !Number.isFinite(y)) placed.missing.push(point);
    else if (x < limits[0] || x > limits[1] || y < limits[0] || y > limits[1]) placed.beyond.push(point);
    else placed.inside.push(point);
  }
  return placed;
}

/** The scales the chart uses, so that an overlay (or a test) can put a point where the chart does. */
export function scatterScales(limits: readonly [number, number]): {
  x: (value: number) => number;
  y: (value: number) => number;
} {
  return {
    x: linearScale(limits, [FRAME.left, FRAME.right]),
    y: linearScale(limits, [FRAME.bottom, FRAME.top]),
  };
}

export function nuScatter(options: ScatterOptions): Chart {
  const { id, side, points, thresholds, limits = [-0.25, 1.5], tableRows = 300 } = options;
  const { inside, beyond, missing } = placePoints(points, limits);
  const x = linearScale(limits, [FRAME.left, FRAME.right]);
  const y = linearScale(limits, [FRAME.bottom, FRAME.top]);
  const at = ticks(limits[0], limits[1], 7);
  const format = (value: number): string => formatFixed(value, 2);
  const other = side === "finetuned" ? "base" : "finetuned";
  const of = (kind: ScatterPoint["kind"]): ScatterPoint[] => inside.filter((point) => point.kind === kind);
  const left = `${formatCount(beyond.length)} beyond the axes, ${formatCount(missing.length)} without a value`;

  const children = html`${region(x, y, thresholds)}${yAxis({
    scale: y,
    frame: FRAME,
    at,
    label: "nuError (no unit, ratio of betas)",
    format,
    labelOffset: 42,
  })}${crosses(of("excluded"), x, y)}${dots(of("judged"), x, y)}${thresholdLines(x, y, thresholds)}${of(
    "claim",
  ).map((point) =>
    diamond(point, x(point.nuReconstruction), y(point.nuError), side),
  )}${xAxis({ scale: x, frame: FRAME, at, label: "nuReconstruction (no unit, ratio of betas)", format })}${legend(side)}${text(
    FRAME.right - 6,
    FRAME.top + 14,
    `not drawn: ${left}`,
    { anchor: "end", size: 11, halo: true },
  )}`;

  const svg = svgRoot({
    id,
    width: WIDTH,
    height: HEIGHT,
    title: `nuError against nuReconstruction, latents leaning to the ${side} model`,
    description: `${formatCount(points.length)} latents, ${formatCount(
      points.filter((point) => point.kind === "claim").length,
    )} of them claims. Both ratios compare the ${other} model with the ${side} one; near 0 the ${other} model lacks the direction. Shown from ${format(
      limits[0],
    )} to ${format(limits[1])}; ${left}.`,
    children,
  });
  return { svg, table: pointTable(points, tableRows) };
}

function pointTable(points: readonly ScatterPoint[], tableRows: number): Chart["table"] {
  const size = (point: ScatterPoint): number => {
    const sum = Math.abs(point.nuReconstruction) + Math.abs(point.nuError);
    return Number.isNaN(sum) ? Number.POSITIVE_INFINITY : sum;
  };
  const order = { claim: 0, judged: 1, excluded: 2 };
  const sorted = [...points].sort(
    (a, b) =>
      order[a.kind] - order[b.kind] || (size(a) === size(b) ? a.latent - b.latent : size(a) - size(b)),
  );
  const rest = sorted.length - tableRows;
  return {
    columns: ["latent", "nuReconstruction", "nuError", "standing"],
    rows: sorted
      .slice(0, tableRows)
      .map((point) => [
        point.latent,
        formatFixed(point.nuReconstruction, 3),
        formatFixed(point.nuError, 3),
        point.remark ?? point.kind,
      ]),
    note: rest > 0 ? `${formatCount(rest)} more are in tables/measure.parquet.` : undefined,
  };
}

type Map1 = (value: number) => number;

/** The corner where both ratios are small enough for a claim. */
function region(x: Map1, y: Map1, { nuMinimum, nuReconstructionBelow, nuErrorBelow }: ClaimThresholds): Html {
  const top = y(nuErrorBelow);
  return html`<rect x="${round(x(nuMinimum))}" y="${round(top)}" width="${round(x(nuReconstructionBelow) - x(nuMinimum))}" height="${round(
    y(nuMinimum) - top,
  )}" fill="${colour("faint")}"/>`;
}

function thresholdLines(x: Map1, y: Map1, { nuReconstructionBelow, nuErrorBelow }: ClaimThresholds): Html {
  const style = html`stroke="${colour("ink")}" stroke-dasharray="5 3"`;
  return html`${line(x(nuReconstructionBelow), FRAME.top, x(nuReconstructionBelow), FRAME.bottom, style)}${line(
    FRAME.left,
    y(nuErrorBelow),
    FRAME.right,
    y(nuErrorBelow),
    style,
  )}${text(x(nuReconstructionBelow) + 5, FRAME.top + 32, `nuReconstruction ${nuReconstructionBelow}`, { fill: colour("ink"), size: 11, halo: true })}${text(
    FRAME.right - 6,
    y(nuErrorBelow) - 5,
    `nuError ${nuErrorBelow}`,
    { anchor: "end", fill: colour("ink"), size: 11, halo: true },
  )}`;
}

/** All dots in one path of zero-length strokes with round ends: small, and quick to draw. */
function dots(points: ScatterPoint[], x: Map1, y: Map1): Html | false {
  const d = points
    .map((point) => `M${round(x(point.nuReconstruction))} ${round(y(point.nuError))}h0`)
    .join("");
  return (
    d !== "" &&
    html`<path d="${d}" stroke="${colour("neutral")}" stroke-width="4.5" stroke-linecap="round" fill="none"/>`
  );
}

function crosses(points: ScatterPoint[], x: Map1, y: Map1): Html | false {
  const d = points
    .map((point) => `M${round(x(point.nuReconstruction) - 2)} ${round(y(point.nuError) - 2)}l4 4m0-4l-4 4`)
    .join("");
  return d !== "" && html`<path d="${d}" stroke="${colour("neutral")}" stroke-width="0.9" fill="none"/>`;
}

function diamond(point: ScatterPoint, cx: number, cy: number, side: "base" | "finetuned"): Html {
  const name = `latent ${point.latent}: nuReconstruction ${formatFixed(point.nuReconstruction, 3)}, nuError ${formatFixed(point.nuError, 3)}`;
  return html`<path class="claim" data-card="${side}-${point.latent}" d="M${round(cx)} ${round(cy - 6)}l5.5 6-5.5 6-5.5-6z" fill="${colour(
    side,
  )}" stroke="${colour("paper")}"><title>${name}</title></path>`;
}

function legend(side: "base" | "finetuned"): Html {
  const y = 12;
  return html`<path d="M60 ${y - 9}l5 5-5 5-5-5z" fill="${colour(side)}"/>${text(70, y, "claim", { fill: colour("ink") })}<path d="M124 ${
    y - 4
  }h0" stroke="${colour("neutral")}" stroke-width="5" stroke-linecap="round"/>${text(
    132,
    y,
    "judged, not specific",
    {
      fill: colour("ink"),
    },
  )}<path d="M266 ${y - 6}l4 4m0-4l-4 4" stroke="${colour("neutral")}"/>${text(276, y, "excluded, counted by reason", { fill: colour("ink") })}`;
}
