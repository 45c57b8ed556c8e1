// Cost of a step against dictionary size, k, batch and width: four points each, all else as in BASE.
//
// What the design promises: the dense product grows with all but k; decode and gradients do not grow with the dictionary. Selection
// looks at every pre-activation once, Adam at every parameter: drawn for themselves. Writes docs/figures/train-cost.svg.

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { packageRoot } from "../src/package-root.ts";
import type { BenchRow } from "./run.ts";
import { drawBatch, openEngine, partsOf, stepOnce, type TrainCase } from "./train-cases.ts";

const BASE: TrainCase = { name: "cost", dModel: 256, nLatents: 8192, k: 32, batch: 1024 };
const SERIES = {
  nLatents: [4096, 8192, 16_384, 32_768],
  k: [16, 32, 64, 128],
  batch: [512, 1024, 2048, 4096],
  dModel: [128, 256, 512, 1024],
} as const;
const STEPS = 9;
const WARM_STEPS = 4;

interface Point {
  value: number;
  dense: number;
  sparse: number;
  select: number;
  adam: number;
}

const PARTS = ["dense", "sparse", "select", "adam"] as const;

async function measure(which: TrainCase): Promise<Omit<Point, "value">> {
  const engine = await openEngine(which, cpus().length);
  const batches = [drawBatch(which, 1), drawBatch(which, 2)];
  const steps: Omit<Point, "value">[] = [];
  try {
    for (let step = 0; step < STEPS + WARM_STEPS; step += 1) {
      await stepOnce(engine, batches[step % 2], which);
      if (step < WARM_STEPS) continue;
      const { dense, decode, gradients, select, adam } = await partsOf(engine);
      steps.push({ dense, sparse: decode + gradients, select, adam });
    }
  } finally {
    await engine.dispose();
  }
  // The fastest of each part: what the machine's other tenants add is never negative.
  const best = PARTS.map((part) => [part, Math.min(...steps.map((step) => step[part]))] as const);
  return Object.fromEntries(best) as unknown as Omit<Point, "value">;
}

export async function benchCost(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const panels: { name: string; points: Point[] }[] = [];
  for (const [name, values] of Object.entries(SERIES)) {
    const points: Point[] = [];
    for (const value of values) {
      const point = { value, ...(await measure({ ...BASE, [name]: value })) };
      points.push(point);
      for (const part of PARTS) {
        rows.push({
          ...{ case: `cost ${name} ${value}`, metric: LABELS[part], ours: point[part], unit: "ms" },
          ...{ peer: null, peerName: null, ratio: null },
        });
      }
    }
    panels.push({ name, points });
  }
  const path = join(packageRoot(), "docs/figures/train-cost.svg");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, drawPanels(panels));
  console.error(`cost: drawn to ${path}`);
  return rows;
}

const [WIDTH, HEIGHT, MARGIN] = [300, 230, 44];
const LABELS: Record<(typeof PARTS)[number], string> = {
  dense: "dense product",
  sparse: "decode, gradients",
  select: "selection",
  adam: "Adam",
};
const COLOURS: Record<(typeof PARTS)[number], string> = {
  dense: "#0072b2",
  sparse: "#d55e00",
  select: "#cc79a7",
  adam: "#009e73",
};

/** Both axes logarithmic: a slope of one is proportional, of zero is flat. */
function drawPanels(panels: { name: string; points: Point[] }[]): string {
  const all = panels.flatMap(({ points }) => points.flatMap((point) => PARTS.map((part) => point[part])));
  const [low, high] = [Math.log2(Math.min(...all)) - 0.3, Math.log2(Math.max(...all)) + 0.3];
  const y = (ms: number): number =>
    HEIGHT - MARGIN - ((Math.log2(ms) - low) / (high - low)) * (HEIGHT - MARGIN - 24);
  const drawn = panels.map(({ name, points }, panel) => {
    const x = (i: number): number =>
      panel * WIDTH + MARGIN + (i * (WIDTH - 2 * MARGIN)) / (points.length - 1);
    const lines = PARTS.map((part) => {
      const colour = COLOURS[part];
      const path = points.map((point, i) => `${x(i).toFixed(1)},${y(point[part]).toFixed(1)}`).join(" ");
      const dots = points
        .map((point, i) => `<circle cx="${x(i).toFixed(1)}" cy="${y(point[part]).toFixed(1)}" r="3"/>`)
        .join("");
      return `<g fill="${colour}" stroke="${colour}"><polyline fill="none" stroke-width="2" points="${path}"/>${dots}</g>`;
    });
    const labels = points.map(
      ({ value }, i) => `<text x="${x(i)}" y="${HEIGHT - MARGIN + 16}" text-anchor="middle">${value}</text>`,
    );
    const title = `<text x="${panel * WIDTH + WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">${name}</text>`;
    return [...lines, ...labels, title].join("\n");
  });
  const ticks = Array.from(
    { length: Math.floor(high) - Math.ceil(low) + 1 },
    (_, i) => 2 ** (Math.ceil(low) + i),
  ).map(
    (ms) =>
      `<text x="${MARGIN - 10}" y="${y(ms) + 4}" text-anchor="end">${ms}</text>` +
      `<line x1="${MARGIN - 6}" x2="${panels.length * WIDTH - MARGIN + 6}" y1="${y(ms)}" y2="${y(ms)}" stroke="#ccc"/>`,
  );
  const legend = PARTS.map(
    (part, i) => `<text x="${MARGIN + i * 180}" y="16" fill="${COLOURS[part]}">${LABELS[part]}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${panels.length * WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>Milliseconds of a training step's parts against size; both axes logarithmic. Made by npm run bench -- train.</title>
<rect width="100%" height="100%" fill="white"/>
${[...ticks, ...legend, ...drawn].join("\n")}
<text x="${MARGIN - 36}" y="16">ms</text>
</svg>
`;
}
