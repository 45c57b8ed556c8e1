// Every screen of the dashboard over a study whose names and texts are attacks: nothing of it runs, nothing of it becomes markup, and
// each screen is reached and worked with keys alone, at both widths.
//
// The screens are read from the page's own list, and the latent's page is added, so that a new screen is tested from its first day.
// Skipped, and said so, where there is no Chromium.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Dashboard, startDashboard } from "../../src/dashboard/start.ts";
import {
  axeViolations,
  builtPage,
  isChromiumPresent,
  LOOKS,
  launchChromium,
  openWindow,
  overhang,
} from "./browser-world.ts";
import {
  FORMULA,
  HOSTILE_DICTIONARY,
  HOSTILE_WORDS,
  type HostileStudy,
  makeHostileStudy,
} from "./hostile-study.ts";

const isPresent = isChromiumPresent("the browser tests of a hostile study");

/** Elements that only a text could have made; the page itself has none of them. */
const FOREIGN =
  "img, iframe, object, embed, .pwned, [onerror], [onload], [srcdoc], body script, body style, base, form[action]";
/** Characters that hide or turn what a reader sees, and controls: never shown as they are. */
const UNSEEN =
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff]";

/** The rules of axe that do not look at colours find the same at one width, whatever the colours are. */
const LOOKS_IN_FULL = ["1280 light", "390 dark"];
/** More presses of Tab than any screen has things to reach. */
const MOST_TABS = 400;
/** Of a walk through all screens on a busy machine; a quiet one takes a tenth. */
const WALK_MS = 300_000;
/** What a person can work with, where it can be seen and is not switched off. */
const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']";

describe.skipIf(!isPresent)("a hostile study in Chromium", () => {
  let root: string;
  let study: HostileStudy;
  let dashboard: Dashboard;
  let browser: Browser;
  let page: Page;
  let screens: { name: string; query: string }[];
  const faults: string[] = [];
  /** What screens showed, put together. */
  let shown = "";

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "tunediff-hostile-study-"));
    const [made, pageFolder] = await Promise.all([makeHostileStudy(root), builtPage()]);
    study = made;
    dashboard = await startDashboard({ folders: [study.folder], pageFolder });
    browser = await launchChromium();
    ({ page } = await openWindow(browser, dashboard.url, faults));
    const links = page.getByRole("navigation", { name: "Screens" }).getByRole("link");
    const addresses = await links.evaluateAll((nodes) =>
      nodes.map((node) => node.getAttribute("href") ?? ""),
    );
    screens = addresses.map((address) => {
      const query = new URL(address, dashboard.url).searchParams;
      return { name: query.get("screen") ?? "", query: query.toString() };
    });
    screens.push({ name: "latent", query: "screen=latent&latent=0&sort=-maxActivation" });
  });
  afterAll(async () => {
    await browser?.close();
    await dashboard?.close();
    if (root !== undefined) await rm(root, { recursive: true, force: true });
  });
  beforeEach(() => {
    faults.length = 0;
  });

  async function settled(): Promise<void> {
    await page.locator("main h1, main .state:not(.loading)").first().waitFor();
    await expect.poll(() => page.locator("main .loading").count()).toBe(0);
  }
  async function go(query: string): Promise<void> {
    await page.goto(new URL(`/?${query}`, dashboard.url).href);
    await settled();
  }

  /** What is wrong with the page as it is: markup or a script that a text has made, characters not written out, faults. */
  async function wrongs(): Promise<string[]> {
    const foreign = await page
      .locator(FOREIGN)
      .evaluateAll((nodes) => nodes.map((node) => node.outerHTML.slice(0, 200)));
    const unseen = (await page.evaluate(`(() => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = [];
      while (walker.nextNode())
        // What people edit stays as they wrote it.
        if (walker.currentNode.parentElement.tagName !== "TEXTAREA" && /${UNSEEN}/.test(walker.currentNode.data)) found.push(walker.currentNode.parentElement.outerHTML.slice(0, 200));
      if (/${UNSEEN}/.test(document.title)) found.push(document.title);
      return found;
    })()`)) as string[];
    const pwned = await page.evaluate("window.pwned");
    return [
      ...foreign.map((each) => `an element of a text: ${each}`),
      ...unseen.map((each) => `shown as it is: ${JSON.stringify(each)}`),
      ...(pwned === undefined ? [] : [`a script of a text has run: ${String(pwned)}`]),
      ...faults.splice(0),
    ];
  }

  /** Wider than the window by more than a pixel's rounding; what sticks out, the innermost first. */
  async function sticksOut(): Promise<string[]> {
    for (let look = 0; look < 20; look += 1) {
      if ((await overhang(page)) <= 0) return [];
      await page.waitForTimeout(50); // plots are drawn anew some frames after the window has changed
    }
    const what = await page.evaluate(`[...document.querySelectorAll("body *")]
      .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
      .map((each) => each.outerHTML.slice(0, 160)).at(-1)`);
    return [`wider than the window by ${await overhang(page)} pixels: ${String(what)}`];
  }

  test("the screens are those of the list and the latent's", () => {
    expect(screens.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["overview", "latents", "latent"]),
    );
    expect(new Set(screens.map(({ name }) => name)).size).toBe(screens.length);
  });

  test(
    "every screen shows its texts as texts, is not wider than its window, and axe finds nothing",
    async () => {
      const found: string[] = [];
      for (const { name, query } of screens) {
        await go(query);
        // What is folded away is shown, too.
        await page.evaluate(
          "document.querySelectorAll('main details').forEach((each) => { each.open = true; })",
        );
        await expect.poll(() => page.locator("main .loading").count()).toBe(0);
        for (const [width, colorScheme] of LOOKS) {
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          const here = [
            ...(await sticksOut()),
            ...(await axeViolations(
              page,
              LOOKS_IN_FULL.includes(`${width} ${colorScheme}`) ? "all" : "colours",
            )),
          ];
          found.push(...here.map((each) => `${name} at ${width}, ${colorScheme}: ${each}`));
        }
        found.push(...(await wrongs()).map((each) => `${name}: ${each}`));
        shown += await page.locator("body").textContent();
      }
      expect(found).toEqual([]);
    },
    WALK_MS,
  );

  test("what is hostile was there to be seen: names, tokens, what people wrote", () => {
    // Notes stand in a field, and concepts in files alone.
    const inText = Object.values(HOSTILE_WORDS).filter((word) => !/-(note|concept)$/.test(word));
    expect(inText.filter((word) => !shown.includes(word))).toEqual([]);
    expect(shown).toContain("<img src=x onerror=");
    expect(shown).toContain("⟨U+202E⟩");
    expect(shown).toContain(HOSTILE_DICTIONARY);
  });

  /** Writes down in the page what the focus meets, and what of it does not show that it has the focus. */
  async function recordFocus(): Promise<void> {
    await page.evaluate(`(() => {
      // By what it is called: a part that is drawn anew has other elements.
      window.nameOf = (each) => each.tagName + " " + (each.ariaLabel ?? each.textContent.slice(0, 80));
      window.met = new Set();
      window.unmarked = new Set();
      document.addEventListener("focusin", ({ target }) => {
        window.met.add(nameOf(target));
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(target);
        if ((outlineStyle === "none" || outlineWidth === "0px") && boxShadow === "none") window.unmarked.add(target.outerHTML.slice(0, 160));
      });
    })()`);
  }

  /** Tab through the whole page; opens with Enter what is folded. What was never met, or met unmarked. */
  async function tabThrough(): Promise<string[]> {
    await recordFocus();
    for (let i = 0; i < MOST_TABS; i += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(`(() => {
        const at = document.activeElement;
        if (at === document.body) return "end";
        return at.tagName === "SUMMARY" && at.closest("main") && !at.parentElement.open ? "folded" : "";
      })()`);
      if (at === "end") break;
      if (at !== "folded") continue;
      await page.keyboard.press("Enter");
      await page.waitForFunction("document.activeElement.parentElement.open");
      // Some make what is in them only now.
      await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
      await page.waitForFunction("document.activeElement.parentElement.childElementCount > 1");
    }
    return page.evaluate(`[
      ...[...document.querySelectorAll("main")].flatMap((main) => [...main.querySelectorAll("${CONTROLS}")])
        .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0 && !window.met.has(nameOf(each)))
        // A table that makes its rows as it is scrolled has others by now; of radio buttons one is met.
        .filter((each) => !each.closest(".virtual tbody") && each.type !== "radio")
        .map((each) => "not met: " + each.outerHTML.slice(0, 160)),
      ...[...window.unmarked].map((each) => "no mark of the focus: " + each),
    ]`);
  }

  // A wide page has the same controls in the same order; dashboard.browser.test.ts walks one with keys.
  test(
    "on a narrow page every screen is reached from the list with Tab and Enter, and all in it with Tab",
    async () => {
      await page.setViewportSize({ width: 390, height: 900 });
      const found: string[] = [];
      for (const { name, query } of screens) {
        if (name === "latent") {
          await go(query);
        } else {
          await go("screen=overview");
          await page.evaluate("document.body.focus()");
          const link = page
            .getByRole("navigation", { name: "Screens" })
            .locator(`a[href*="screen=${name}"]`)
            .first();
          for (
            let i = 0;
            i < MOST_TABS && !(await link.evaluate((node) => node === node.ownerDocument.activeElement));
            i += 1
          )
            await page.keyboard.press("Tab");
          await page.keyboard.press("Enter");
          await page.waitForURL((url) => url.searchParams.get("screen") === name);
          await settled();
        }
        const here = [...(await tabThrough()), ...(await wrongs())];
        found.push(...here.map((each) => `${name}: ${each}`));
      }
      expect(found).toEqual([]);
    },
    WALK_MS,
  );

  test("a file for a spreadsheet, saved with keys alone, holds no cell that would be run", async () => {
    await page.setViewportSize({ width: 1280, height: 900 });
    await go("screen=latents&columns=note_label~note_tags~claim");
    await page.locator("summary", { hasText: "Save as" }).focus();
    await page.keyboard.press("Enter");
    const button = page.getByRole("button", { name: "CSV" });
    await button.focus();
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    const text = await readFile(await download.path(), "utf8");
    const cells = [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,\r\n]*))/gm)].map(
      ([, quoted, plain]) => quoted ?? plain,
    );
    expect(cells).toContain(`'${FORMULA}`);
    expect(cells.filter((cell) => /^[=+\-@\t\r]/.test(cell) && !Number.isFinite(Number(cell)))).toEqual([]);
    expect(await wrongs()).toEqual([]);
  });
});
