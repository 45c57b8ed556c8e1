// What the browser tests share: whether there is a Chromium, the page built once a run, a window that writes down every fault.

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { packageRoot } from "../../src/package-root.ts";
import { madeOnce } from "../made-once.ts";

const run = promisify(execFile);
const CHROMIUM = process.env.TUNEDIFF_CHROMIUM ?? "/usr/bin/chromium";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Widths and colours in which every screen is looked at. */
export const LOOKS = [
  [1280, "light"],
  [1280, "dark"],
  [390, "dark"],
  [390, "light"],
] as const;

/** Whether to run; says on stderr when not. Where CI asks for it, a missing browser fails the tests in place of skipping them. */
export function isChromiumPresent(tests: string): boolean {
  const isPresent = existsSync(CHROMIUM) || process.env.TUNEDIFF_REQUIRE_CHROMIUM === "1";
  if (!isPresent) process.stderr.write(`SKIPPED: ${tests}, because ${CHROMIUM} does not exist\n`);
  return isPresent;
}

/** Folder of the page as it stands in web/src, built by the first test of the run that asks. */
export function builtPage(): Promise<string> {
  return madeOnce("page", async (folder) => {
    const vite = join(packageRoot(), "node_modules", "vite", "bin", "vite.js");
    const flags = ["--outDir", folder, "--emptyOutDir", "--logLevel", "error"];
    await run(process.execPath, [vite, "build", "web", ...flags], {
      cwd: packageRoot(),
      env: { ...process.env, NODE_ENV: "production" },
    });
  });
}

export function launchChromium(): Promise<Browser> {
  const quiet = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", ...quiet],
  });
}

export interface Window {
  context: BrowserContext;
  page: Page;
}

/** A window signed in at `url`, the launch address. faults: console messages, page errors, dialogs, and requests to anywhere else. */
export async function openWindow(browser: Browser, url: string, faults: string[]): Promise<Window> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("dialog", async (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("blob:"))
      faults.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  await page.locator("main h1").first().waitFor();
  return { context, page };
}

/** "rule: the first element that breaks it", a rule each. */
export async function axeViolations(page: Page, rules: "all" | "colours" = "all"): Promise<string[]> {
  if (!(await page.evaluate("'axe' in window"))) await page.evaluate(AXE);
  const only = rules === "all" ? "" : ", runOnly: ['color-contrast']";
  return page.evaluate(
    `axe.run(document, { resultTypes: ['violations']${only} }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`,
  );
}

/** How far the page is wider than its window, pixels. */
export function overhang(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
}
