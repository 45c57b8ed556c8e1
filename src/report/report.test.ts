import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ABSENT, OUTDATED } from "./certainty-fixture.test.data.ts";
import { formatCount, formatFixed } from "./format.ts";
import { showInvisible } from "./html.ts";
import { parseTags } from "./page-check.test.helper.ts";
import { rankClaims } from "./rank-claims.ts";
import { renderReport } from "./report.ts";
import { HOSTILE, reportFixture } from "./report-fixture.test.data.ts";
import { CARD_LIMITS } from "./sections/claims.ts";
import { leaningPoints } from "./sections/differences.ts";
import { thin } from "./sections/fit.ts";
import { TERMS } from "./terms.ts";

const input = reportFixture();
const page = renderReport(input);
const emptyInput = reportFixture({
  nFinetunedClaims: 0,
  nBaseClaims: 0,
  withTruth: false,
  withLens: false,
  hostile: false,
  withLateTables: false,
});
const empty = renderReport({
  ...emptyInput,
  commands: [],
  seconds: undefined,
  training: { ...emptyInput.training, metrics: [] },
});
const many = renderReport(reportFixture({ nLatents: 600, nFinetunedClaims: 320 }));
/** The same study, had the models been 128 and 192 wide. */
const unequal = renderReport({
  ...input,
  pair: { ...input.pair, layer: { base: 3, finetuned: 4 }, dModel: { base: 128, finetuned: 192 } },
  summary: { ...input.summary, scalingDirections: "own" },
  latents: input.latents.map((latent) => ({ ...latent, decoderCosine: Number.NaN })),
});
const small = reportFixture({ nLatents: 256, nFinetunedClaims: 4, nBaseClaims: 2, withTruth: false });
/** Tables of an older dictionary; and a first study, before `null` and `stability`. */
const outdated = renderReport({ ...small, ...OUTDATED, glance: { state: "outdated" } });
const absent = renderReport({ ...small, ...ABSENT, glance: { state: "absent" } });
/** No nu has a limit, and nothing was counted: what small data gives. */
const NO_LIMITS = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
const NO_LIMIT_OF_ANY = { nuActivation: NO_LIMITS, nuReconstruction: NO_LIMITS, nuError: NO_LIMITS };
const bare = renderReport({
  ...small,
  samples: () => [],
  latents: small.latents.map((latent) => ({
    ...latent,
    intervals: { finetuned: NO_LIMIT_OF_ANY, base: NO_LIMIT_OF_ANY, nGroupsFired: 2 },
    verdict: latent.verdict === "genuine" ? "uncertain" : latent.verdict,
    frequencyBy: { role: [], dataset: [], slot: [], positionDecile: [] },
    ...{ tokensAtPeak: [], tokensBeforePeak: [], nearestFinetuned: [], nearestBase: [], nearestAcross: [] },
  })),
});
const PAGES = { page, empty, many, unequal, outdated, absent, bare };

/** Faults are reported in a few words; a failing expectation must not print a page of a megabyte. */
function has(markup: string, words: string): boolean {
  return markup.includes(words);
}
function firstMatch(markup: string, pattern: RegExp): string | undefined {
  return pattern.exec(markup)?.[0];
}

test("the checker of this file sees unbalanced tags, stray angles and doubled attributes", () => {
  for (const bad of ["<p><b></p></b>", "<p>", "<p>a < b</p>", '<p a="1" a="2"></p>', "<p a=<></p>"]) {
    expect(() => parseTags(bad), bad).toThrow();
  }
});

test.each(Object.entries(PAGES))(
  "%s: markup is balanced, ids are unique and every anchor resolves",
  (_name, markup) => {
    const tags = parseTags(markup);
    const ids = tags.flatMap(({ attributes }) => attributes.get("id") ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    const known = new Set(ids);
    for (const { name, attributes } of tags) {
      const href = attributes.get("href");
      if (href?.startsWith("#")) expect(known, `${name} ${href}`).toContain(href.slice(1));
      for (const reference of attributes.get("aria-labelledby")?.split(" ") ?? [])
        expect(known).toContain(reference);
    }
  },
);

test.each(Object.entries(PAGES))(
  "%s: nothing is fetched, no inline style or handler exists",
  (_name, markup) => {
    const outside = markup.replaceAll("http://www.w3.org/2000/svg", "");
    expect(firstMatch(outside, /https?:\/\/.{0,40}/)).toBeUndefined();
    const elements = new Set(["img", "iframe", "object", "embed", "form", "base", "audio", "video"]);
    const faults: string[] = [];
    for (const { name, attributes } of parseTags(markup)) {
      if (elements.has(name)) faults.push(name);
      for (const [key, value] of attributes) {
        if (/^on|^style$|^src$|^srcset$|^xlink/.test(key)) faults.push(`${name} ${key}`);
        if (key === "href" && !/^#|^data:,$|^glance\.html$/.test(value)) faults.push(`${name} href ${value}`);
      }
    }
    expect(faults).toEqual([]);
  },
);

test("the content policy admits exactly the one style sheet and the one script", () => {
  const hashOf = (name: string): string => {
    const inner = [...page.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"))];
    expect(inner).toHaveLength(1);
    return createHash("sha256").update(inner[0][1]).digest("base64");
  };
  const policy = parseTags(page).find(
    ({ attributes }) => attributes.get("http-equiv") === "Content-Security-Policy",
  );
  const content = policy?.attributes.get("content")?.replaceAll("&#39;", "'") ?? "";
  expect(content).toContain("default-src 'none'");
  expect(content).toContain(`style-src 'sha256-${hashOf("style")}'`);
  expect(content).toContain(`script-src 'sha256-${hashOf("script")}'`);
  expect(content).not.toContain("unsafe");
});

test("hostile token strings are text: no element, control, or direction mark of theirs survives", () => {
  expect(has(page, "<img")).toBe(false);
  const turning = /[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u;
  expect(firstMatch(page, turning)).toBeUndefined();
  expect(has(page, "\0")).toBe(false);
  expect(has(page, "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;")).toBe(true);
  expect(has(page, "&quot;&#39; onmouseover=&#39;alert(2)")).toBe(true);
  for (const name of ["override", "nul", "emoji", "surrogate"] as const)
    expect(has(page, showInvisible(HOSTILE[name])), showInvisible(HOSTILE[name])).toBe(true);
});

test("the same input gives the same bytes, whatever the clock says", () => {
  expect(renderReport(reportFixture()) === page).toBe(true);
});

test("every claim's numbers stand in its card, next to their names", () => {
  for (const claim of [...rankClaims(input.latents, "finetuned"), ...rankClaims(input.latents, "base")]) {
    const id = `${claim.side}-${claim.measure.latent}`;
    const card = page
      .slice(page.indexOf(`<article class="card ${claim.side}" id="${id}"`))
      .split("</article>")[0];
    const shown = new Map(
      [...card.matchAll(/<dt><abbr title="[^"]*">([^<]*)<\/abbr><\/dt><dd>([^<]*)<\/dd>/g)].map((match) => [
        match[1],
        match[2],
      ]),
    );
    expect(shown.get("deltaNorm")).toBe(formatFixed(claim.measure.deltaNorm, 3));
    expect(shown.get("nuReconstruction")).toBe(formatFixed(claim.scaling.nuReconstruction, 3));
    expect(shown.get("nuError")).toBe(formatFixed(claim.scaling.nuError, 3));
    expect(shown.get("nuActivation")).toBe(formatFixed(claim.scaling.nuActivation, 3));
    expect(shown.get("decoder cosine")).toBe(formatFixed(claim.measure.decoderCosine, 3));
    expect(shown.get("documents")).toBe(formatCount(claim.measure.documents));
    expect([...shown.keys()]).toEqual(
      expect.arrayContaining(["frequency", "max activation", "template share"]),
    );
    expect(
      has(card, `<span class="rank">${claim.rank}</span>`),
      `<span class="rank">${claim.rank}</span>`,
    ).toBe(true);
    const examples = input.examples(claim.measure.latent).slice(0, CARD_LIMITS.examples);
    const [strongest, sample] = card.split('<details class="sample">');
    expect([...strongest.matchAll(/<p class="text">/g)]).toHaveLength(examples.length);
    expect([...sample.matchAll(/<p class="text">/g)]).toHaveLength(
      input.samples(claim.measure.latent).length,
    );
  }
});

test("models of different width: both are named, and what does not exist is said instead of shown", () => {
  expect(has(unequal, "128 (base), 192 (finetuned)")).toBe(true);
  expect(has(unequal, "block 3 (base) and 4 (finetuned)")).toBe(true);
  expect(firstMatch(unequal, /<p class="note" id="widths-note">[^<]*/)).toMatch(
    /base 128, finetuned 192.*no decoder cosine.*weaker evidence/,
  );
  const cosine = /decoder cosine<\/abbr><\/dt><dd>([^<]*)<\/dd>(<dd class="glyph">)?/g;
  const shown = [...unequal.matchAll(cosine)];
  expect(shown.length).toBeGreaterThan(3);
  for (const [, value, glyph] of shown) expect([value, glyph]).toEqual(["none: widths differ", undefined]);
  expect(has(page, "widths-note")).toBe(false);
});

test("the peak of each example is marked once and bears its activation", () => {
  const peaks = [...page.matchAll(/<span class="a\d pk(?: ct)?" title="[^"]+">/g)];
  const listed = [...page.matchAll(/<p class="text">/g)];
  expect(peaks.length).toBe(listed.length);
});

test("the headline figures are those of the summary", () => {
  const figures = page.slice(page.indexOf('<dl class="figures'), page.indexOf("</dl>"));
  const shown = [...figures.matchAll(/<b>([^<]*)<\/b>/g)].map((match) => match[1]);
  const { fve, l0, counts } = input.summary;
  expect(shown.slice(0, 3)).toEqual([
    formatFixed(fve.base, 3),
    formatFixed(fve.finetuned, 3),
    formatFixed(l0, 1),
  ]);
  expect(shown.slice(4, 6)).toEqual([
    formatCount(counts.finetunedSpecific),
    formatCount(counts.baseSpecific),
  ]);
  expect(shown[6]).toBe(formatFixed(input.truth?.recall ?? Number.NaN, 2));
});

test("every latent is in one row of the standing table, so each column sums to the number of latents", () => {
  const table = page.slice(page.indexOf("<caption>What became of every latent"));
  const rows = [
    ...table.slice(0, table.indexOf("</tbody>")).matchAll(/<td>([\d,]+)<\/td><td>([\d,]+)<\/td><\/tr>/g),
  ];
  const sum = (column: number): number =>
    rows.reduce((total, row) => total + Number(row[column].replace(",", "")), 0);
  expect([sum(1), sum(2)]).toEqual([2048, 2048]);
});

test("leaning points are the candidates of their side, and claims among them all claims", () => {
  const finetuned = leaningPoints(input.latents, "finetuned", 0.6);
  expect(finetuned.every((point) => input.latents[point.latent].deltaNorm > 0.6)).toBe(true);
  expect(finetuned.filter((point) => point.kind === "claim")).toHaveLength(
    input.summary.counts.finetunedSpecific,
  );
  const base = leaningPoints(input.latents, "base", 0.6);
  expect(base.every((point) => input.latents[point.latent].deltaNorm < 0.4)).toBe(true);
});

test("every chart has a name, a description and a table that says the same", () => {
  const charts = page
    .split("<figure")
    .slice(1)
    .map((figure) => figure.split("</figure>")[0]);
  expect(charts).toHaveLength(9);
  for (const chart of charts) {
    expect(chart).toMatch(
      /<svg [^>]*role="img" aria-labelledby="[^"]+"[^>]*><title [^>]+>[^<]+<\/title><desc [^>]+>[^<]+<\/desc>/,
    );
    expect(chart).toMatch(/<details class="twin">[\s\S]*<th scope="col">/);
  }
});

test("every axis says its unit", () => {
  for (const label of [
    "deltaNorm (no unit; 0 = base only, 1 = finetuned only)",
    "latents a bin (count, square-root axis)",
    "nuReconstruction (no unit, ratio of betas)",
    "nuError (no unit, ratio of betas)",
    "batch FVE (share of variance)",
    "L0 (latents a token)",
    "loss (mean L2 error, normalised)",
    "dead (share of latents)",
    ">step<",
  ]) {
    expect(has(page, label), label).toBe(true);
  }
});

test.each(Object.entries(PAGES))(
  "%s: headings descend one level at a time and table headers have a scope",
  (_name, markup) => {
    const levels = parseTags(markup).flatMap(({ name }) => (/^h[1-6]$/.test(name) ? [Number(name[1])] : []));
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (let i = 1; i < levels.length; i += 1) expect(levels[i] - levels[i - 1]).toBeLessThanOrEqual(1);
    for (const { name, attributes } of parseTags(markup))
      if (name === "th") expect(attributes.get("scope")).toMatch(/^(col|row)$/);
  },
);

test("the score is told in full: every concept, every claim that answers to nothing, and its strongest example", () => {
  const truth = input.truth;
  if (truth === undefined) throw new Error("the fixture has a truth");
  const section = page.slice(page.indexOf('<section id="truth">')).split("</section>")[0];
  for (const concept of truth.concepts)
    expect(has(section, `<th scope="row">${concept.name}</th>`), `<th scope="row">${concept.name}</th>`).toBe(
      true,
    );
  const unfounded = section.slice(section.indexOf('<table class="unfounded">'));
  const nothing = truth.claims.filter((claim) => !claim.answersToConcept && !claim.isTemplate);
  expect(nothing.length).toBeGreaterThan(0);
  for (const { latent } of nothing)
    expect(has(unfounded, `href="#finetuned-${latent}"`), `href="#finetuned-${latent}"`).toBe(true);
  expect([...unfounded.matchAll(/<p class="text">/g)]).toHaveLength(nothing.length);
});

test("without claims, truth, lens, log, commands and times the page says so and stays whole", () => {
  expect(has(empty, "No latent passed as finetuned-specific"), "No latent passed as finetuned-specific").toBe(
    true,
  );
  expect(has(empty, "No latent passed as base-specific"), "No latent passed as base-specific").toBe(true);
  expect(has(empty, "No training log was found"), "No training log was found").toBe(true);
  expect(has(empty, 'id="truth"')).toBe(false);
  for (const markup of Object.values(PAGES)) {
    const words = markup.replace(/<script>[\s\S]*<\/script>/, "");
    expect(
      firstMatch(words, /\bNaN\b|undefined|Infinity|∞|\bnull\b(?! pair| STUDY|-\d)|\[object.{0,20}/),
    ).toBeUndefined();
  }
});

test("many claims: all are in the table, the strongest have cards in the open, the next are folded", () => {
  const table = many.slice(many.indexOf("<caption>All finetuned-specific claims")).split("</table>")[0];
  expect([...table.matchAll(/<tr><td>/g)]).toHaveLength(320);
  expect([...many.matchAll(/<article class="card finetuned"/g)]).toHaveLength(CARD_LIMITS.folded);
  const beforeFold = many.slice(0, many.indexOf('<details class="folded">'));
  expect([...beforeFold.matchAll(/<article class="card finetuned"/g)]).toHaveLength(CARD_LIMITS.full);
  expect(
    has(many, `${320 - CARD_LIMITS.folded} more claims are in the table only`),
    `${320 - CARD_LIMITS.folded} more claims are in the table only`,
  ).toBe(true);
});

test("a page of 2,048 latents and 60 claims stays below 3 MB", () => {
  const bytes = Buffer.byteLength(renderReport(reportFixture({ nFinetunedClaims: 60 })));
  expect(bytes).toBeLessThan(3 * 2 ** 20);
});

test("the glossary defines every word that is explained on hover", () => {
  for (const [id, { short }] of Object.entries(TERMS)) {
    expect(has(page, `<dt id="term-${id}">`), `<dt id="term-${id}">`).toBe(true);
    expect(short.length).toBeLessThan(140);
  }
});

test("thinning keeps both ends and never adds", () => {
  expect(thin([1, 2, 3], 5)).toEqual([1, 2, 3]);
  const thinned = thin(
    Array.from({ length: 1001 }, (_, i) => i),
    11,
  );
  expect(thinned).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
});
