// What a further row costs a measurement, against rows, codes a row and dictionary size, all else as in BASE.
//
// What the design promises: linear in rows and in L0, flat in the dictionary's size but for the encoder's dense product. Tables, examples
// and the sums by document group have an entry a latent and cost the same for any number of rows, so every point is measured at
// two numbers of rows, one twice the other: the difference is the cost of rows, what is left the cost of the dictionary. Of the former, the
// encoder alone over rows in memory is taken off: "beyond the encoder". The fastest of three of each: what the machine's
// other tenants add is never negative. A series' growth is log(cost ratio) / log(size ratio) of its ends: of the cost of a row, 0 is
// flat (against rows: linear in them), 1 is proportional, NaN too few rows for this machine. TUNEDIFF_BENCH_SHAPE_ROWS: other than 16,384.

import { cpus } from "node:os";
import { encodeOnce, measureOnce, type PreparedCase, prepareCase, rowsToEncode } from "./measure-cases.ts";
import type { MeasureCase } from "./measure-store.ts";
import type { BenchRow } from "./run.ts";

const ROWS = Number(process.env.TUNEDIFF_BENCH_SHAPE_ROWS ?? 16_384);
const BASE = { dModel: 256, nLatents: 16_384, l0: 64, planted: 64, rows: ROWS };
const SERIES = {
  rows: [ROWS / 2, ROWS, 2 * ROWS],
  l0: [16, 32, 64, 128, 256],
  nLatents: [4096, 8192, 16_384, 32_768],
} as const;
const REPEATS = 3;

/** Seconds: of 1,000 further rows, and of a measurement less all its rows. */
const PARTS = ["1k rows, encoder alone", "1k rows, beyond the encoder", "whatever the rows"] as const;
type Point = Record<(typeof PARTS)[number], number>;

interface Fastest {
  whole: number;
  encoder: number;
}

async function fastestOf(prepared: PreparedCase, nRows: number): Promise<Fastest> {
  const threads = cpus().length;
  const storeFolder = await prepared.store(nRows);
  const x = await rowsToEncode(storeFolder);
  const best: Fastest = { whole: Number.POSITIVE_INFINITY, encoder: Number.POSITIVE_INFINITY };
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    best.whole = Math.min(best.whole, (await measureOnce(prepared, { storeFolder, threads })).seconds);
    best.encoder = Math.min(best.encoder, await encodeOnce(prepared.dictionary, x, threads));
  }
  return best;
}

async function measurePoint(which: MeasureCase, nRows: number): Promise<Point> {
  const prepared = await prepareCase(which);
  try {
    const once = await fastestOf(prepared, nRows);
    const twice = await fastestOf(prepared, 2 * nRows);
    const perThousand = (part: keyof Fastest): number => (1000 * (twice[part] - once[part])) / nRows;
    return {
      "1k rows, encoder alone": perThousand("encoder"),
      "1k rows, beyond the encoder": perThousand("whole") - perThousand("encoder"),
      "whatever the rows": 2 * once.whole - twice.whole,
    };
  } finally {
    await prepared.dispose();
  }
}

/** points: of all series so far by their case, since BASE is in every one. */
async function measureSeries(name: keyof typeof SERIES, points: Map<string, Point>): Promise<BenchRow[]> {
  const values: readonly number[] = SERIES[name];
  const result: BenchRow[] = [];
  const row = (at: string, metric: string, ours: number, unit: string): void => {
    result.push({ case: `shape ${name} ${at}`, metric, ours, peer: null, peerName: null, ratio: null, unit });
  };
  const series: Point[] = [];
  for (const value of values) {
    const { rows, ...which }: typeof BASE = { ...BASE, [name]: value };
    const key = JSON.stringify([rows, which]);
    const point = points.get(key) ?? (await measurePoint(which, rows));
    points.set(key, point);
    series.push(point);
    const told = PARTS.map((part) => `${part} ${point[part].toFixed(3)} s`).join(", ");
    console.error(`measure, shape: ${name} ${value}: ${told}`);
    for (const part of PARTS) row(String(value), part, point[part], "s");
  }
  const sizes = values[values.length - 1] / values[0];
  for (const part of PARTS) {
    const growth = Math.log(series[series.length - 1][part] / series[0][part]) / Math.log(sizes);
    row("growth", part, growth, "exponent");
  }
  return result;
}

export async function benchShape(): Promise<BenchRow[]> {
  const points = new Map<string, Point>();
  const rows: BenchRow[] = [];
  for (const name of Object.keys(SERIES) as (keyof typeof SERIES)[])
    rows.push(...(await measureSeries(name, points)));
  return rows;
}
