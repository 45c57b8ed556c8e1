// The dashboard over a generated study of 73,728 latents and a million examples: what a person waits for, in Chromium, and the server's part
// of it, asked without a browser; its memory; the size of the page; and how ordinary requests fare in a storm of abuse.
//
// Goals stand in the column `peer`: ratio > 1 is within the goal. No other program does this job. The study is
// made by the project's own writers and is gone afterwards. "cold": a server and a browser that have read nothing yet; the files are in the
// system's cache. A search is told twice: until its first hits are shown, and until it has ended (all texts looked at, or its bound on hits).
// Needs `npm run build:web`, or a built page at TUNEDIFF_BENCH_PAGE. TUNEDIFF_BENCH_SIZE=LATENTS for a small trial.

import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { createRng } from "../src/numerics/rng.ts";
import { quantileOfSorted } from "../src/numerics/statistics.ts";
import { openBrowser, openPage } from "./dashboard-browser.ts";
import {
  type BenchClient,
  type BenchServer,
  PAGE_FOLDER,
  runChild,
  signedIn,
  startChild,
  startServer,
} from "./dashboard-client.ts";
import { searchMix } from "./dashboard-queries.ts";
import { makeCorpus } from "./dashboard-text.ts";
import type { BenchRow } from "./run.ts";

const N_LATENTS = Number(process.env.TUNEDIFF_BENCH_SIZE ?? 73_728);
const GOALS = {
  paintMs: 2000,
  actMs: 250,
  latentMs: 300,
  rssMb: 500,
  bundleKb: 400,
  stormRatio: 2,
} as const;
const REPEATS = {
  latents: 60,
  browserLatents: 25,
  paints: 5,
  sorts: 24,
  filters: 24,
  ordinary: 400,
} as const;
const OVERVIEW = { query: "screen=overview", sight: ".overview .figures dd" };
const TABLE = { query: "screen=latents&sort=-deltaNorm", sight: ".virtual tbody th a" };
/** Columns of the table that are pressed in turn, of those shown at first: tokens, a category, numbers. */
const SORTED_COLUMNS = [2, 3, 5, 6, 7, 8];

export async function benchDashboard(): Promise<BenchRow[]> {
  if (!existsSync(join(PAGE_FOLDER, "index.html")))
    throw new Error("dashboard: run `npm run build:web` first");
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const rows: BenchRow[] = [];
  const rng = createRng(0, "bench dashboard");
  const latents = (n: number, of: number): number[] =>
    Array.from({ length: n }, (_, i) => rng.uint32(of, i) % N_LATENTS);
  try {
    await step("making the study", () => runChild("generate", folder, String(N_LATENTS)));
    rows.push(...bundleRows());
    await step("the server alone", async () => void rows.push(...(await serverRows(folder, latents))));
    await step("abuse", async () => void rows.push(...(await stormRows(folder, latents))));
    await step("the browser", async () => void rows.push(...(await browserRows(folder, latents))));
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Latents = (n: number, of: number) => number[];

/** A part that fails is told and makes the whole fail, but what the others measured is still printed. */
async function step(name: string, work: () => Promise<void>): Promise<void> {
  const from = performance.now();
  try {
    await work();
  } catch (error) {
    console.error(`dashboard: ${name} failed:`, error);
    process.exitCode = 1;
  }
  console.error(`dashboard: ${name}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

/** A figure and its goal; none: null. */
function row(at: string, metric: string, ours: number, unit: string, goal: number | null = null): BenchRow {
  return {
    ...{ case: at, metric, ours, unit, peer: goal, peerName: goal === null ? null : "the goal" },
    ratio: goal === null ? null : goal / ours,
  };
}

/** Median, 95th percentile and greatest; the goal is of the 95th percentile. */
function spread(
  at: string,
  metric: string,
  times: readonly number[],
  goal: number | null = null,
): BenchRow[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [
    row(at, `${metric}, median of ${times.length}`, quantileOfSorted(sorted, 0.5), "ms"),
    row(at, `${metric}, 95th percentile`, quantileOfSorted(sorted, 0.95), "ms", goal),
    row(at, `${metric}, greatest`, sorted[sorted.length - 1], "ms"),
  ];
}

function bundleRows(): BenchRow[] {
  const folder = PAGE_FOLDER;
  const assets = join(folder, "assets");
  const sizes = new Map(
    readdirSync(assets)
      .filter((name) => /\.(js|css)$/.test(name))
      .map((name) => [name, gzipSync(readFileSync(join(assets, name)), { level: 9 }).length]),
  );
  const sum = (names: Iterable<string>): number =>
    [...names].reduce((all, name) => all + (sizes.get(name) ?? 0), 0) / 1e3;
  // What index.html names, and what the overview's own part imports.
  const names = [...sizes.keys()];
  const namedIn = (path: string): string[] => {
    const text = readFileSync(path, "utf8");
    return names.filter((name) => text.includes(name));
  };
  const first = new Set(namedIn(join(folder, "index.html")));
  for (const name of names.filter((name) => name.startsWith("overview-"))) {
    first.add(name);
    for (const imported of namedIn(join(assets, name))) first.add(imported);
  }
  return [
    row("bundle", "all js and css, gzip", sum(sizes.keys()), "kB", GOALS.bundleKb),
    row("bundle", "of the first screen, gzip", sum(first), "kB", GOALS.bundleKb),
  ];
}

async function serverRows(folder: string, latents: Latents): Promise<BenchRow[]> {
  const at = "server";
  const rows: BenchRow[] = [];
  const fresh = async <T>(work: (client: BenchClient, server: BenchServer) => Promise<T>): Promise<T> => {
    const server = await startServer(folder);
    try {
      const client = await signedIn(server);
      try {
        return await work(client, server);
      } finally {
        client.close();
      }
    } finally {
      await server.close();
    }
  };
  await fresh(async (client) => {
    const [latent] = latents(1, 0);
    rows.push(row(at, "latent page, cold", await client.get(`latents/${latent}`), "ms", GOALS.latentMs));
    rows.push(
      row(at, "its examples, cold", await client.get(`latents/${latent}/examples?bin=-1&count=20`), "ms"),
    );
  });
  await fresh(async (client, server) => {
    rows.push(row(at, "memory when started", server.memory().now, "MB"));
    rows.push(row(at, "overview, cold", await client.get("overview"), "ms"));
    rows.push(row(at, "list of columns, cold", await client.get("columns"), "ms"));
    const warm: number[] = [];
    for (let i = 0; i < REPEATS.paints; i += 1) warm.push(await client.get("overview"));
    rows.push(...spread(at, "overview", warm));
    const pages: number[] = [];
    for (const latent of latents(REPEATS.latents, 1)) {
      const page = client.get(`latents/${latent}`);
      const examples = client.get(`latents/${latent}/examples?bin=-1&count=20`);
      pages.push(Math.max(await page, await examples));
    }
    rows.push(...spread(at, "latent page and its examples", pages, GOALS.latentMs));

    // The index is made on the first search; others go on meanwhile.
    const question = { kind: "", text: "nothing to be found", mode: "text", where: "examples" } as const;
    let isBuilt = false;
    const building = client.search(question).finally(() => {
      isBuilt = true;
    });
    const meanwhile: number[] = [];
    for (const latent of latents(10_000, 2)) {
      if (isBuilt) break;
      meanwhile.push(await client.get(`latents/${latent}`));
      await sleep(100);
    }
    rows.push(row(at, "making the search index", (await building).completeMs / 1000, "s"));
    if (meanwhile.length > 0) rows.push(...spread(at, "latent page while the index is made", meanwhile));
    rows.push(...(await searchRows(at, (query) => client.search(query))));
    rows.push(row(at, "memory after all this", server.memory().now, "MB"));
    rows.push(row(at, "greatest memory", server.memory().peak, "MB", GOALS.rssMb));
  });
  return rows;
}

/** The mix of questions, by kind and all together. */
async function searchRows(
  at: string,
  ask: (query: ReturnType<typeof searchMix>[number]) => Promise<{ firstMs: number; completeMs: number }>,
): Promise<BenchRow[]> {
  const { words } = makeCorpus(0);
  const asked: { kind: string; text: string; firstMs: number; completeMs: number }[] = [];
  for (const query of searchMix(words)) asked.push({ ...query, ...(await ask(query)) });
  const slowest = asked.toSorted((a, b) => b.completeMs - a.completeMs).slice(0, 8);
  console.error(
    `dashboard: slowest searches, ${at}: ${slowest.map(({ text, completeMs }) => `${JSON.stringify(text)} ${completeMs.toFixed(0)} ms`).join(", ")}`,
  );
  const rows: BenchRow[] = [];
  for (const kind of new Set(asked.map((one) => one.kind))) {
    const times = asked.filter((one) => one.kind === kind).map(({ completeMs }) => completeMs);
    const [middle, , greatest] = spread(at, `search, ${kind}: complete`, times);
    rows.push(middle, greatest);
  }
  return [
    ...rows,
    ...spread(
      at,
      "search, all kinds: first hits",
      asked.map(({ firstMs }) => firstMs),
      GOALS.actMs,
    ),
    ...spread(
      at,
      "search, all kinds: complete",
      asked.map(({ completeMs }) => completeMs),
      GOALS.actMs,
    ),
  ];
}

/** Ordinary requests one after another, in quiet and in a storm, told by their 99th percentile. */
async function stormRows(folder: string, latents: Latents): Promise<BenchRow[]> {
  const server = await startServer(folder);
  const client = await signedIn(server);
  const ordinary = async (): Promise<number> => {
    const times: number[] = [];
    for (const latent of latents(REPEATS.ordinary, 3)) times.push(await client.get(`latents/${latent}`));
    return quantileOfSorted(
      times.toSorted((a, b) => a - b),
      0.99,
    );
  };
  try {
    await ordinary();
    const quiet = await ordinary();
    const child = startChild("storm", String(server.port), client.cookie);
    let during: number;
    try {
      await once(child.stdout as NodeJS.ReadableStream, "data");
      during = await ordinary();
    } finally {
      child.stdin?.end();
      await once(child, "exit");
    }
    const at = "storm";
    return [
      row(at, "latent page in quiet, 99th percentile", quiet, "ms"),
      row(at, "latent page in a storm, 99th percentile", during, "ms"),
      row(at, "storm over quiet", during / quiet, "times", GOALS.stormRatio),
      row(at, "greatest memory", server.memory().peak, "MB", GOALS.rssMb),
    ];
  } finally {
    client.close();
    await server.close();
  }
}

async function browserRows(folder: string, latents: Latents): Promise<BenchRow[]> {
  const browser = await openBrowser();
  if (browser === undefined) return [];
  const at = "browser";
  const rows: BenchRow[] = [];
  const inPage = async (
    work: (page: Awaited<ReturnType<typeof openPage>>, server: BenchServer) => Promise<void>,
  ) => {
    const server = await startServer(folder);
    try {
      const page = await openPage(browser, server);
      await work(page, server);
      await page.close();
    } finally {
      await server.close();
    }
  };
  try {
    await inPage(async (page) => {
      const { ms, serverMs } = await page.open(`screen=latent&latent=${latents(1, 4)[0]}`, "ol.examples li");
      rows.push(row(at, "a latent's address opened, cold", ms, "ms", GOALS.paintMs));
      rows.push(row(at, "  of which the server is waited for", serverMs, "ms"));
    });
    await inPage(async (page, server) => {
      const cold = await page.open(OVERVIEW.query, OVERVIEW.sight);
      rows.push(row(at, "first useful paint, cold", cold.ms, "ms", GOALS.paintMs));
      rows.push(row(at, "  of which the server is waited for", cold.serverMs, "ms"));
      const paints = [];
      for (let i = 0; i < REPEATS.paints; i += 1)
        paints.push(await page.open(OVERVIEW.query, OVERVIEW.sight));
      rows.push(
        ...spread(
          at,
          "first useful paint, warm",
          paints.map(({ ms }) => ms),
          GOALS.paintMs,
        ),
      );
      rows.push(
        ...spread(
          at,
          "  of which the server is waited for",
          paints.map(({ serverMs }) => serverMs),
        ),
      );
      const table = await page.open(TABLE.query, TABLE.sight);
      rows.push(row(at, "table opened", table.ms, "ms", GOALS.paintMs));
      const sorts: number[] = [];
      for (let i = 0; i < REPEATS.sorts; i += 1)
        sorts.push(await page.sort(SORTED_COLUMNS[i % SORTED_COLUMNS.length]));
      rows.push(...spread(at, "sort", sorts, GOALS.actMs));
      const filters: number[] = [];
      await page.addFilter("deltaNorm");
      for (let i = 1; i <= REPEATS.filters; i += 1)
        filters.push(await page.filter(i / (REPEATS.filters + 2)));
      rows.push(...spread(at, "range filter", filters, GOALS.actMs));
      await page.show(TABLE.query, TABLE.sight);
      rows.push(...(await searchRows(at, (query) => page.search(query))));
      await page.show("screen=latent&latent=0", "ol.examples li");
      const pages: number[] = [];
      for (const latent of latents(REPEATS.browserLatents, 5)) pages.push(await page.latent(latent));
      rows.push(...spread(at, "latent page", pages, GOALS.latentMs));
      rows.push(row(at, "the server's greatest memory", server.memory().peak, "MB", GOALS.rssMb));
    });
    return rows;
  } finally {
    await browser.close();
  }
}
