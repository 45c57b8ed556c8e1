// Takes the pictures of docs/screenshots from a finished demo: npx tsx bench/screenshots.ts tunediff-demo
//
// The report is opened from disk, the dashboard over loopback, without network. Needs `npm run build:web`, and a Chromium at
// /usr/bin/chromium or at TUNEDIFF_CHROMIUM.

import { join, resolve } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { startDashboard } from "../src/dashboard/start.ts";
import { packageRoot } from "../src/package-root.ts";

const REPORT_SHOTS = [
  { name: "report", width: 1280, height: 1500, colorScheme: "light", anchor: undefined },
  { name: "claims", width: 1280, height: 1500, colorScheme: "light", anchor: "article" },
  { name: "truth", width: 1280, height: 1300, colorScheme: "light", anchor: "#truth" },
  { name: "dark-phone", width: 390, height: 1100, colorScheme: "dark", anchor: "article" },
] as const;

const DASHBOARD_SHOTS = [
  { name: "dashboard-overview", width: 1280, height: 1200, colorScheme: "light", query: "screen=overview" },
  {
    name: "dashboard-latents",
    width: 1280,
    height: 900,
    colorScheme: "light",
    query: "screen=latents&sort=-deltaNorm",
  },
  {
    name: "dashboard-latent",
    width: 1280,
    height: 1200,
    colorScheme: "dark",
    query: "screen=latents&sort=-causal_gapClosed",
    /** The first one of this order. */
    follow: ".virtual tbody th a",
  },
] as const;

/** Charts and lists come after the screen; a picture is taken when nothing has moved for so long. */
const SETTLE_MS = 3000;

const study = resolve(process.argv[2] ?? "tunediff-demo");
const pictureOf = (name: string): string => join(packageRoot(), "docs", "screenshots", `${name}.png`);

const browser = await chromium.launch({
  executablePath: process.env.TUNEDIFF_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  await takeReport(browser);
  await takeDashboard(browser);
} finally {
  await browser.close();
}

async function takeReport(chrome: Browser): Promise<void> {
  for (const { name, width, height, colorScheme, anchor } of REPORT_SHOTS) {
    const page = await chrome.newPage({ viewport: { width, height }, colorScheme });
    await page.goto(`file://${join(study, "report.html")}`);
    if (anchor !== undefined) {
      await page
        .locator(anchor)
        .first()
        .evaluate((element) => element.scrollIntoView());
    }
    await page.screenshot({ path: pictureOf(name) });
    await page.close();
  }
}

async function takeDashboard(chrome: Browser): Promise<void> {
  const dashboard = await startDashboard({ folders: [study] });
  try {
    for (const { name, width, height, colorScheme, query, ...shot } of DASHBOARD_SHOTS) {
      const context = await chrome.newContext({ viewport: { width, height }, colorScheme });
      const page = await context.newPage();
      await page.goto(dashboard.url);
      await page.locator("#content h1, #content h2").first().waitFor();
      await page.goto(`${new URL(dashboard.url).origin}/?${query}`);
      await page.locator("#content h1, #content h2").first().waitFor();
      await page.waitForTimeout(SETTLE_MS);
      if ("follow" in shot) {
        await page.locator(shot.follow).first().click();
        await page.waitForTimeout(SETTLE_MS);
      }
      await page.screenshot({ path: pictureOf(name) });
      await context.close();
    }
  } finally {
    await dashboard.close();
  }
}
