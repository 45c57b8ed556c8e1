// glance.html: whole, inert, without a script, and nothing left out of what the file says.

import { expect, test } from "vitest";
import { madeGlance, sameGlance } from "./glance-fixture.test.data.ts";
import { renderGlancePage } from "./glance-page.ts";
import { html, showToken } from "./html.ts";
import { faultsOf } from "./page-check.test.helper.ts";

const glance = madeGlance();
const page = renderGlancePage(glance);
const same = renderGlancePage(sameGlance());
const PAGES = { page, same };
const text = (markup: string): string => markup.replace(/<[^>]+>/g, "");
const section = (id: string, markup = page): string =>
  markup.slice(markup.indexOf(`<section id="${id}">`)).split("</section>")[0];

test.each(Object.entries(PAGES))(
  "%s: balanced, anchors resolve, headings descend, nothing is fetched or runs",
  (_name, markup) => {
    expect(faultsOf(markup)).toEqual([]);
    expect(markup).not.toContain("<script");
    expect(markup).not.toContain("script-src");
    expect(text(markup.replace(/<style>[\s\S]*<\/style>/, ""))).not.toMatch(
      /NaN|undefined|Infinity|\[object/,
    );
  },
);

test("the checker sees what it is asked to see", () => {
  const bad = {
    '<p id="a"></p><p id="a"></p>': "an id stands twice",
    '<a href="#b"></a>': "href to b, which is not there",
    '<a href="http://x"></a>': "href http://x",
    '<img alt="">': "<img>",
    '<p onclick="x"></p>': "p onclick",
    "<h1></h1><h3></h3>": "h1 and then h3",
    "<table><tr><th></th></tr></table>": "th without scope",
  };
  for (const [markup, fault] of Object.entries(bad)) expect(faultsOf(markup)).toEqual([fault]);
});

test("hostile tokens, datasets, prompts and warnings are text", () => {
  expect(page).not.toMatch(/<(img|script)/);
  expect(page).not.toMatch(/[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\0]/u);
  expect(page).toContain("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;");
});

test("every peak is told with its KL, its text and what both models expected next", () => {
  const items = section("peaks").split("<li>").slice(1);
  expect(items).toHaveLength(glance.kl.peaks.length);
  for (const [i, item] of items.entries()) {
    const { nextBase, nextFinetuned, document } = glance.kl.peaks[i];
    const [base, finetuned] = item.split('<p class="next">').slice(1);
    for (const { token } of nextBase) expect(base).toContain(html`${showToken(token)}`.markup);
    for (const { token } of nextFinetuned) expect(finetuned).toContain(html`${showToken(token)}`.markup);
    expect(item).toContain(`· ${document}</span>`);
    expect([...item.matchAll(/class="a\d pk(?: ct)?" title="KL [^"]*the fine-tune/g)]).toHaveLength(1);
  }
  expect(section("peaks")).toContain("4 more texts");
});

test("every position is read in both signs by both models, the main one first", () => {
  const headings = [...section("lens").matchAll(/<h3>(.*?)<\/h3>/g)].map((match) => text(match[1]));
  expect(headings).toEqual([
    ...["Position 2, the strongest that is not BOS", "All first positions together"],
    ...["Position 0", "Position 1", "Position 3", "Answers with the mean difference added"],
  ]);
  const first = section("lens").split("<h3>")[1];
  expect([...first.matchAll(/<th scope="row">(.*?)<\/th>/g)].map((match) => match[1])).toEqual([
    "+ logit lens",
    "− logit lens",
  ]);
  expect([...first.matchAll(/class="tk"/g)]).toHaveLength(40);
  expect(section("lens")).toContain("size not defined");
  expect(section("lens")).toContain("It has no direction to read.");
});

test("steered answers stand beside unsteered ones; what was left out is said", () => {
  const { steering, leftOut } = glance.lens;
  const rows = section("lens").split("<caption>Each model")[1].split("<tr>").slice(2);
  expect(rows).toHaveLength(steering.length);
  for (const [i, row] of rows.entries()) {
    expect(row).toContain(html`${steering[i].steered}`.markup);
    expect(row).toContain(html`${steering[i].unsteered}`.markup);
  }
  expect(rows[1]).toContain("repeats itself");
  for (const sentence of leftOut) expect(section("lens")).toContain(html`${sentence}`.markup);
});

test("components are shaded by their own sign: the lowest in the base's colour", () => {
  const lowest = section("components").split("Where it is lowest")[1].split("</ol>")[0];
  expect(lowest).toMatch(/<span class="a9 pk(?: ct)?" title="projection −20\.0">/);
  expect(section("components").split('<div class="base">')).toHaveLength(1 + glance.pca.components.length);
});

test("mined tokens stand beside chance, and one that never occurs says so", () => {
  const markup = text(section("mining")).replaceAll("\u202f", " ");
  expect(markup).toContain("4.0 %2.0 %90 %0.60never");
  expect(markup).toContain("−0.6031 ×");
});

test("models that do not differ: every section says so", () => {
  expect(text(section("findings", same))).toContain("Nothing differs");
  for (const [id, words] of [
    ["peaks", "Nowhere"],
    ["lens", "no difference of residuals"],
    ["components", "None"],
    ["mining", "none beyond chance"],
  ])
    expect(text(section(id, same)), id).toContain(words);
});

test("the same glance gives the same bytes", () => {
  expect(renderGlancePage(madeGlance())).toBe(page);
});
