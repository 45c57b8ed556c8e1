// What is done on the screens beyond looking at them, over one tiny study with labs and two dictionaries: both labs, a training that
// grows, documents, the comparison, a note that two people write.
//
// Looks and hostile texts are dashboard.browser.test.ts's and hostile.browser.test.ts's. Skipped, and said so, where there is no Chromium.

import { appendFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Dashboard, startDashboard } from "../../src/dashboard/start.ts";
import { readMeasure } from "../../src/measure/measure.ts";
import type { LatentMeasure } from "../../src/measure/measure-contract.ts";
import { measurePaths, readSummaryFile } from "../../src/measure/measure-files.ts";
import { writeMeasureTable } from "../../src/measure/measure-table.ts";
import { METRICS_FILE } from "../../src/training/metrics.ts";
import { type LabStudy, makeLabStudy } from "../lab-study.ts";
import { axeViolations, builtPage, isChromiumPresent, launchChromium, openWindow } from "./browser-world.ts";

const isPresent = isChromiumPresent("the browser tests of the screens");
/** A copy of "main" with other claims. */
const OTHER = "another";
/** A training without a record, whose log the test writes. */
const GROWING = "growing";
const CHAT = "her user is us, sir";
/** Of the run that is cancelled; eight seeds and four arms each. */
const LONG_RUN = { prompts: 4, tokens: 400 };
/** The activations that shade a token; bars and strips have other colours or sizes. */
const SHADE = /var\(--(base|finetuned)-\d\)/;
/** Without them the server takes nothing. */
const WRITE_HEADERS = { "content-type": "application/json", "x-tunediff": "1" };
/** What Chromium itself writes when an answer is 409. */
const CONFLICT = /^console error: Failed to load resource: .* 409 /;

describe.skipIf(!isPresent)("the screens in Chromium", () => {
  let study: LabStudy;
  let dashboard: Dashboard;
  let browser: Browser;
  let page: Page;
  /** Latents that fire, ascending. */
  let firing: number[];
  /** Console messages, page errors, dialogs and requests to anywhere else, of the test at hand; refusals of the content policy are among them. */
  const faults: string[] = [];

  beforeAll(async () => {
    let pageFolder: string;
    [study, pageFolder] = await Promise.all([makeLabStudy(), builtPage()]);
    await cp(study.dictionaryFolder, dictionaryFolder(OTHER), { recursive: true });
    const { latents } = await readMeasure(study.dictionaryFolder);
    firing = latents.filter(({ frequency }) => frequency > 0).map(({ latent }) => latent);
    await claim("main", isClaimed.main);
    await claim(OTHER, isClaimed.another);
    const labs = { state: "made" as const, value: { threads: 1 } };
    dashboard = await startDashboard({ folders: [study.folder], pageFolder, labs });
    browser = await launchChromium();
    ({ page } = await openWindow(browser, dashboard.url, faults));
  });
  afterAll(async () => {
    await browser?.close();
    await dashboard?.close();
    await study?.remove();
  });
  afterEach(() => {
    expect(faults.splice(0)).toEqual([]);
  });

  const dictionaryFolder = (name: string): string => join(study.folder, "dictionaries", name);

  /** By the place among the latents that fire. So small a world may claim nothing by itself. */
  const isClaimed = {
    main: (place: number): boolean => place % 3 === 2,
    another: (place: number): boolean => place % 2 === 1,
  };

  async function claim(dictionary: string, isOne: (place: number) => boolean): Promise<void> {
    const folder = dictionaryFolder(dictionary);
    const [{ latents }, { summary }] = await Promise.all([readMeasure(folder), readSummaryFile(folder)]);
    const claimed = latents.map((latent): LatentMeasure => {
      const is = isOne(firing.indexOf(latent.latent));
      return {
        ...latent,
        ...(is && { deltaNorm: 0.9 }),
        claim: is ? "finetuned-specific" : "none",
      };
    });
    await writeMeasureTable(measurePaths(folder).table, claimed, summary.categories);
  }

  async function go(query: string): Promise<void> {
    await page.goto(new URL(`/?${query}`, dashboard.url).href);
    await page.locator("main h1").first().waitFor();
    await expect.poll(() => page.locator("main .loading").count()).toBe(0);
  }

  const inAddress = (name: string): string | null => new URL(page.url()).searchParams.get(name);
  const words = async (of: Locator): Promise<string> => (await of.allTextContents()).join(" ");
  /** What a lab says of its newest run. */
  const ended = (): Locator => page.locator("#run-words");

  /** Text of a file that a button saves. */
  async function saved(button: Locator): Promise<string> {
    const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
    return readFile(await download.path(), "utf8");
  }

  test("prompt lab: a chat is read, keys move the token that the panel is of, and a pinned latent shades where it fires", async () => {
    await go("screen=prompt-lab");
    await page.getByLabel("Text: turn 1").click();
    await page.keyboard.type(CHAT);
    await page.getByRole("button", { name: "Read", exact: true }).click();
    const tokens = page.locator(".reading-text [data-i]");
    await expect.poll(() => words(ended())).toBe("Done.");
    await expect.poll(async () => (await tokens.allTextContents()).join("")).toContain("her");
    const n = await tokens.count();
    expect(n).toBeGreaterThan(8);

    const panel = page.getByLabel("The token under the cursor");
    await tokens.nth(3).click();
    await expect.poll(() => words(panel)).toContain(`Token 4 of ${n}`);
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => words(panel)).toContain(`Token 5 of ${n}`);
    await page.keyboard.press("End");
    await expect.poll(() => words(panel)).toContain(`Token ${n} of ${n}`);
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => words(panel)).toContain(`Token ${n - 1} of ${n}`);
    await expect.poll(() => inAddress("at")).toBe(String(n - 2));
    const texts = await tokens.allTextContents();
    await expect.poll(() => words(page.locator(".reading-text .at-token"))).toBe(texts[n - 2]);

    // The first of the list fires somewhere; "at" is where it does most.
    const shaded = () =>
      tokens
        .evaluateAll((nodes) => nodes.map((node) => node.getAttribute("style") ?? ""))
        .then((styles) => styles.flatMap((style, i) => (SHADE.test(style) ? [i] : [])));
    expect(await shaded()).toEqual([]);
    const row = page.locator(".fired tbody tr").first();
    const latent = String(await row.locator("th").textContent());
    await row.getByRole("button", { name: `pin latent ${latent}` }).click();
    await expect.poll(() => inAddress("pins")).toBe(latent);
    await expect.poll(async () => (await shaded()).length).toBeGreaterThan(0);
    await row.locator("button.quiet").click();
    const peak = page.locator(".reading-text .at-token");
    await expect.poll(() => peak.getAttribute("style")).toMatch(SHADE);
    await expect.poll(() => words(panel.locator(".firing tr"))).toContain(`pinned latent ${latent}`);
    expect(await axeViolations(page)).toEqual([]);

    await page.getByRole("button", { name: `Unpin latent ${latent}` }).click();
    await expect.poll(() => inAddress("pins")).toBe(null);
    await expect.poll(shaded).toEqual([]);
  });

  test("steering lab: the address's question is changed and asked with keys, four answers come and are saved; a long run is cancelled, the next one works", async () => {
    const latent = firing[0];
    await go(`screen=steering-lab&push=${latent}~1&prompt=user~${encodeURIComponent(CHAT)}&max=8`);
    const slider = page.getByRole("slider", { name: `Factor of latent ${latent}` });
    await slider.focus();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => inAddress("push")).toBe(`${latent}~1.1`);
    const prompt = page.getByLabel("Prompt: turn 1");
    await expect.poll(() => prompt.inputValue()).toBe(CHAT);
    await prompt.focus();
    await page.keyboard.press("Control+Enter");
    await expect.poll(() => words(ended())).toBe("Done.");
    const arms = page.locator(".arm");
    await expect
      .poll(() => arms.locator("h4").allTextContents())
      .toEqual(
        ["base", "base + latents", "finetuned", "finetuned − latents"].map((arm) =>
          expect.stringContaining(arm),
        ),
      );
    await expect.poll(() => arms.filter({ hasText: "perplexity" }).count()).toBe(4);

    const [header, ...rows] = (await saved(page.getByRole("button", { name: "Save as CSV" }))).split("\r\n");
    expect(header).toBe("prompt,asked,seed,arm,answer,whole,tokens,perplexity,repetition,degenerate");
    expect(rows.filter((row) => row.includes(`0,"${CHAT}",0,`))).toHaveLength(4);
    expect(await axeViolations(page)).toEqual([]);

    // So many and so long that they take seconds, at thousands of tokens in each: the page must have time for the mouse.
    const prompts = `&prompt=user~${encodeURIComponent(CHAT)}`.repeat(LONG_RUN.prompts);
    await go(`screen=steering-lab&push=${latent}~1${prompts}&temperature=1&seeds=0-7&max=${LONG_RUN.tokens}`);
    const steer = page.getByRole("button", { name: "Steer", exact: true });
    await steer.click();
    await expect.poll(() => arms.filter({ hasText: "being written" }).count()).toBeGreaterThan(0);
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect.poll(() => words(ended())).toBe("Cancelled. What came before is kept.");
    const field = (name: string, value: string) => page.getByLabel(name, { exact: true }).fill(value);
    await field("Seeds", "3");
    await field("Longest answer, tokens", "4");
    await steer.click();
    await expect.poll(() => words(ended())).toBe("Done.");
    await expect.poll(() => arms.filter({ hasText: "perplexity" }).count()).toBe(4 * LONG_RUN.prompts);
    await expect.poll(() => inAddress("seeds")).toBe("3");
    await page.getByText("Runs of this page (2)").click();
    await expect
      .poll(() => page.locator(".run-list li > .note").allTextContents())
      .toEqual(["done", "cancelled"]);
  });

  test("a server without labs says so on both of their screens, with the command that has them", async () => {
    const without = await startDashboard({ folders: [study.folder], pageFolder: await builtPage() });
    try {
      const { context, page: other } = await openWindow(browser, without.url, faults);
      for (const screen of ["prompt-lab", "steering-lab"]) {
        await other.goto(new URL(`/?screen=${screen}`, without.url).href);
        const missing = other.locator("main .state.missing");
        await expect.poll(() => words(missing)).toContain("The labs were switched off");
        await expect.poll(() => words(missing.locator("code"))).toBe("tunediff serve STUDY");
        expect(await other.locator("main form, main [role=alert]").count()).toBe(0);
      }
      await context.close();
    } finally {
      await without.close();
    }
  });

  test("training: lines that are written while it is looked at move the state and the curves; a second dictionary stands in the address", async () => {
    const log = join(dictionaryFolder(GROWING), METRICS_FILE);
    const main = await readFile(join(study.dictionaryFolder, METRICS_FILE), "utf8");
    const [sample] = main.split("\n");
    const lines = (steps: number[], loss: number): string =>
      steps.map((step) => `${JSON.stringify({ ...JSON.parse(sample), step, loss })}\n`).join("");
    await mkdir(dictionaryFolder(GROWING));
    await writeFile(log, lines([1, 2, 3], 0.5));
    await go(`screen=training&dictionary=${GROWING}`);
    const states = page.locator(".run-states li");
    const loss = page.locator(".curve").first().locator(".readout li", { hasText: GROWING }).locator("b");
    await expect.poll(() => words(states)).toContain("live, step 3");
    await expect.poll(() => words(loss)).toMatch(/^0\.50*$/);
    await appendFile(log, lines([4, 5], 0.25));
    await expect.poll(() => words(states)).toContain("live, step 5");
    await expect.poll(() => words(loss)).toMatch(/^0\.250*$/);

    await page.getByText("Compare with other dictionaries").click();
    await page
      .locator(".menu-body")
      .getByRole("checkbox", { name: /^main / })
      .check();
    await expect.poll(() => decodeURIComponent(inAddress("with") ?? "")).toBe("0/main");
    await expect.poll(() => states.count()).toBe(2);
    await expect.poll(() => words(states.nth(1))).toContain("finished, step 20");

    const slider = page.getByRole("slider", { name: "Values at step" });
    await slider.focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => words(page.locator(".crosshair-bar output"))).toBe("1");
    await expect.poll(() => words(loss)).toMatch(/^0\.50*$/);
    await page.keyboard.press("End");
    // The shorter training has no value where the longer one ends.
    await expect.poll(() => words(loss)).toBe("–");
    expect(await axeViolations(page)).toEqual([]);
  });

  test("data: a document is opened with keys, and its tokens say their facts one after the other", async () => {
    await go("screen=data");
    await page.locator(".documents tbody a").nth(2).focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => inAddress("document")).toBe("2");
    const text = page.getByRole("group", { name: "Tokens of document 2" });
    await expect.poll(() => text.locator("[data-i]").count()).toBeGreaterThan(8);
    const tokens = await text.locator("[data-i]").allTextContents();
    const facts = page.locator(".document-inspector");
    await text.focus();
    for (const position of [0, 1, 2]) {
      await page.keyboard.press("ArrowRight");
      await expect.poll(() => words(facts)).toMatch(new RegExp(`position ${position} · role .* id \\d+`));
      await expect.poll(() => words(text.locator(".at-token"))).toBe(tokens[position]);
    }
    await page.keyboard.press("End");
    await expect.poll(() => words(facts)).toContain(`position ${tokens.length - 1} `);
    await page.getByRole("link", { name: "document 3 →" }).click();
    await page.getByRole("group", { name: "Tokens of document 3" }).waitFor();
    expect(await axeViolations(page)).toEqual([]);
  });

  test("compare: B is chosen with keys, the kept claims are as many as the summary says, swapped and saved", async () => {
    const nClaims = (isOne: (place: number) => boolean): number => firing.filter((_, i) => isOne(i)).length;
    const [nMain, nOther] = [nClaims(isClaimed.main), nClaims(isClaimed.another)];
    const nKept = nClaims((place) => isClaimed.main(place) && isClaimed.another(place));
    expect(nKept).toBeGreaterThan(0);
    await go("screen=compare&dictionary=main");
    await page.getByLabel("Dictionary B").focus();
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => inAddress("with")).toBe(`0~${OTHER}`);
    const rows = page.locator(".matches tbody tr[aria-rowindex]");
    await expect.poll(() => rows.count()).toBeGreaterThan(nKept);
    const found = page.locator(".found");
    const counts = async (): Promise<number[]> => ((await words(found)).match(/\d+/g) ?? []).map(Number);
    await expect.poll(counts).toEqual([nMain, nMain, nKept, nOther, nOther, nKept]);

    await page.getByRole("combobox", { name: "Show" }).selectOption("kept");
    await expect.poll(() => inAddress("change")).toBe("kept");
    await expect.poll(() => rows.locator(".change").allTextContents()).toEqual(Array(nKept).fill("kept"));
    await expect
      .poll(() => words(page.locator(".filters [role=status]")))
      .toMatch(new RegExp(`^${nKept} pair`));
    expect(await axeViolations(page)).toEqual([]);

    await page.getByRole("link", { name: "Swap A and B" }).click();
    await expect.poll(() => [inAddress("dictionary"), inAddress("with")]).toEqual([OTHER, "0~main"]);
    await expect.poll(counts).toEqual([nOther, nOther, nKept, nMain, nMain, nKept]);
    const button = page.getByRole("button", { name: "CSV", exact: true });
    await expect.poll(() => button.isEnabled()).toBe(true);
    const [header, ...lines] = (await saved(button)).trimEnd().split("\r\n");
    expect(header).toMatch(/^latent_a,latent_b,change,found,score,/);
    expect(lines.map((line) => line.split(",").slice(0, 3))).toEqual(
      await rows.evaluateAll((nodes) =>
        nodes.map((node) => [...node.children].slice(0, 3).map((cell) => cell.textContent)),
      ),
    );
    expect(lines).toHaveLength(nKept);
  });

  test("a note that somebody changes while it is written is shown in both versions, and theirs can be kept", async () => {
    const latent = firing[0];
    await go(`screen=latent&dictionary=main&latent=${latent}`);
    const label = page.locator("#note-label");
    await label.fill("of mine");
    const address = `/api/studies/0/main/notes/${latent}`;
    const put = { method: "PUT", headers: WRITE_HEADERS, body: JSON.stringify({ label: "of theirs" }) };
    const status = `fetch(${JSON.stringify(address)}, ${JSON.stringify(put)}).then(({ status }) => status)`;
    expect(await page.evaluate(status)).toBe(200);
    await label.press("Enter");
    const alert = page.getByRole("alert");
    await expect.poll(() => alert.locator("tbody td").allTextContents()).toEqual(["of theirs", "of mine"]);
    expect(await axeViolations(page)).toEqual([]);
    await alert.getByRole("button", { name: "Keep theirs" }).click();
    await expect.poll(() => label.inputValue()).toBe("of theirs");
    await expect.poll(() => alert.count()).toBe(0);
    await page.reload();
    await expect.poll(() => label.inputValue()).toBe("of theirs");
    const refused = faults.filter((fault) => CONFLICT.test(fault));
    expect(refused).toHaveLength(1);
    faults.splice(faults.indexOf(refused[0]), 1);
  });
});
