// From lines of a log to points of a curve: which quantities there are, smoothing, and thinning to what a screen can show.

import type { TrainingLine, TrainingValidation } from "../../../src/dashboard/api-contract.ts";

/** x: steps or tokens; y: NaN breaks the line. */
export interface Point {
  x: number;
  y: number;
}

export interface Quantity {
  name: string;
  /** With its unit. */
  label: string;
  of: (line: TrainingLine) => number | null | undefined;
  /** Held-out twin, where there is one. */
  heldout?: (line: TrainingValidation) => number | null;
  /** Positive, and over decades. */
  canBeLog: boolean;
  /** Set, not measured: never smoothed. */
  isSetting?: boolean;
}

const fve = (side: "base" | "finetuned" | "total", words: string): Quantity => ({
  ...{ name: `fve-${side}`, label: `FVE, ${words}`, canBeLog: false },
  of: (line) => line.fve[side],
  heldout: (line) => line.fve[side],
});

export const FVE_QUANTITIES: readonly Quantity[] = [
  fve("total", "both models"),
  fve("base", "base"),
  fve("finetuned", "finetuned"),
];

export const QUANTITIES: readonly Quantity[] = [
  { name: "loss", label: "loss, normalised units", of: (line) => line.loss, canBeLog: true },
  ...FVE_QUANTITIES,
  {
    ...{ name: "l0", label: "L0, latents a token", canBeLog: false },
    ...{ of: (line: TrainingLine) => line.l0, heldout: (line: TrainingValidation) => line.l0 },
  },
  { name: "dead", label: "dead latents", of: (line) => line.dead, canBeLog: false },
  { name: "auxLoss", label: "auxiliary loss", of: (line) => line.auxLoss, canBeLog: true },
  { name: "penaltyLoss", label: "penalty loss", of: (line) => line.penaltyLoss, canBeLog: true },
  { name: "penalty", label: "penalty", of: (line) => line.penalty, canBeLog: true, isSetting: true },
  {
    name: "learningRate",
    label: "learning rate",
    of: (line) => line.learningRate,
    canBeLog: true,
    isSetting: true,
  },
  {
    ...{ name: "gradientNorm", label: "gradient norm, before clipping", canBeLog: true },
    of: (line: TrainingLine) => line.gradientNorm,
  },
  {
    ...{ name: "threshold", label: "θ, activation units", canBeLog: true },
    ...{ of: (line: TrainingLine) => line.threshold, heldout: (line: TrainingValidation) => line.threshold },
  },
  { name: "k", label: "k", of: (line) => line.k, canBeLog: false, isSetting: true },
  { name: "rowsPerSecond", label: "tokens a second", of: (line) => line.rowsPerSecond, canBeLog: false },
];

/** Points of one quantity; unit: what a step counts for on the horizontal axis. */
export function pointsOf(lines: readonly TrainingLine[], quantity: Quantity, unit: number): Point[] {
  return lines.map((line) => ({ x: line.step * unit, y: quantity.of(line) ?? Number.NaN }));
}

/**
 * Exponential running mean over x: weights e^(−distance/memory), each point standing for the stretch since the one before it, so that
 * unevenly kept lines do not count more. memory: in units of x; 0: the points themselves. NaN stays NaN and is not counted.
 */
export function smoothed(points: readonly Point[], memory: number): Point[] {
  if (!(memory > 0)) return points.slice();
  let [sum, weight, last] = [0, 0, Number.NaN];
  return points.map(({ x, y }) => {
    if (Number.isNaN(y)) return { x, y };
    const kept = Number.isNaN(last) ? 0 : Math.exp(-(x - last) / memory);
    last = x;
    sum = sum * kept + y * (1 - kept);
    weight = weight * kept + (1 - kept);
    return { x, y: sum / weight };
  });
}

/** No more than 4 points in each of nBuckets stretches of x: first, lowest, greatest, last; and breaks of the line. */
export function drawable(points: readonly Point[], nBuckets: number): Point[] {
  if (points.length <= 4 * nBuckets) return points.slice();
  const [from, to] = [points[0].x, points[points.length - 1].x];
  const bucketOf = ({ x }: Point): number =>
    Math.min(nBuckets - 1, Math.floor(((x - from) / (to - from)) * nBuckets));
  const kept: Point[] = [];
  for (let start = 0; start < points.length; ) {
    const bucket = bucketOf(points[start]);
    let end = start + 1;
    while (end < points.length && bucketOf(points[end]) === bucket) end += 1;
    const stay = new Set([start, end - 1]);
    let [lowest, greatest, broken] = [-1, -1, -1];
    for (let i = start; i < end; i += 1) {
      const { y } = points[i];
      if (Number.isNaN(y)) broken = broken < 0 ? i : broken;
      else {
        if (lowest < 0 || y < points[lowest].y) lowest = i;
        if (greatest < 0 || y > points[greatest].y) greatest = i;
      }
    }
    for (const i of [lowest, greatest, broken]) if (i >= 0) stay.add(i);
    for (const i of [...stay].sort((a, b) => a - b)) kept.push(points[i]);
    start = end;
  }
  return kept;
}

/** The last point at or before x that has a value; undefined before the first. */
export function pointAt(points: readonly Point[], x: number): Point | undefined {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle].x <= x) low = middle + 1;
    else high = middle;
  }
  for (let i = low - 1; i >= 0; i -= 1) if (!Number.isNaN(points[i].y)) return points[i];
  return undefined;
}

/** At most `most` of them, evenly, the first and the last among them. */
export function evenly<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return list.slice();
  return Array.from({ length: most }, (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))]);
}
