// Horizontal bars from zero, one below the other, each with its 95 % interval and, thinner below it, its control.
//
// For quantities that are compared with a reference (the dashed line) rather than with an axis alone. The numbers stand at the
// bars and in the table twin. Negative values grow to the left.

import { type Html, html } from "../html.ts";
import { type Chart, type Frame, line, linearScale, round, svgRoot, text, ticks, xAxis } from "./chart.ts";
import { type ColourName, colour } from "./palette.ts";

export interface Span {
  value: number;
  /** 95 %; not drawn where an end is not finite. */
  interval?: { low: number; high: number };
}

export interface Bar extends Span {
  label: string;
  /** Default neutral. */
  fill?: ColourName;
  /** What the same number of other things does. */
  control?: Span;
  /** In the table only, in the order of `more`. */
  cells?: (string | number)[];
}

export interface BarsOptions {
  id: string;
  title: string;
  /** Of the axis, with its unit in brackets. */
  label: string;
  bars: readonly Bar[];
  format: (value: number) => string;
  /** A value that all bars are held against. */
  reference?: { value: number; words: string };
  /** Heads of the table: of the bars, and of their cells. */
  columns: { label: string; cells?: string[] };
}

const WIDTH = 460;
const BARS = {
  /** A letter is about so wide at the charts' size. */
  letter: 6.1,
  leastLabel: 60,
  mostLabel: 170,
  row: 27,
  thick: 10,
  thin: 4,
  cap: 3,
  /** Room for a number right of the longest bar. */
  numbers: 52,
} as const;

export function intervalBars(options: BarsOptions): Chart {
  const { id, title, label, bars, format, reference } = options;
  const longest = Math.max(0, ...bars.map((bar) => [...bar.label].length));
  const left = Math.min(BARS.mostLabel, Math.max(BARS.leastLabel, longest * BARS.letter)) + 12;
  const top = reference === undefined ? 8 : 24;
  const frame: Frame = { left, right: WIDTH - BARS.numbers, top, bottom: top + bars.length * BARS.row };
  const ends = bars.flatMap((bar) => [
    ...endsOf(bar),
    ...(bar.control === undefined ? [] : endsOf(bar.control)),
  ]);
  const [least, most] = [Math.min(0, ...ends), Math.max(0, reference?.value ?? 0, ...ends)];
  const scale = linearScale([least, most > least ? most : least + 1], [frame.left, frame.right]);
  const letters = Math.floor(BARS.mostLabel / BARS.letter);
  const rows = bars.map((bar, i): Html => {
    const y = frame.top + i * BARS.row + BARS.row / 2;
    const { control, fill = "neutral" } = bar;
    const at = Math.max(scale(0), ...endsOf(bar).map(scale));
    return html`<g>${text(frame.left - 8, y + 4, html`${shorten(bar.label, letters)}${[...bar.label].length > letters && html`<title>${bar.label}</title>`}`, { anchor: "end", fill: colour("ink") })}${drawn(
      bar,
      { scale, y: control === undefined ? y : y - BARS.thin / 2, thickness: BARS.thick, fill: colour(fill) },
    )}${
      control !== undefined &&
      drawn(control, {
        ...{ scale, thickness: BARS.thin, fill: colour("rule") },
        y: y + BARS.thick / 2 + 1,
      })
    }${text(at + 6, y + 3, Number.isFinite(bar.value) ? format(bar.value) : "none", { halo: true })}</g>`;
  });
  const children = html`${rows}${
    reference !== undefined &&
    Number.isFinite(reference.value) &&
    html`${line(scale(reference.value), frame.top - 4, scale(reference.value), frame.bottom, html`stroke="${colour("muted")}" stroke-dasharray="3 3"`)}${text(
      scale(reference.value),
      frame.top - 10,
      reference.words,
      { anchor: scale(reference.value) > WIDTH / 2 ? "end" : "start", size: 11 },
    )}`
  }${line(scale(0), frame.top, scale(0), frame.bottom, html`stroke="${colour("ink")}"`)}${xAxis({
    ...{ scale, frame, label, format: tickWords },
    at: ticks(scale.domain[0], scale.domain[1], 5),
  })}`;
  return {
    svg: svgRoot({
      ...{ id, title, width: WIDTH, height: frame.bottom + 44, children },
      description: describe(options),
    }),
    table: tableOf(options),
  };
}

function endsOf({ value, interval }: Span): number[] {
  return [value, interval?.low, interval?.high].filter((end) => end !== undefined).filter(Number.isFinite);
}

function drawn(
  { value, interval }: Span,
  {
    scale,
    y,
    thickness,
    fill,
  }: { scale: (value: number) => number; y: number; thickness: number; fill: string },
): Html | false {
  if (!Number.isFinite(value)) return false;
  const [from, to] = [scale(Math.min(0, value)), scale(Math.max(0, value))];
  const hasInterval =
    interval !== undefined && Number.isFinite(interval.low) && Number.isFinite(interval.high);
  return html`<rect x="${round(from)}" y="${round(y - thickness / 2)}" width="${round(to - from)}" height="${thickness}" fill="${fill}"/>${
    hasInterval &&
    html`<path d="M${round(scale(interval.low))} ${round(y)}H${round(scale(interval.high))}${[interval.low, interval.high].map((end) => `M${round(scale(end))} ${round(y - BARS.cap)}v${2 * BARS.cap}`)}" stroke="${colour("ink")}" fill="none"/>`
  }`;
}

function describe({ bars, format, label }: BarsOptions): string {
  if (bars.length === 0) return "Nothing to show.";
  const words = bars.map((bar) => `${bar.label} ${Number.isFinite(bar.value) ? format(bar.value) : "none"}`);
  return `${label}: ${words.join(", ")}.`;
}

function tableOf({ bars, format, label, columns }: BarsOptions): Chart["table"] {
  const hasIntervals = bars.some(({ interval }) => interval !== undefined);
  const hasControls = bars.some(({ control }) => control !== undefined);
  const number = (value: number | undefined): string =>
    value === undefined ? "" : Number.isFinite(value) ? format(value) : "none";
  return {
    columns: [
      ...[columns.label, label],
      ...(hasIntervals ? ["95 % from", "to"] : []),
      ...(hasControls ? ["control"] : []),
      ...(columns.cells ?? []),
    ],
    rows: bars.map(({ label: name, value, interval, control, cells = [] }) => [
      ...[name, number(value)],
      ...(hasIntervals ? [number(interval?.low), number(interval?.high)] : []),
      ...(hasControls ? [number(control?.value)] : []),
      ...cells,
    ]),
  };
}

/** Ticks are round numbers: no more digits than they need. */
function tickWords(value: number): string {
  return String(Number(value.toPrecision(6))).replace("-", "\u2212");
}

function shorten(words: string, letters: number): string {
  const all = [...words];
  return all.length <= letters ? words : `${all.slice(0, letters - 1).join("")}…`;
}
