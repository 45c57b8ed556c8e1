// The page of `npm run bench -- dashboard` in Chromium, timed from inside: from the act to the frame that shows its result.
//
// First useful paint is timed from outside: from the order to open the address to figures in sight.

import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import type { BenchServer, SearchQuery } from "./dashboard-client.ts";

const CHROMIUM = process.env.TUNEDIFF_CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE_MS = 120_000;

/** undefined, and said so, where there is none. */
export async function openBrowser(): Promise<Browser | undefined> {
  if (!existsSync(CHROMIUM)) {
    console.error(`dashboard: SKIPPED all that needs a browser, because ${CHROMIUM} does not exist`);
    return undefined;
  }
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
}

/** What runs in the page; text, since it is of another world than this file's. */
const IN_PAGE = `globalThis.bench = (() => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const first = (selector) => document.querySelector(selector);
  const status = () => first("main [role=status]")?.textContent ?? "";
  const until = async (is) => {
    const end = performance.now() + ${PATIENCE_MS};
    while (!is()) {
      if (performance.now() > end) throw new Error("bench: nothing came: " + status());
      await new Promise((done) => requestAnimationFrame(done));
    }
  };
  const timed = async (act, is) => {
    const from = performance.now();
    act();
    await until(is);
    await frame();
    return performance.now() - from;
  };
  const type = (field, value) => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, value);
    field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
  };
  const hasRows = () => document.querySelectorAll(".virtual tbody th").length > 0;
  const go = (query) => {
    history.pushState(null, "", "/?" + query);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  return {
    go, hasRows,
    sort: (column) => {
      const heading = () => document.querySelectorAll(".virtual thead th")[column];
      const before = heading().getAttribute("aria-sort");
      return timed(() => heading().querySelector("button").click(), () => heading().getAttribute("aria-sort") !== before && hasRows());
    },
    addFilter: async (column) => {
      const picker = [...document.querySelectorAll(".filters select")].find((field) => [...field.options].some(({ value }) => value === column));
      type(picker, column);
      await until(() => first(".filters input.number") !== null);
    },
    filter: (low) => {
      // The address holds what the table shows; a limit between two latents leaves their number as it is.
      const before = location.search;
      return timed(() => type(first(".filters input.number"), String(low)), () => location.search !== before && !status().includes("loading"));
    },
    search: async ({ text, mode, where }) => {
      // Without the search before, no words of a search stand in the status.
      type(first("input[type=search]"), "");
      await until(() => !status().includes("search"));
      await frame();
      return new Promise((done, failed) => {
      type(first("[aria-label='Search in']"), where);
      type(first("[aria-label='Search as']"), mode);
      type(first("input[type=search]"), text);
      const times = { firstMs: 0, completeMs: 0 };
      const from = performance.now();
      const look = () => {
        const words = status();
        const isOver = words.includes("search done") || words.includes("stopped at its bound");
        const isShown = first(".virtual tbody mark") !== null || isOver;
        if (isShown && times.firstMs === 0) {
          times.firstMs = -1;
          frame().then(() => { times.firstMs = performance.now() - from; });
        }
        if (isOver && times.completeMs === 0) {
          times.completeMs = -1;
          watcher.disconnect();
          frame().then(frame).then(() => { times.completeMs = performance.now() - from; done(times); });
        }
      };
      const watcher = new MutationObserver(look);
      watcher.observe(document.body, { subtree: true, childList: true, characterData: true });
      setTimeout(() => failed(new Error("bench: no end of the search " + text + ": " + status())), ${PATIENCE_MS});
      first("form[role=search]").requestSubmit();
      });
    },
    latent: (number) => timed(
      () => go("screen=latent&latent=" + number),
      () => first("main h1")?.textContent.includes(number) && first("ol.examples li") !== null,
    ),
    waited: () => {
      const spans = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/api/"))
        .map(({ requestStart, responseEnd }) => [requestStart, responseEnd]).sort((a, b) => a[0] - b[0]);
      let sum = 0, at = 0;
      for (const [start, end] of spans) { sum += Math.max(0, end - Math.max(at, start)); at = Math.max(at, end); }
      return sum;
    },
  };
})();`;

export interface BenchPage {
  /** Opens the address anew; milliseconds to the sight of `selector`, and of them those in which the server was waited for. */
  open(query: string, selector: string): Promise<{ ms: number; serverMs: number }>;
  /** Within the page, without loading it again. */
  show(query: string, selector: string): Promise<void>;
  sort(column: number): Promise<number>;
  addFilter(column: string): Promise<void>;
  filter(low: number): Promise<number>;
  search(query: SearchQuery): Promise<{ firstMs: number; completeMs: number }>;
  latent(latent: number): Promise<number>;
  close(): Promise<void>;
}

/** A browser that has never been there: nothing is cached. */
export async function openPage(browser: Browser, server: BenchServer): Promise<BenchPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page: Page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.addInitScript(IN_PAGE);
  let reject: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, end) => {
    reject = end;
  });
  failed.catch(() => {}); // told to whoever waits
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    reject(
      new Error(
        `dashboard: the page failed (was it built of these sources?): ${message.text().slice(0, 300)}`,
      ),
    );
  });
  /** Until the page has done it, or has failed. */
  const orFails = <T>(work: Promise<T>): Promise<T> => Promise.race([work, failed]);
  let isSignedIn = false;
  const call = (name: string, ...args: unknown[]): Promise<never> =>
    orFails(page.evaluate(`bench.${name}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`));
  return {
    async open(query, selector) {
      const address = new URL(`/?${query}`, server.url);
      if (!isSignedIn) address.hash = `token=${server.token}`;
      isSignedIn = true;
      const from = performance.now();
      await page.goto(address.href, { waitUntil: "commit" });
      await orFails(page.locator(selector).first().waitFor());
      const ms = performance.now() - from;
      return { ms, serverMs: await call("waited") };
    },
    async show(query, selector) {
      await call("go", query);
      await orFails(page.locator(selector).first().waitFor());
    },
    sort: (column) => call("sort", column),
    addFilter: (column) => call("addFilter", column),
    filter: (low) => call("filter", low),
    search: (query) => call("search", query),
    latent: (latent) => call("latent", latent),
    close: () => context.close(),
  };
}
