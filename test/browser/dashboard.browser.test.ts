// The dashboard in a real browser, over a real study of two tiny models: every screen, with the mouse and with keys alone.
//
// The page is built afresh, so that what is tested is what stands in web/src. Skipped, and said so, where there is no Chromium.
// TUNEDIFF_SCREENSHOTS=FOLDER keeps a picture of every screen.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Dashboard, startDashboard } from "../../src/dashboard/start.ts";
import { openDatabase } from "../../src/formats/sqlite.ts";
import { runStudy } from "../../src/study/run-study.ts";
import { makeTinyStudy, type TinyStudy } from "../tiny-study.ts";
import {
  axeViolations,
  builtPage,
  isChromiumPresent,
  LOOKS,
  launchChromium,
  openWindow,
  overhang,
} from "./browser-world.ts";

const isPresent = isChromiumPresent("the browser tests of the dashboard");
const HOSTILE = "</script><img src=x onerror=alert(1)>\u202e";
const N_LATENTS = 24;
const PICTURES = process.env.TUNEDIFF_SCREENSHOTS;

const SCREENS = [
  ["overview", "screen=overview"],
  ["latents", "screen=latents&sort=-deltaNorm"],
  ["latent", "screen=latent&sort=-maxActivation"],
] as const;

describe.skipIf(!isPresent)("the dashboard in Chromium", () => {
  let tiny: TinyStudy;
  let dashboard: Dashboard;
  let browser: Browser;
  /** A latent with examples. */
  let busy: number;

  beforeAll(async () => {
    tiny = await makeTinyStudy();
    const { root } = tiny;
    const pageFolder = await builtPage();
    const folder = join(root, "study");
    const config = { ...tiny.config, store: { ...tiny.config.store, outputs: true } };
    await runStudy({ folder, until: "truth", commands: [], config });
    const examples = openDatabase(join(folder, "dictionaries", "main", "examples.sqlite"));
    examples
      .prepare("UPDATE tokens SET string = ? WHERE token = (SELECT min(token) FROM tokens)")
      .run(HOSTILE);
    busy = Number(
      examples.prepare("SELECT latent FROM examples GROUP BY latent ORDER BY count(*) DESC").get()?.latent,
    );
    examples.close();
    // A study that has not got further than its configuration.
    const begun = join(root, "begun");
    await mkdir(join(begun, "dictionaries", "main"), { recursive: true });
    dashboard = await startDashboard({ folders: [folder, begun], pageFolder });
    browser = await launchChromium();
    await openPage();
  });
  afterAll(async () => {
    await browser?.close();
    await dashboard?.close();
    await tiny?.remove();
  });

  /** Console messages, page errors, dialogs, and requests to anywhere else, since the last look. */
  const faults: string[] = [];
  let context: BrowserContext;
  let page: Page;

  beforeEach(() => {
    faults.length = 0;
  });

  /** The page is signed in once; after that an address alone shows its screen. */
  async function openPage(): Promise<void> {
    ({ context, page } = await openWindow(browser, dashboard.url, faults));
  }

  async function go(query: string): Promise<void> {
    await page.goto(new URL(`/?${query}`, dashboard.url).href);
    await page.locator("main h1, main .state:not(.loading)").first().waitFor();
    await expect.poll(() => page.locator("main .loading").count()).toBe(0);
  }

  const rows = () => page.locator(".virtual tbody th a");

  for (const [name, query] of SCREENS) {
    test(`${name}: whole, silent and not wider than the window at both widths, light and dark; axe finds nothing`, async () => {
      await go(name === "latent" ? `${query}&latent=${busy}` : query);
      if (name !== "latents") await page.locator("main svg.plot").first().waitFor();
      for (const [width, colorScheme] of LOOKS) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        // Plots are drawn anew for the width that they then have: some frames later.
        await expect.poll(() => overhang(page)).toBeLessThanOrEqual(0);
        const background = await page.evaluate("getComputedStyle(document.body).backgroundColor");
        expect(background).toBe(colorScheme === "dark" ? "rgb(23, 24, 27)" : "rgb(252, 251, 248)");
        if (PICTURES !== undefined) {
          await mkdir(PICTURES, { recursive: true });
          await page.screenshot({
            path: join(PICTURES, `${name}-${width}-${colorScheme}.png`),
            fullPage: true,
          });
        }
        expect(await axeViolations(page)).toEqual([]);
      }
      expect(faults).toEqual([]);
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.emulateMedia({ colorScheme: "light" });
    });
  }

  test("the token leaves the address at once, and without it nothing of a study is shown", async () => {
    expect(page.url()).not.toContain(new URL(dashboard.url).hash.slice(1));
    const stranger = await browser.newPage();
    await stranger.goto(new URL("/", dashboard.url).href);
    await stranger.getByRole("alert").waitFor();
    expect(await stranger.getByRole("alert").textContent()).toContain("tunediff serve");
    expect(await stranger.locator("nav").count()).toBe(0);
    await stranger.close();
  });

  test("with keys alone: from the overview to a table, a star, a label, a tag, a latent, the next one, and back", async () => {
    await go("screen=overview");
    await page.locator(".top nav a", { hasText: "Latents" }).focus();
    await page.keyboard.press("Enter");
    await rows().first().waitFor();
    const inOrder = await rows().allTextContents();
    for (const key of ["j", "j", "k", "j", "s"]) await page.keyboard.press(key);
    const current = page.locator("tr[aria-current=true]");
    await expect.poll(() => current.locator("th a").textContent()).toBe(inOrder[1]);
    await current.locator(".star").waitFor();

    await page.keyboard.press("l");
    await page.keyboard.insertText(HOSTILE);
    await page.keyboard.press("Enter");
    await current.getByText("</script><img src=x onerror=alert(1)>⟨U+202E⟩").waitFor();
    await page.keyboard.press("t");
    await page.keyboard.insertText("seen, odd");
    await page.keyboard.press("Enter");
    await current.getByText("seen, odd").waitFor();
    await page.waitForURL((url) => url.searchParams.get("at") === inOrder[1]);

    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: `Latent ${inOrder[1]}` }).waitFor();
    await page.keyboard.press("j");
    await page.getByRole("heading", { level: 1, name: `Latent ${inOrder[2]}` }).waitFor();
    await page.keyboard.press("k");
    await page.getByRole("heading", { level: 1, name: `Latent ${inOrder[1]}` }).waitFor();
    await page.locator("article .bar a").first().focus();
    await page.keyboard.press("Enter");
    await current.waitFor();
    await expect.poll(() => current.locator("th a").textContent()).toBe(inOrder[1]);
    expect(await page.locator("img").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("sorting, a range, a star and columns stand in the address, and the address shows the same again", async () => {
    await go("screen=latents");
    const heading = (name: string) => page.locator("thead th", { has: page.getByRole("button", { name }) });
    await heading("maxActivation").getByRole("button").click();
    await expect.poll(() => heading("maxActivation").getAttribute("aria-sort")).toBe("descending");
    await page.getByLabel("filter by").selectOption("latent");
    await page.getByLabel("latent at least").fill("12");
    // A column that is filtered by comes from the server first.
    await expect.poll(() => rows().count()).toBe(N_LATENTS / 2);
    const shown = await rows().allTextContents();
    await page.getByText("Columns (").click();
    await page.getByLabel("Find a column").fill("decoderCosine");
    await page.locator(".menu-body").getByRole("checkbox").check();
    await heading("decoderCosine").waitFor();

    await page.getByText("Views (").click();
    await page.getByLabel("Name of the view").fill("firing ones");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "firing ones" }).waitFor();
    const address = page.url();
    await go("screen=latents");
    await expect.poll(() => rows().count()).toBe(N_LATENTS);
    await page.getByText("Views (").click();
    await page.getByRole("link", { name: "firing ones" }).click();
    await expect.poll(() => page.url()).toBe(address);
    await heading("decoderCosine").waitFor();
    await expect.poll(() => rows().allTextContents()).toEqual(shown);
    await page.reload();
    await expect.poll(() => rows().allTextContents()).toEqual(shown);
    expect(faults).toEqual([]);
  });

  test("a text search narrows the table to latents with the text, and a bad expression is explained", async () => {
    await go("screen=latents");
    await page.keyboard.press("/");
    await page.keyboard.insertText("sir");
    await page.keyboard.press("Enter");
    await page.getByText("search done").waitFor();
    const matches = await page.locator(".virtual mark").allTextContents();
    expect(matches.length).toBeGreaterThan(0);
    expect(new Set(matches)).toEqual(new Set(["sir"]));
    expect(faults).toEqual([]);

    await page.getByLabel("Search as").selectOption("regex");
    await page.getByLabel("Search text").fill("si(r");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await expect.poll(() => page.getByRole("alert").textContent()).toContain("regular expression");
  });

  test("tokens of a hostile study are text, and each says its numbers under the arrow keys", async () => {
    await go(`screen=latent&latent=${busy}`);
    const text = page.locator(".examples .text").first();
    await text.focus();
    await page.keyboard.press("ArrowRight");
    const inspector = page.locator(".inspector").first();
    await expect.poll(() => inspector.textContent()).toMatch(/activation .* encoder: .* bias .* KL .* nats/s);
    await expect.poll(() => inspector.textContent()).toContain("expects");
    await page.keyboard.press("Home");
    await expect.poll(() => page.locator(".examples .at-token").first().getAttribute("data-i")).toBe("0");
    expect(await page.locator("img").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("a lasso over the plot leads to the table of what it encloses, and the canvas moves with the keys", async () => {
    await go("screen=overview");
    const canvas = page.locator(".scatter canvas");
    await canvas.scrollIntoViewIfNeeded();
    const ticks = page.locator(".axes text");
    const before = await ticks.allTextContents();
    await canvas.focus();
    for (let i = 0; i < 4; i += 1) await page.keyboard.press("-");
    await expect.poll(() => ticks.allTextContents()).not.toEqual(before);
    await page.getByRole("button", { name: "Lasso" }).click();
    const box = (await canvas.boundingBox())!;
    const corner = (x: number, y: number) =>
      page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 });
    await corner(0.02, 0.02);
    await page.mouse.down();
    await corner(0.98, 0.02);
    await corner(0.98, 0.98);
    await corner(0.02, 0.98);
    await page.mouse.up();
    await page.waitForURL(/lasso=/);
    await page.getByText("inside the lasso over").waitFor();
    const words = await page.locator(".bar [role=status]").textContent();
    expect(words).toMatch(/^\d+ of 24 latents/);
    expect(faults).toEqual([]);
  });

  test("a study that has only begun says what is missing and what makes it", async () => {
    await go("study=1&screen=overview");
    const text = (await page.locator("main").textContent()) ?? "";
    expect(text).toMatch(/Not made yet|no dictionary yet/);
    expect(text).toContain("tunediff ");
    expect(faults).toEqual([]);
  });

  test("a server that has gone is said, with what to do", async () => {
    await openPage(); // one that has not yet loaded the screen that it is sent to
    await context.setOffline(true);
    await page.locator(".top nav a", { hasText: "Latents" }).click();
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain("tunediff serve");
    await context.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await rows().first().waitFor();
  });
});
