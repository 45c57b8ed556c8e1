// Takes the pictures of docs/screenshots from a finished demo: npx tsx bench/screenshots.ts tunediff-demo/report.html
//
// Needs a Chromium at /usr/bin/chromium or at TUNEDIFF_CHROMIUM; opens the file from disk, without network.

import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { packageRoot } from "../src/package-root.ts";

const report = resolve(process.argv[2] ?? "tunediff-demo/report.html");
const shots = [
  { name: "report", width: 1280, height: 1500, colorScheme: "light", anchor: undefined },
  { name: "claims", width: 1280, height: 1500, colorScheme: "light", anchor: "article" },
  { name: "truth", width: 1280, height: 1300, colorScheme: "light", anchor: "#truth" },
  { name: "dark-phone", width: 390, height: 1100, colorScheme: "dark", anchor: "article" },
] as const;

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
  for (const { name, width, height, colorScheme, anchor } of shots) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    await page.goto(`file://${report}`);
    if (anchor !== undefined) {
      await page
        .locator(anchor)
        .first()
        .evaluate((element) => element.scrollIntoView());
    }
    await page.screenshot({ path: join(packageRoot(), "docs", "screenshots", `${name}.png`) });
    await page.close();
  }
} finally {
  await browser.close();
}
