// What every chart has in common: a chart is data turned into one SVG and a table that says the same.
//
// Pure text, no DOM, no colours but those of palette.ts. The SVG carries its title and description, scales with the
// page (viewBox, no fixed size) and uses presentation attributes only, so that it passes a strict content policy.

import { type Html, type HtmlValue, html, joinHtml } from "../html.ts";
import { colour, SANS } from "./palette.ts";

export interface ChartTable {
  columns: string[];
  rows: (string | number)[][];
  /** Said below the table, e.g. what was left out. */
  note?: string;
}

export interface Chart {
  svg: Html;
  table: ChartTable;
}

export interface Scale {
  (value: number): number;
  domain: readonly [number, number];
  range: readonly [number, number];
}

/** Where the data area lies inside the viewBox, in its units. */
export interface Frame {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Straight line from domain to range; a domain of no extent maps to the middle. */
export function linearScale(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [from, to] = domain;
  const [start, end] = range;
  const map = (value: number): number =>
    to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start);
  return Object.assign(map, { domain, range });
}

/** Square-root scale from 0: small counts stay visible beside large ones and zero is zero. */
export function sqrtScale(maximum: number, range: readonly [number, number]): Scale {
  const inner = linearScale([0, Math.sqrt(Math.max(maximum, 1))], range);
  return Object.assign((value: number) => inner(Math.sqrt(value)), { domain: [0, maximum] as const, range });
}

/** Round numbers (1, 2 or 5 times a power of ten apart) covering [from, to], about `count` of them. */
export function ticks(from: number, to: number, count = 5): number[] {
  if (!(to > from)) return [from];
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Coordinates to two decimals: enough for paper, half the bytes. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The outer element with its accessible name. `id` must be unique in the page. */
export function svgRoot(options: {
  id: string;
  width: number;
  height: number;
  title: string;
  description: string;
  children: HtmlValue;
}): Html {
  const { id, width, height, title, description, children } = options;
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-desc" font-family="${SANS}" font-size="12"><title id="${id}-title">${title}</title><desc id="${id}-desc">${description}</desc>${children}</svg>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Html = html``): Html {
  return html`<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" ${attributes}/>`;
}

export interface TextOptions {
  anchor?: "start" | "middle" | "end";
  fill?: string;
  size?: number;
  weight?: number;
  rotate?: boolean;
  /** Paper-coloured edge, for words that stand on data. */
  halo?: boolean;
}

export function text(x: number, y: number, label: HtmlValue, options: TextOptions = {}): Html {
  const { anchor = "start", fill = colour("muted"), size, weight, rotate, halo } = options;
  return html`<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${fill}"${
    size && html` font-size="${size}"`
  }${halo && html` stroke="${colour("paper")}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"`}${weight && html` font-weight="${weight}"`}${
    rotate && html` transform="rotate(-90 ${round(x)} ${round(y)})"`
  }>${label}</text>`;
}

/** Horizontal axis below the frame: rule, ticks, numbers, and the label with its unit. */
export function xAxis(options: {
  scale: Scale;
  frame: Frame;
  at: number[];
  label: string;
  format: (value: number) => string;
}): Html {
  const { scale, frame, at, label, format } = options;
  return html`<g>${line(frame.left, frame.bottom, frame.right, frame.bottom, html`stroke="${colour("ink")}"`)}${at.map(
    (value) => [
      line(scale(value), frame.bottom, scale(value), frame.bottom + 4, html`stroke="${colour("ink")}"`),
      text(scale(value), frame.bottom + 17, format(value), { anchor: "middle" }),
    ],
  )}${text((frame.left + frame.right) / 2, frame.bottom + 35, label, { anchor: "middle", fill: colour("ink") })}</g>`;
}

/** Vertical axis left of the frame: numbers on hairlines, and the label with its unit written upwards. */
export function yAxis(options: {
  scale: Scale;
  frame: Frame;
  at: number[];
  label: string;
  format: (value: number) => string;
  labelOffset?: number;
}): Html {
  const { scale, frame, at, label, format, labelOffset = 40 } = options;
  return html`<g>${at.map((value) => [
    line(frame.left, scale(value), frame.right, scale(value), html`stroke="${colour("faint")}"`),
    text(frame.left - 6, scale(value) + 4, format(value), { anchor: "end" }),
  ])}${text(frame.left - labelOffset, (frame.top + frame.bottom) / 2, label, { anchor: "middle", fill: colour("ink"), rotate: true })}</g>`;
}

/** A chart and its table twin, as the page shows them. */
export function figure(options: {
  chart: Chart;
  caption: HtmlValue;
  className?: string;
  summary?: string;
}): Html {
  const { chart, caption, className = "", summary = "The same as a table" } = options;
  return html`<figure class="chart ${className}">${chart.svg}<figcaption>${caption}</figcaption><details class="twin"><summary>${summary}</summary><div class="scroll" tabindex="0" role="region" aria-label="${summary}">${plainTable(chart.table)}</div></details></figure>`;
}

function plainTable({ columns, rows, note }: ChartTable): Html {
  return html`<table><thead><tr>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${joinHtml(
    rows.map(
      ([first, ...rest]) =>
        html`<tr><th scope="row">${first}</th>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>`,
    ),
  )}</tbody></table>${note && html`<p class="note">${note}</p>`}`;
}
