// npm run bench -- NAME [--json FILE]: prints a table for people and, when asked, writes the rows as JSON.
//
// A row: {case, metric, ours, peer, peerName, ratio, unit}; ratio > 1 means ours is better, no peer: null.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { packageVersion } from "../src/package-root.ts";
import { benchAdapters } from "./adapters.ts";
import { benchCausal } from "./causal.ts";
import { benchDashboard } from "./dashboard.ts";
import { benchDemo } from "./demo.ts";
import { benchHarvest } from "./harvest.ts";
import { benchMeasure } from "./measure.ts";
import { benchMemory } from "./memory.ts";
import { benchTrain } from "./train.ts";
import { benchTruth } from "./truth.ts";

export interface BenchRow {
  case: string;
  metric: string;
  ours: number;
  peer: number | null;
  peerName: string | null;
  ratio: number | null;
  unit: string;
}

const BENCHES: Record<string, () => Promise<BenchRow[]>> = {
  adapters: benchAdapters,
  causal: benchCausal,
  dashboard: benchDashboard,
  demo: benchDemo,
  harvest: benchHarvest,
  measure: benchMeasure,
  memory: benchMemory,
  train: benchTrain,
  truth: benchTruth,
};

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "not a git checkout"; // a figure from a tarball still says its version
  }
}

function printTable(rows: BenchRow[]): void {
  const header = ["case", "metric", "ours", "peer", "ratio", "unit"];
  const shown = (value: number | null): string =>
    value === null ? "–" : Number.isInteger(value) ? String(value) : value.toFixed(3);
  const lines = rows.map((row) => [
    row.case,
    row.metric,
    shown(row.ours),
    row.peer === null ? "–" : `${shown(row.peer)} (${row.peerName})`,
    shown(row.ratio),
    row.unit,
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column].length)),
  );
  for (const line of [header, ...lines])
    console.log(line.map((cell, column) => cell.padEnd(widths[column])).join("  "));
}

const [name, flag, file] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`bench: expected one of ${Object.keys(BENCHES).join(", ")}, got ${name ?? "nothing"}`);
  process.exit(2);
}
const rows = await bench();
printTable(rows);
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  memoryBytes: totalmem(),
  node: process.version,
  platform: process.platform,
};
if (flag === "--json") {
  const result = { name, version: packageVersion(), commit: commit(), machine, rows };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
}
