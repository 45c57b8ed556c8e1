// The screens Causal and Glance in a real browser, over made-up results and no study: with keys, a lasso, hostile tokens.
//
// The page is built afresh. Skipped, and said so, where there is no Chromium.

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { StudyEntry } from "../../src/dashboard/api-contract.ts";
import { createDashboardApp } from "../../src/dashboard/app.ts";
import { fakeView } from "../../src/dashboard/fake-view.test.helper.ts";
import { type Notes, openNotes } from "../../src/dashboard/notes.ts";
import { type DashboardServer, serveDashboard } from "../../src/dashboard/serve.ts";
import { readStaticFiles } from "../../src/dashboard/static-files.ts";
import type { StudySource } from "../../src/dashboard/study-source.ts";
import type { LatentMeasure } from "../../src/measure/measure-contract.ts";
import { packageRoot } from "../../src/package-root.ts";
import { madeCauses } from "../../src/report/causal-fixture.test.data.ts";
import { madeGlance } from "../../src/report/glance-fixture.test.data.ts";
import { HOSTILE } from "../../src/report/hostile.test.data.ts";

const CHROMIUM = process.env.TUNEDIFF_CHROMIUM ?? "/usr/bin/chromium";
const isPresent = existsSync(CHROMIUM) || process.env.TUNEDIFF_REQUIRE_CHROMIUM === "1";
if (!isPresent)
  process.stderr.write(
    `SKIPPED: the browser tests of Causal and Glance, because ${CHROMIUM} does not exist\n`,
  );

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const N_LATENTS = 60;
const N_CANDIDATES = 50;
const LATENTS = Array.from({ length: N_LATENTS }, (_, latent) => ({
  latent,
  claim: latent < N_CANDIDATES ? "finetuned-specific" : "none",
})) as LatentMeasure[];

const study = (id: number): StudyEntry => ({
  ...{ id, title: `study ${id}`, base: "base", finetuned: "finetuned", running: null },
  layer: { base: 3, finetuned: 3 },
  dictionaries: [
    { name: "main", nLatents: N_LATENTS, sparsity: "BatchTopK, k 4", isMain: true, measured: true },
  ],
});

describe.skipIf(!isPresent)("Causal and Glance in Chromium", () => {
  let folder: string;
  let notes: Notes;
  let server: DashboardServer;
  let browser: Browser;
  let page: Page;
  let faults: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunediff-causal-glance-"));
    const pageFolder = join(folder, "page");
    const vite = join(packageRoot(), "node_modules", "vite", "bin", "vite.js");
    await promisify(execFile)(
      process.execPath,
      [vite, "build", "web", "--outDir", pageFolder, "--emptyOutDir", "--logLevel", "error"],
      { cwd: packageRoot(), env: { ...process.env, NODE_ENV: "production" } },
    );
    notes = openNotes(folder);
    const views = [fakeView({ causal: madeCauses(LATENTS), glance: madeGlance() }), fakeView({})];
    const source = {
      studies: async () => [study(0), study(1)],
      dictionary: async (id: number) => views[id],
    } as unknown as StudySource;
    const files = await readStaticFiles(pageFolder);
    server = await serveDashboard({
      createApp: (security) => createDashboardApp({ source, notesOf: () => notes, security, files }),
    });
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
        ...["--disable-background-networking", "--disable-component-update"],
      ],
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(20_000);
    page.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    await page.goto(`${server.url}`);
    await page.locator("nav").first().waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    notes?.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await page.goto("about:blank");
    faults = [];
  });

  async function go(query: string): Promise<void> {
    await page.goto(new URL(`/?${query}`, server.url).href);
    await page.locator("main h1").first().waitFor();
    await expect.poll(() => page.locator("main .loading").count()).toBe(0);
  }
  const choice = (label: string) =>
    page.locator("label.choice", { hasText: new RegExp(`^${label}`) }).locator("select");
  const parameter = (name: string) => () => new URL(page.url()).searchParams.get(name);

  for (const screen of ["causal", "glance"]) {
    test(`${screen}: whole and silent at both widths, light and dark, with everything unfolded; axe finds nothing`, async () => {
      await go(`screen=${screen}&effect=0`);
      await page.locator("main svg.plot").first().waitFor();
      await page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true");
      await page.evaluate(AXE);
      for (const [width, colorScheme] of [
        [1280, "light"],
        [390, "dark"],
      ] as const) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        const overhang = () =>
          page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        await expect.poll(overhang).toBeLessThanOrEqual(0);
        const violations = await page.evaluate(
          "axe.run('main', { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))",
        );
        expect(violations).toEqual([]);
      }
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.emulateMedia({ colorScheme: "light" });
      expect(await page.locator("main img, main script").count()).toBe(0);
      expect(faults).toEqual([]);
    });
  }

  test("the figure's choices stand in the address, and the address shows them again", async () => {
    await go("screen=causal");
    const axis = page.getByRole("img", { name: "gap closed after each edit, all tokens" });
    await choice("Figure").selectOption("gapClosed");
    await axis.waitFor();
    await choice("Form").selectOption("both");
    await expect.poll(parameter("form")).toBe("both");
    await page.reload();
    await axis.getByText("claims, replacing").waitFor();
    expect(await choice("Limits").isDisabled()).toBe(true);
    expect(faults).toEqual([]);
  });

  test("with keys alone: single latents are stepped through, what they move is said, a heading sorts", async () => {
    await go("screen=causal");
    for (const key of ["j", "j", "k", "j"]) await page.keyboard.press(key);
    await expect.poll(parameter("effect")).toBe("1");
    await page.getByRole("heading", { name: "What latent 1 moves" }).waitFor();
    await page.locator(".moved").getByText("chat-101").waitFor();
    const current = page.locator("tr[aria-current=true] th a");
    await expect.poll(() => current.textContent()).toBe("1");
    const heading = page.getByRole("button", { name: "damage, nats" });
    await heading.focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await expect.poll(parameter("sort")).toBe("damage");
    // The last candidate is silent: least of all.
    await expect
      .poll(() => page.locator(".virtual tbody th a").first().textContent())
      .toBe(String(N_CANDIDATES - 1));
    expect(faults).toEqual([]);
  });

  test("a lasso keeps what it encloses in the table, and is let go again", async () => {
    await go("screen=causal");
    const status = page.locator(".filters [role=status]");
    await expect.poll(() => status.textContent()).toContain(`${N_CANDIDATES} of `);
    await page.locator(".scatter").getByRole("button", { name: "Lasso" }).click();
    const canvas = page.locator(".scatter canvas");
    await canvas.scrollIntoViewIfNeeded();
    const box = await canvas.boundingBox();
    if (box === null) throw new Error("no canvas");
    const corner = (x: number, y: number) =>
      page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 3 });
    // The upper right: the strongest latent alone.
    await corner(0.7, 0.02);
    await page.mouse.down();
    await corner(0.99, 0.02);
    await corner(0.99, 0.4);
    await corner(0.7, 0.4);
    await page.mouse.up();
    await expect.poll(() => status.textContent()).toMatch(/^1 of /);
    await page.getByRole("button", { name: "Clear the lasso" }).click();
    await expect.poll(() => status.textContent()).toContain(`${N_CANDIDATES} of `);
    expect(faults).toEqual([]);
  });

  test("a glance's texts are stepped through with the arrow keys, hostile tokens are text, and a position stands in the address", async () => {
    await go("screen=glance");
    const text = page.locator(".examples .text").first();
    await text.focus();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => page.locator(".inspector").first().textContent()).toContain("the peak");
    await page.keyboard.press("Home");
    await expect.poll(() => page.locator(".at-token").first().getAttribute("data-i")).toBe("0");
    expect(await page.locator("main").textContent()).toContain(HOSTILE.script);
    await choice("Position").selectOption("together");
    await expect.poll(parameter("position")).toBe("together");
    await choice("Component").selectOption("2");
    await expect.poll(parameter("component")).toBe("2");
    await page.reload();
    await expect.poll(() => choice("Position").inputValue()).toBe("together");
    expect(faults).toEqual([]);
  });

  test("a study without them says what makes them, once", async () => {
    for (const screen of ["causal", "glance"]) {
      await go(`study=1&screen=${screen}`);
      await page.locator(".missing code").first().waitFor();
      expect(await page.locator(".missing").count()).toBe(1);
    }
    expect(faults).toEqual([]);
  });
});
