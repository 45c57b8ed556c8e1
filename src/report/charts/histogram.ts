// Histogram of deltaNorm over all latents: how many lean to the base model, to the fine-tune, to neither.
//
// Counts stand on a square-root axis, because most latents are shared and the few that are not are the subject.
// Class bands are drawn from the thresholds stored with the measurement. Says nothing about claims: see scatter.ts.

import type { ClaimThresholds } from "../../measure/measure-contract.ts";
import { formatCount, formatFixed } from "../format.ts";
import { type Html, html } from "../html.ts";
import {
  type Chart,
  type Frame,
  line,
  linearScale,
  round,
  sqrtScale,
  svgRoot,
  text,
  xAxis,
  yAxis,
} from "./chart.ts";
import { colour } from "./palette.ts";

export interface Bin {
  from: number;
  to: number;
  count: number;
}

export interface Binned {
  bins: Bin[];
  /** Values below the first or above the last edge. */
  outside: number;
  /** NaN and infinities. */
  missing: number;
}

/**
 * Equal-width bins over [from, to]; a bin holds from ≤ value < to, the last one its upper edge too.
 *
 * Every value is counted exactly once: Σ count + outside + missing = values.length.
 */
export function binValues(
  values: Iterable<number>,
  range: { from: number; to: number; nBins: number },
): Binned {
  const { from, to, nBins } = range;
  const edge = (i: number): number => Number((from + ((to - from) * i) / nBins).toPrecision(12));
  const bins = Array.from({ length: nBins }, (_, i) => ({ from: edge(i), to: edge(i + 1), count: 0 }));
  let outside = 0;
  let missing = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) missing += 1;
    else if (value < from || value > to) outside += 1;
    else {
      let at = Math.min(nBins - 1, Math.floor(((value - from) / (to - from)) * nBins));
      // The division can land one bin off at an edge such as 0.3; the stored edges decide.
      if (value < bins[at].from) at -= 1;
      else if (at < nBins - 1 && value >= bins[at].to) at += 1;
      bins[at].count += 1;
    }
  }
  return { bins, outside, missing };
}

export interface HistogramOptions {
  id: string;
  /** One value a latent, 0 … 1; NaN is counted apart. */
  deltaNorms: Iterable<number>;
  thresholds: ClaimThresholds;
  counts: { baseOnly: number; shared: number; finetunedOnly: number; other: number };
  nBins?: number;
}

const WIDTH = 480;
const HEIGHT = 290;
const FRAME: Frame = { left: 50, right: 470, top: 44, bottom: 244 };

export function deltaNormHistogram(options: HistogramOptions): Chart {
  const { id, deltaNorms, thresholds, counts, nBins = 50 } = options;
  const { bins, outside, missing } = binValues(deltaNorms, { from: 0, to: 1, nBins });
  const highest = Math.max(1, ...bins.map((bin) => bin.count));
  const x = linearScale([0, 1], [FRAME.left, FRAME.right]);
  const y = sqrtScale(highest * 1.04, [FRAME.bottom, FRAME.top]);

  const bands = [
    {
      name: "base-only",
      count: counts.baseOnly,
      from: 0,
      to: thresholds.baseOnlyAtMost,
      fill: "baseInk",
      anchor: "start",
    },
    {
      name: "shared",
      count: counts.shared,
      from: thresholds.sharedFrom,
      to: thresholds.sharedTo,
      fill: "ink",
      anchor: "middle",
    },
    {
      name: "finetuned-only",
      count: counts.finetunedOnly,
      from: thresholds.finetunedOnlyAtLeast,
      to: 1,
      fill: "finetunedInk",
      anchor: "end",
    },
  ] as const;

  const children = html`${bands.map((band) => bandBackground(x(band.from), x(band.to)))}${yAxis({
    scale: y,
    frame: FRAME,
    at: countTicks(y.domain[1]),
    label: "latents a bin (count, square-root axis)",
    format: formatCount,
  })}${bins.map((bin) => bar(bin, x, y, thresholds))}${bands.map((band) => bandLabel(band, x))}${xAxis({
    scale: x,
    frame: FRAME,
    at: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
    label: "deltaNorm (no unit; 0 = base only, 1 = finetuned only)",
    format: (value) => formatFixed(value, value === 0 || value === 1 ? 0 : 1),
  })}`;
  const svg = svgRoot({
    id,
    width: WIDTH,
    height: HEIGHT,
    title: "Histogram of deltaNorm over all latents",
    description: `${formatCount(counts.baseOnly)} base-only, ${formatCount(counts.shared)} shared, ${formatCount(
      counts.finetunedOnly,
    )} finetuned-only, ${formatCount(counts.other)} between the classes. Highest bin ${formatCount(highest)}.`,
    children,
  });
  return {
    svg,
    table: {
      columns: ["deltaNorm from", "to", "latents"],
      rows: bins.map((bin) => [formatFixed(bin.from, 2), formatFixed(bin.to, 2), formatCount(bin.count)]),
      note: `Each bin holds its lower edge, the last also its upper. ${formatCount(outside)} outside 0 to 1, ${formatCount(missing)} without a value.`,
    },
  };
}

function bar(
  bin: Bin,
  x: (value: number) => number,
  y: (value: number) => number,
  thresholds: ClaimThresholds,
): Html | false {
  if (bin.count === 0) return false;
  const middle = (bin.from + bin.to) / 2;
  const fill =
    middle <= thresholds.baseOnlyAtMost
      ? "base"
      : middle >= thresholds.finetunedOnlyAtLeast
        ? "finetuned"
        : "neutral";
  const left = x(bin.from) + 0.5;
  const top = y(bin.count);
  return html`<rect x="${round(left)}" y="${round(top)}" width="${round(x(bin.to) - 0.5 - left)}" height="${round(
    FRAME.bottom - top,
  )}" fill="${colour(fill)}"><title>${formatFixed(bin.from, 2)} to ${formatFixed(bin.to, 2)}: ${formatCount(bin.count)}</title></rect>`;
}

function bandBackground(left: number, right: number): Html {
  return html`<rect x="${round(left)}" y="${FRAME.top}" width="${round(right - left)}" height="${
    FRAME.bottom - FRAME.top
  }" fill="${colour("panel")}"/>`;
}

function bandLabel(
  band: {
    name: string;
    count: number;
    from: number;
    to: number;
    fill: "baseInk" | "ink" | "finetunedInk";
    anchor: "start" | "middle" | "end";
  },
  x: (value: number) => number,
): Html {
  const at =
    band.anchor === "start"
      ? x(band.from)
      : band.anchor === "end"
        ? x(band.to)
        : x((band.from + band.to) / 2);
  const edge = html`stroke="${colour("neutral")}" stroke-dasharray="2 3"`;
  return html`${[band.from, band.to]
    .filter((value) => value > 0 && value < 1)
    .map((value) => line(x(value), FRAME.top - 4, x(value), FRAME.bottom, edge))}${text(at, 18, band.name, {
    anchor: band.anchor,
    fill: colour(band.fill),
    weight: 600,
  })}${text(at, 33, formatCount(band.count), { anchor: band.anchor, fill: colour("ink") })}`;
}

/** Counts worth a line on a square-root axis: far enough apart to be read. */
function countTicks(maximum: number): number[] {
  const all = [0, ...[1, 10, 100, 1000, 10_000, 100_000].flatMap((power) => [power, 2.5 * power, 5 * power])];
  const chosen: number[] = [];
  for (const value of all.filter((count) => Number.isInteger(count) && count <= maximum)) {
    const gap = (Math.sqrt(value) - Math.sqrt(chosen.at(-1) ?? -1e9)) / Math.sqrt(maximum);
    if (chosen.length === 0 || gap > 0.11) chosen.push(value);
  }
  return chosen;
}
