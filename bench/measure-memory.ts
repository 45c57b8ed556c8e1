// Peak memory of a whole measuring process at one and at ten million rows; allowed: 5 % of growth.
//
// Stores are generated one at a time (10 million rows: 1 GB of temporary disk) by one child, measured by another, so that nothing of the
// making counts. A child's peak is VmHWM (Linux; elsewhere maxRSS), and beside it the largest resident set that it saw itself every
// 20 ms. Small width and dictionary: what could grow does so by the row and the document. TUNEDIFF_BENCH_MEMORY_ROWS=FEW,MANY.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MeasureCase } from "./measure-store.ts";
import type { BenchRow } from "./run.ts";

/** Large enough that both sizes are measured on worker threads: each is a JavaScript heap of its own, of some 60 to 90 MB. */
const CASE: MeasureCase = { dModel: 16, nLatents: 2048, l0: 8 };
const [FEW, MANY] = (process.env.TUNEDIFF_BENCH_MEMORY_ROWS ?? "1000000,10000000").split(",").map(Number);
const ALLOWED_GROWTH_PERCENT = 5;
const SAMPLE_MS = 20;

interface Measured {
  peakBytes: number;
  sampledPeakBytes: number;
  seconds: number;
}

function runChild(job: "generate" | "measure", folder: string, nRows: number): string {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [...process.execArgv, self, job, folder, String(nRows)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.status !== 0)
    throw new Error(`measure memory: ${job} ended with ${child.status ?? child.signal}`);
  return child.stdout;
}

function measureRows(nRows: number): Measured {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  try {
    runChild("generate", folder, nRows);
    const measured: Measured = JSON.parse(runChild("measure", folder, nRows));
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
    console.error(
      `memory: ${nRows} rows in ${measured.seconds.toFixed(1)} s, peak ${megabytes(measured.peakBytes)} MB, ` +
        `largest sample ${megabytes(measured.sampledPeakBytes)} MB`,
    );
    return measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function benchMeasureMemory(): BenchRow[] {
  const [few, many] = [FEW, MANY].map(measureRows);
  const row = (metric: string, ours: number, unit: string): BenchRow => ({
    ...{ case: "memory", metric, ours, peer: null, peerName: null, ratio: null, unit },
  });
  const growth = 100 * (many.peakBytes / few.peakBytes - 1);
  return [
    row(`peak at ${FEW} rows`, few.peakBytes / 1e6, "MB"),
    row(`peak at ${MANY} rows`, many.peakBytes / 1e6, "MB"),
    {
      ...row("growth of the peak, of which allowed", growth, "%"),
      ...{ peer: ALLOWED_GROWTH_PERCENT, peerName: "the project's goal" },
      ratio: growth > 0 ? ALLOWED_GROWTH_PERCENT / growth : null,
    },
    row(`${MANY} rows`, many.seconds, "s"),
  ];
}

function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  // Not maxRSS: on Linux that begins with what the parent had.
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}

/** The child. Imports are dynamic so that this process's memory is that of its own job. */
async function child(job: string, folder: string, nRows: number): Promise<void> {
  const paths = { storeFolder: join(folder, "store"), dictionaryFolder: join(folder, "dictionary") };
  const { loadDictionary, saveDictionary } = await import("../src/dictionary/dictionary-file.ts");
  if (job === "generate") {
    const { drawDictionary, withThreshold, writeGeneratedStore } = await import("./measure-store.ts");
    const dictionary = await withThreshold(CASE, drawDictionary(CASE));
    mkdirSync(paths.dictionaryFolder);
    await saveDictionary(paths.dictionaryFolder, dictionary);
    await writeGeneratedStore(paths.storeFolder, { which: CASE, dictionary, nRows });
    return;
  }
  const { measureOnce } = await import("./measure-cases.ts");
  const dictionary = await loadDictionary(paths.dictionaryFolder);
  let sampledPeakBytes = 0;
  const timer = setInterval(() => {
    sampledPeakBytes = Math.max(sampledPeakBytes, process.memoryUsage.rss());
  }, SAMPLE_MS);
  const { seconds } = await measureOnce(
    { dictionary, dictionaryFolder: paths.dictionaryFolder },
    { storeFolder: paths.storeFolder, threads: cpus().length },
  );
  clearInterval(timer);
  const measured: Measured = { peakBytes: peakBytes(), sampledPeakBytes, seconds };
  process.stdout.write(JSON.stringify(measured));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [job, folder, nRows] = process.argv.slice(2);
  await child(job, folder, Number(nRows));
}
