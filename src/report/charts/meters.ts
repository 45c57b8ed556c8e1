// Word-sized graphics that stand beside a number: where it lies between its ends and on which side of its threshold.
//
// Decoration for the eye only (aria-hidden): the number itself is always written next to it.

import { type Html, html } from "../html.ts";
import { line, linearScale, round } from "./chart.ts";
import { colour } from "./palette.ts";

export interface MeterOptions {
  value: number;
  from?: number;
  to?: number;
  /** Drawn as a tick across the line. */
  threshold?: number;
  /** The stretch of the line that counts as passed. */
  pass?: "below" | "above";
  side?: "base" | "finetuned";
  /** A band around the dot; an end without limit, or beyond the line, ends with the line. Not drawn when NaN. */
  interval?: { low: number; high: number };
}

const WIDTH = 72;
const HEIGHT = 12;
const MIDDLE = HEIGHT / 2;

/** A dot on a line from `from` to `to`; a value beyond an end is drawn as an arrow head at that end. */
export function meter({ value, from = 0, to = 1, threshold, pass, side, interval }: MeterOptions): Html {
  const x = linearScale([from, to], [5, WIDTH - 5]);
  const fill = colour(side ?? "ink");
  const clip = (end: number): number => Math.min(to, Math.max(from, end));
  const hasBand = interval !== undefined && interval.low <= interval.high;
  const passed =
    threshold !== undefined && pass !== undefined && (pass === "below" ? [from, threshold] : [threshold, to]);
  const mark = !Number.isFinite(value)
    ? false
    : value < from
      ? html`<path d="M6 ${MIDDLE - 4}v8l-6-4z" fill="${fill}"/>`
      : value > to
        ? html`<path d="M${WIDTH - 6} ${MIDDLE - 4}v8l6-4z" fill="${fill}"/>`
        : html`<circle cx="${round(x(value))}" cy="${MIDDLE}" r="4" fill="${fill}"/>`;
  return html`<svg class="meter" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true">${line(
    5,
    MIDDLE,
    WIDTH - 5,
    MIDDLE,
    html`stroke="${colour("rule")}" stroke-width="2"`,
  )}${passed && line(x(passed[0]), MIDDLE, x(passed[1]), MIDDLE, html`stroke="${colour("neutral")}" stroke-width="2"`)}${
    threshold !== undefined &&
    line(x(threshold), 1, x(threshold), HEIGHT - 1, html`stroke="${colour("muted")}"`)
  }${
    hasBand &&
    html`<path d="M${round(x(clip(interval.low)))} ${MIDDLE}H${round(x(clip(interval.high)))}" stroke="${fill}" stroke-width="5" opacity=".45"/>`
  }${mark}</svg>`;
}
