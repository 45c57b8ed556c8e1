import { expect, test } from "vitest";
import { CLAIM_THRESHOLDS } from "../../measure/measure-contract.ts";
import { createRng } from "../../numerics/rng.ts";
import { intervalBars } from "./bars.ts";
import { linearScale, sqrtScale, ticks } from "./chart.ts";
import { columns } from "./columns.ts";
import { binValues, deltaNormHistogram } from "./histogram.ts";
import { meter } from "./meters.ts";
import { colour, contrastRatio, DARK, LIGHT, luminance, N_SHADES, shade, shadeLevel } from "./palette.ts";
import { nuScatter, placePoints, type ScatterPoint, scatterScales } from "./scatter.ts";
import { trainingCurve } from "./training-curve.ts";

const COUNTS = { baseOnly: 1, shared: 2, finetunedOnly: 3, other: 4 };

test("every value is in exactly one bin, outside, or missing", () => {
  const rng = createRng(1, "bins");
  const values = [
    ...Array.from({ length: 5000 }, (_, i) => rng.uniform(0, i)),
    Number.NaN,
    -0.2,
    1.1,
    Number.POSITIVE_INFINITY,
  ];
  const { bins, outside, missing } = binValues(values, { from: 0, to: 1, nBins: 50 });
  expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(5000);
  expect([outside, missing]).toEqual([2, 2]);
  for (const bin of bins) {
    // The slow twin: count by definition.
    const isLast = bin.to === 1;
    expect(bin.count).toBe(
      values.filter((value) => value >= bin.from && (value < bin.to || (isLast && value === bin.to))).length,
    );
  }
});

test("a value on an edge falls into the bin that begins there, the last edge into the last bin", () => {
  const edges = Array.from({ length: 51 }, (_, i) => Number((i / 50).toPrecision(12)));
  const { bins } = binValues(edges, { from: 0, to: 1, nBins: 50 });
  expect(bins.map((bin) => bin.count)).toEqual([...new Array(49).fill(1), 2]);
});

test("the histogram's bars are as high as the square root of their counts", () => {
  const deltaNorms = [...new Array(100).fill(0.5), ...new Array(25).fill(0.99)];
  const { svg, table } = deltaNormHistogram({
    id: "h",
    deltaNorms,
    thresholds: CLAIM_THRESHOLDS,
    counts: COUNTS,
  });
  const heights = [...svg.markup.matchAll(/height="([\d.]+)" fill="[^"]*"><title>/g)].map((match) =>
    Number(match[1]),
  );
  expect(heights).toHaveLength(2);
  expect(heights[0] / heights[1]).toBeCloseTo(2, 2); // coordinates are rounded to 0.01 of about 200
  expect(table.rows.reduce((sum, row) => sum + Number(row[2]), 0)).toBe(125);
});

test("a histogram of nothing still has its axes", () => {
  const { svg } = deltaNormHistogram({
    id: "h",
    deltaNorms: [],
    thresholds: CLAIM_THRESHOLDS,
    counts: COUNTS,
  });
  expect(svg.markup).toContain("deltaNorm (no unit");
  expect(svg.markup).not.toContain("NaN");
});

const POINTS: ScatterPoint[] = [
  { latent: 1, nuReconstruction: 0, nuError: 0, kind: "claim" },
  { latent: 2, nuReconstruction: 1, nuError: 0.5, kind: "judged" },
  { latent: 3, nuReconstruction: 1.6, nuError: 0.5, kind: "judged" },
  { latent: 4, nuReconstruction: 0.2, nuError: -1.4, kind: "excluded" },
  { latent: 5, nuReconstruction: Number.NaN, nuError: 0, kind: "excluded" },
  { latent: 6, nuReconstruction: 0.4, nuError: 0.4, kind: "excluded" },
];

test("every point is drawn, beyond the axes, or without a value, and the counts are written", () => {
  const { inside, beyond, missing } = placePoints(POINTS, [-0.25, 1.5]);
  expect([inside, beyond, missing].map((list) => list.map((point) => point.latent))).toEqual([
    [1, 2, 6],
    [3, 4],
    [5],
  ]);
  const { svg } = nuScatter({ id: "s", side: "finetuned", points: POINTS, thresholds: CLAIM_THRESHOLDS });
  expect(svg.markup).toContain("not drawn: 2 beyond the axes, 1 without a value");
});

test("points stand where the scales say, claims as diamonds, others as dots and crosses", () => {
  const { svg } = nuScatter({ id: "s", side: "finetuned", points: POINTS, thresholds: CLAIM_THRESHOLDS });
  const { x, y } = scatterScales([-0.25, 1.5]);
  const at = (value: number): number => Math.round(value * 100) / 100;
  expect(svg.markup).toContain(`data-card="finetuned-1" d="M${at(x(0))} ${at(y(0) - 6)}l5.5 6-5.5 6-5.5-6z"`);
  expect(svg.markup).toContain(`d="M${at(x(1))} ${at(y(0.5))}h0"`);
  expect(svg.markup).toContain(`d="M${at(x(0.4) - 2)} ${at(y(0.4) - 2)}l4 4m0-4l-4 4"`);
  expect(y(1)).toBeLessThan(y(0)); // up is more
});

test("both thresholds are drawn where they belong and labelled with their values", () => {
  const { svg } = nuScatter({ id: "s", side: "base", points: POINTS, thresholds: CLAIM_THRESHOLDS });
  const { x, y } = scatterScales([-0.25, 1.5]);
  expect(svg.markup).toContain(`<line x1="${Math.round(x(0.5) * 100) / 100}"`);
  expect(svg.markup).toContain(`y1="${Math.round(y(0.2) * 100) / 100}"`);
  expect(svg.markup).toContain("nuReconstruction 0.5");
  expect(svg.markup).toContain("nuError 0.2");
});

test("the scatter's table lists claims first and says how many rows it leaves out", () => {
  const { table } = nuScatter({
    id: "s",
    side: "finetuned",
    points: POINTS,
    thresholds: CLAIM_THRESHOLDS,
    tableRows: 4,
  });
  expect(table.rows.map((row) => row[0])).toEqual([1, 2, 3, 6]);
  expect(table.note).toContain("2 more");
});

test("a training curve breaks at values that are missing and ends in a dot", () => {
  const points = [0.1, 0.2, Number.NaN, 0.4, 0.5].map((value, step) => ({ step, value }));
  const { svg, table } = trainingCurve({
    id: "c",
    points,
    label: "FVE (share)",
    format: (value) => String(value),
  });
  const d = /<path d="([^"]*)"/.exec(svg.markup)?.[1] ?? "";
  expect([...d].filter((letter) => letter === "M")).toHaveLength(2);
  expect([...d].filter((letter) => letter === "L")).toHaveLength(2);
  expect(svg.markup).not.toContain("NaN");
  expect(table.rows).toHaveLength(5);
});

test("charts of one point or of none do not divide by zero", () => {
  for (const points of [[], [{ step: 0, value: 0 }], [{ step: 3, value: Number.NaN }]]) {
    expect(trainingCurve({ id: "c", points, label: "x", format: String }).svg.markup).not.toMatch(
      /NaN|Infinity/,
    );
  }
});

test("scales map ends to ends and a square root to a square root", () => {
  const x = linearScale([2, 4], [10, 20]);
  expect([x(2), x(3), x(4)]).toEqual([10, 15, 20]);
  expect(linearScale([1, 1], [0, 10])(1)).toBe(5);
  const y = sqrtScale(100, [0, 10]);
  expect([y(0), y(25), y(100)]).toEqual([0, 5, 10]);
});

test("ticks are round numbers inside their range", () => {
  expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks(-0.25, 1.5, 7)).toEqual([0, 0.5, 1, 1.5]);
  expect(ticks(0, 1200, 3)).toEqual([0, 500, 1000]);
  expect(ticks(5, 5, 3)).toEqual([5]);
});

test("a meter keeps its mark inside, with an arrow for values beyond its ends", () => {
  expect(meter({ value: 0.5 }).markup).toContain('<circle cx="36"');
  expect(meter({ value: -0.1 }).markup).toContain("M6 2v8l-6-4z");
  expect(meter({ value: 1.5 }).markup).toContain("M66 2v8l6-4z");
  expect(meter({ value: Number.NaN }).markup).not.toContain("NaN");
});

test("text reaches WCAG AA contrast on paper, on panels and on every shade, in both themes", () => {
  for (const [theme, colours] of [
    ["light", LIGHT],
    ["dark", DARK],
  ] as const) {
    for (const ink of ["ink", "muted", "baseInk", "finetunedInk"] as const) {
      expect(contrastRatio(colours[ink], colours.paper)).toBeGreaterThanOrEqual(4.5);
      expect(contrastRatio(colours[ink], colours.panel)).toBeGreaterThanOrEqual(4.5);
    }
    for (const mark of ["base", "finetuned", "neutral"] as const) {
      expect(contrastRatio(colours[mark], colours.paper)).toBeGreaterThanOrEqual(3);
    }
    for (const side of ["base", "finetuned"] as const) {
      for (let level = 1; level <= N_SHADES; level += 1) {
        expect(contrastRatio(colours.ink, shade(theme, side, level))).toBeGreaterThanOrEqual(4.5);
      }
    }
  }
});

test("shades grow away from the paper in lightness alone, so they can be read in grey", () => {
  for (const theme of ["light", "dark"] as const) {
    for (const side of ["base", "finetuned"] as const) {
      const steps = Array.from({ length: N_SHADES }, (_, i) => luminance(shade(theme, side, i + 1)));
      const sorted = [...steps].sort((a, b) => (theme === "light" ? b - a : a - b));
      expect(steps).toEqual(sorted);
      expect(new Set(steps).size).toBe(N_SHADES);
    }
  }
});

test("shade levels: silent is 0, the weakest firing 1, the maximum the last", () => {
  expect([0, -1, Number.NaN, 0.001, 5, 10, 11].map((value) => shadeLevel(value, 10))).toEqual([
    0, 0, 0, 1, 5, 9, 9,
  ]);
  expect(shadeLevel(1, Number.NaN)).toBe(0);
});

test("a colour works with the page's theme and without the page", () => {
  expect(colour("baseInk")).toBe("var(--base-ink, #00598c)");
});

const BARS = {
  ...{ id: "b", title: "KL", label: "KL (nats)", columns: { label: "edit" } },
  format: (value: number) => value.toFixed(2),
};
const widthsOf = (markup: string): number[] =>
  [...markup.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]));

test("bars are as long as their values, controls among them, and the table says the same with intervals", () => {
  const { svg, table } = intervalBars({
    ...BARS,
    bars: [
      { label: "None", value: 0.8, interval: { low: 0.7, high: 0.9 } },
      { label: "half", value: 0.4, interval: { low: 0.3, high: 0.5 }, control: { value: 0.6 } },
    ],
  });
  const [none, half, control] = widthsOf(svg.markup);
  expect(none / half).toBeCloseTo(2, 2); // coordinates are rounded to 0.01 of about 200
  expect(none / control).toBeCloseTo(0.8 / 0.6, 2);
  expect(table).toEqual({
    columns: ["edit", "KL (nats)", "95 % from", "to", "control"],
    rows: [
      ["None", "0.80", "0.70", "0.90", ""],
      ["half", "0.40", "0.30", "0.50", "0.60"],
    ],
  });
});

test("a bar without a value is a word, a negative one begins left of zero, a long name is cut and said whole", () => {
  const long = "a name that is far too long to stand beside a bar";
  const { svg } = intervalBars({
    ...BARS,
    bars: [
      { label: long, value: Number.NaN, interval: { low: Number.NaN, high: Number.NaN } },
      { label: "worse", value: -0.2 },
      { label: "better", value: 0.2 },
    ],
  });
  expect(svg.markup).not.toContain("NaN");
  expect(svg.markup).toContain(">none</text>");
  expect(svg.markup).toContain(`<title>${long}</title>`);
  const [negative, positive] = [...svg.markup.matchAll(/<rect x="([\d.]+)"[^>]*width="([\d.]+)"/g)].map(
    ([, x, width]) => [Number(x), Number(width)],
  );
  expect(negative[0] + negative[1]).toBeCloseTo(positive[0], 1); // both at zero, coordinates rounded to 0.01
});

test("columns are as high as their values, and a place without one is left empty", () => {
  const { svg, table } = columns({
    ...{ id: "c", title: "KL", labels: { x: "position", y: "KL (nats)" }, first: 3 },
    ...{ values: [1, Number.NaN, 0.5], format: BARS.format },
  });
  const heights = [...svg.markup.matchAll(/<rect [^>]*height="([\d.]+)"/g)].map((match) => Number(match[1]));
  expect(heights).toHaveLength(2);
  expect(heights[0] / heights[1]).toBeCloseTo(2, 2); // coordinates are rounded to 0.01 of 150
  expect(table.rows).toEqual([
    [3, "1.00"],
    [4, "none"],
    [5, "0.50"],
  ]);
  expect(
    columns({ id: "e", title: "", values: [], labels: { x: "x", y: "y" }, format: String }).svg.markup,
  ).not.toMatch(/NaN|Infinity/);
});
