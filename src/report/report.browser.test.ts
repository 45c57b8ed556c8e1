// The page in a real browser, from disk: Debian's Chromium through playwright-core. Skipped, and said so, where there is none.

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { madeGlance } from "./glance-fixture.test.data.ts";
import { GLANCE_PAGE, renderGlancePage } from "./glance-page.ts";
import { renderReport } from "./report.ts";
import { reportFixture } from "./report-fixture.test.data.ts";

const CHROMIUM = process.env.TUNEDIFF_CHROMIUM ?? "/usr/bin/chromium";
// Where CI asks for it, a missing browser fails the tests in place of skipping them.
const isPresent = existsSync(CHROMIUM) || process.env.TUNEDIFF_REQUIRE_CHROMIUM === "1";
if (!isPresent)
  process.stderr.write(`SKIPPED: the browser tests of the report, because ${CHROMIUM} does not exist\n`);

/** More than have their card in the open. */
const N_CLAIMS = 66;

describe.skipIf(!isPresent)("report.html opened from disk", () => {
  let browser: Browser;
  let folder: string;
  let url: string;
  let glanceUrl: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunediff-report-"));
    const path = join(folder, "report.html");
    await writeFile(path, renderReport(reportFixture({ nLatents: 512, nFinetunedClaims: N_CLAIMS })));
    url = pathToFileURL(path).href;
    const glancePath = join(folder, GLANCE_PAGE);
    await writeFile(glancePath, renderGlancePage(madeGlance()));
    glanceUrl = pathToFileURL(glancePath).href;
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  /** Opens the page; `faults` fills with console messages, page errors, policy violations and requests but the page's own. */
  async function open(options: { script?: boolean } = {}): Promise<{ page: Page; faults: string[] }> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      javaScriptEnabled: options.script ?? true,
    });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("dialog", async (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on("request", (request) => {
      if (![url, glanceUrl, "data:,"].includes(request.url())) faults.push(`request: ${request.url()}`);
    });
    await page.goto(url);
    return { page, faults };
  }

  test("wide and narrow, light and dark, it is silent, asks for nothing and does not scroll sideways", async () => {
    const { page, faults } = await open();
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        const [scroll, client, background] = (await page.evaluate(
          "[document.documentElement.scrollWidth, document.documentElement.clientWidth, getComputedStyle(document.body).backgroundColor]",
        )) as [number, number, string];
        expect(scroll).toBeLessThanOrEqual(client);
        expect(background).toBe(colorScheme === "dark" ? "rgb(23, 24, 27)" : "rgb(252, 251, 248)");
      }
    }
    expect(faults).toEqual([]);
  });

  test("the link of the report leads to the glance, silent and no wider than the page, folded parts open", async () => {
    const { page, faults } = await open();
    await page.locator("#glance a").first().click();
    await page.waitForURL(glanceUrl);
    await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      const [scroll, client] = (await page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
      )) as [number, number];
      expect(scroll).toBeLessThanOrEqual(client);
    }
    expect(await page.locator("img, script").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("without a script every claim, number and section is there, and no control that would do nothing", async () => {
    const { page, faults } = await open({ script: false });
    expect(await page.locator("article.card").count()).toBe(N_CLAIMS + 4);
    expect(await page.locator("table.claims tbody tr").count()).toBe(N_CLAIMS + 4);
    expect(await page.locator("button, input").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("with a script: sorting, filtering, unfolding; hostile strings stay text, later markup cannot run", async () => {
    const { page, faults } = await open();
    const table = page.locator("table.claims").first();

    const column = table.locator("thead th").nth(4);
    const values = async (): Promise<number[]> =>
      (await table.locator("tbody tr td:nth-child(5)").allTextContents()).map((text) =>
        Number(text.replace("−", "-")),
      );
    await column.locator("button").click();
    const upwards = await values();
    expect(upwards).toEqual([...upwards].sort((a, b) => a - b));
    expect(await column.getAttribute("aria-sort")).toBe("ascending");
    await column.locator("button").press("Enter");
    expect(await values()).toEqual([...upwards].sort((a, b) => b - a));
    expect(await column.getAttribute("aria-sort")).toBe("descending");

    const rows = await table.locator("tbody tr").allTextContents();
    const nWanted = rows.filter((row) => row.includes("nothing planted")).length;
    expect(nWanted).toBeGreaterThan(0);
    await table.locator("input[type=search]").fill("Nothing planted");
    const shown = await table.locator("tbody tr:not([hidden])").allTextContents();
    expect(shown.filter((row) => row.includes("nothing planted"))).toHaveLength(nWanted);
    expect(shown).toHaveLength(nWanted);
    expect(await table.locator("output").textContent()).toBe(`${nWanted} of ${N_CLAIMS}`);
    await table.locator("input[type=search]").fill("");

    const folded = page.locator("details.folded");
    expect(await folded.getAttribute("open")).toBeNull();
    const id = await folded.locator("article").last().getAttribute("id");
    await table.locator(`a[href="#${id}"]`).click();
    await page.locator(`[id="${id}"]`).waitFor({ state: "visible" });
    expect(await folded.getAttribute("open")).toBe("");

    expect(await page.locator("img").count()).toBe(0);
    expect(
      (await page.locator("main").textContent())?.includes("</script><img src=x onerror=alert(1)>"),
    ).toBe(true);
    expect(faults).toEqual([]);
    await page.evaluate(`{
      const script = document.createElement("script");
      script.textContent = "document.title = 'broken'";
      document.body.append(script);
    }`);
    expect(await page.title()).not.toBe("broken");
    expect(faults.join()).toContain("Content Security Policy");
  });
});
