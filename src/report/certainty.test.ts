// What the page says of how sure its claims are: cards, the section "How sure", and what is missing.

import { expect, test } from "vitest";
import type { LatentTwin } from "../measure/measure-contract.ts";
import { verdictReason } from "../measure/verdict.ts";
import { ABSENT, madeLateTables, madeSparsity } from "./certainty-fixture.test.data.ts";
import { meter } from "./charts/meters.ts";
import { formatCount, formatFixed, formatLimits } from "./format.ts";
import { html, showInvisible } from "./html.ts";
import { type RankedClaim, rankClaims } from "./rank-claims.ts";
import { renderReport } from "./report.ts";
import { HOSTILE, reportFixture } from "./report-fixture.test.data.ts";
import { formatQ, foundAgainWords, othersWords, qValueWords } from "./sections/card-standing.ts";
import {
  divergenceWords,
  frequencyBars,
  spreadWords,
  WHERE_LIMITS,
  whereBlock,
} from "./sections/card-where.ts";
import { shareWords, sparsityTable } from "./sections/sparsity.ts";

const input = reportFixture();
const page = renderReport(input);
const claims = [...rankClaims(input.latents, "finetuned"), ...rankClaims(input.latents, "base")];

function cardOf({ side, measure }: RankedClaim, markup = page): string {
  return markup
    .slice(markup.indexOf(`<article class="card ${side}" id="${side}-${measure.latent}"`))
    .split("</article>")[0];
}
const section = (markup: string): string =>
  markup.slice(markup.indexOf('<section id="certainty">')).split("</section>")[0];
const text = (markup: string): string => markup.replace(/<[^>]+>/g, "");
/** Text of the cells of the row that begins with these words. */
function rowOf(markup: string, words: string): string[] {
  const row = markup.split("<tr>").find((part) => text(part.split("</th>")[0]) === words) ?? "";
  return [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map((match) => text(match[1]));
}

test("a card gives the verdict with its reason, and both limits of every nu of its side", () => {
  for (const claim of claims) {
    const { measure, side } = claim;
    const card = text(cardOf(claim));
    expect(card).toContain(text(html`${verdictReason({ ...measure, fired: measure.documents })}`.markup));
    for (const nu of ["nuReconstruction", "nuError", "nuActivation"] as const)
      expect(card).toContain(`95 %: ${formatLimits(measure.intervals[side][nu])}`);
  }
});

test("a card gives its q-value and how many other seeds have it", () => {
  const { nulls, stability } = input;
  if (nulls.state !== "made" || stability.state !== "made") throw new Error("the fixture has both");
  for (const claim of claims) {
    const { latent } = claim.measure;
    const card = cardOf(claim);
    expect(card).toContain(`>q-value</abbr></dt><dd>${formatQ(nulls.value.rows[latent].q)}</dd>`);
    const row = stability.value.latents[latent];
    expect(card).toContain(
      `>found again</abbr></dt><dd>${row.directionFound} of 3 (claimed there too: ${row.claimReplicated})</dd>`,
    );
  }
});

test("limits without end are words", () => {
  const [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  expect(formatLimits({ low: 0.01, high: 0.0804 })).toBe("0.010 to 0.080");
  expect(formatLimits({ low, high: 0.08 })).toBe("0.080 or less, no lower limit");
  expect(formatLimits({ low: -0.08, high })).toBe("−0.080 or more, no upper limit");
  expect(formatLimits({ low, high })).toBe("no limits");
  expect(formatLimits({ low: Number.NaN, high: Number.NaN })).toBe("not known");
});

test("the band of a meter ends with the line where its interval has no end, and is absent when not known", () => {
  const band = (interval?: { low: number; high: number }): string | undefined =>
    /<path d="([^"]+)" stroke="[^"]+" stroke-width="5"/.exec(meter({ value: 0.5, interval }).markup)?.[1];
  expect(band({ low: 0.25, high: 0.75 })).toBe("M20.5 6H51.5"); // a line from 5 to 67
  expect(band({ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY })).toBe("M5 6H67");
  expect(band({ low: Number.NaN, high: Number.NaN })).toBeUndefined();
  expect(band()).toBeUndefined();
});

test("verdicts are counted by side and claim, and every latent that leans is counted once", () => {
  const rows = [
    ...section(page)
      .split("</table>")[0]
      .matchAll(/<tr><th scope="row">[\s\S]*?<\/tr>/g),
  ];
  const counts = rows.map(([row]) =>
    [...row.matchAll(/<td>([\d,]+)<\/td>/g)].map((match) => Number(match[1].replace(",", ""))),
  );
  const leaning = input.latents.filter(({ verdict }) => verdict !== "").length;
  expect(counts.flat().reduce((sum, count) => sum + count, 0)).toBe(leaning);
  const genuine = claims.filter(
    ({ side, measure }) => side === "finetuned" && measure.verdict === "genuine",
  ).length;
  expect(genuine).toBeGreaterThan(0);
  expect(rowOf(section(page), "genuine")[1]).toBe(formatCount(genuine));
});

test("claims, those expected where nothing was learned, and those at each q stand side by side", () => {
  const { nulls } = input;
  if (nulls.state !== "made") throw new Error("the fixture has null pairs");
  const { counts, expectedFalseClaims, claimsUpTo } = nulls.value.record;
  const at = (q: number): string => String(claimsUpTo.find((row) => row.q === q)?.finetuned);
  expect(rowOf(section(page), "finetuned-specific")).toEqual([
    formatCount(counts.finetuned.candidates),
    formatCount(counts.finetuned.claims),
    formatFixed(expectedFalseClaims.finetuned, 1),
    at(0.05),
    at(0.1),
    at(0.2),
  ]);
});

test("stability: claims beside the groups that they are to be held against", () => {
  const { stability } = input;
  if (stability.state !== "made") throw new Error("the fixture has other seeds");
  const { finetunedSpecific, shared } = stability.value.record.counts;
  expect(rowOf(section(page), "finetuned-specific claims").slice(0, 4)).toEqual(
    [
      finetunedSpecific.latents,
      finetunedSpecific.compared,
      finetunedSpecific.directionFoundInAll,
      finetunedSpecific.directionFoundInAny,
    ].map(formatCount),
  );
  const percent = (share: number | null): string => `${formatFixed(100 * (share ?? Number.NaN), 0)}\u202f%`;
  expect(rowOf(section(page), "lean to neither").slice(-3)).toEqual([
    percent(shared.meanDirectionFound),
    formatCount(shared.claimReplicatedInAll),
    percent(shared.meanClaimReplicated),
  ]);
});

test("a table that was not made is said with the command that makes it, in the section and in each card", () => {
  const small = reportFixture({ nLatents: 256, nFinetunedClaims: 4, nBaseClaims: 2 });
  const [first] = rankClaims(small.latents, "finetuned");
  const absent = renderReport({ ...small, ...ABSENT });
  const outdated = renderReport({
    ...small,
    ...{ nulls: { state: "outdated" }, stability: { state: "outdated" }, sparsity: { state: "outdated" } },
  });
  for (const markup of [absent, outdated]) {
    expect(section(markup)).toContain("<code>tunediff null STUDY</code>");
    expect(section(markup)).toContain("<code>tunediff stability STUDY</code>");
  }
  expect(text(section(absent))).toContain("no claim has a q-value");
  expect(text(section(outdated))).toContain("for an older dictionary");
  expect(section(outdated)).toContain("<code>tunediff demo --full</code>");
  expect(section(page)).not.toContain("<code>tunediff");
  for (const [markup, words] of [
    [absent, "not made"],
    [outdated, "outdated"],
  ]) {
    const card = cardOf(first, markup);
    expect(card).toContain(`>q-value</abbr></dt><dd>${words}</dd>`);
    expect(card).toContain(`>found again</abbr></dt><dd>${words}</dd>`);
  }
});

test("q-values and counts of other dictionaries in words", () => {
  expect([formatQ(0.0244), formatQ(0.25), formatQ(Number.NaN)]).toEqual(["0.024", "0.25", "none"]);
  expect(qValueWords({ state: "absent" }, 3)).toBe("not made");
  const { stability } = madeLateTables(input.latents);
  if (stability.state !== "made") throw new Error("made");
  const silent = input.latents.find(({ documents }) => documents === 0);
  expect(foundAgainWords(stability, silent?.latent ?? -1)).toBe("not compared: never fired");
  expect(othersWords(stability.value)).toBe("other seeds");
  const { record } = stability.value;
  const larger = { ...record.others[0], nLatents: 9 };
  expect(othersWords({ ...stability.value, record: { ...record, others: [larger] } })).toBe(
    "other dictionary",
  );
});

test("frequencies: the most frequent first with bars relative to it, the rest in a line, kinds without rows left out", () => {
  const names = {
    ...{ role: ["a", "b", "none of it"], dataset: [], positionDecile: [] },
    slot: Array.from({ length: WHERE_LIMITS.bars + 2 }, (_, i) => `s${i}`),
  };
  const roles = frequencyBars({ kind: "role", names, frequencies: [0.01, 0.04, Number.NaN] }).markup;
  expect([...roles.matchAll(/<th scope="row" title="([^"]+)"/g)].map((match) => match[1])).toEqual([
    "b",
    "a",
  ]);
  const [first, second] = [...roles.matchAll(/h(\d+)"\/>/g)].map((match) => Number(match[1]));
  expect(second / first).toBeCloseTo(0.25, 1); // lengths are whole units of 46
  const slots = frequencyBars({
    ...{ kind: "slot", names },
    frequencies: names.slot.map((_, i) => (i < WHERE_LIMITS.bars ? 0.1 : 0)),
  }).markup;
  expect(slots).toContain("silent: s6, s7");
  const more = frequencyBars({
    kind: "slot",
    names,
    frequencies: names.slot.map((_, i) => (i === 0 ? 0 : 0.1)),
  });
  expect(more.markup).toContain("1 more, at most 10.0\u202f%; silent: s0");
  const none = frequencyBars({ kind: "slot", names, frequencies: names.slot.map(() => 0) }).markup;
  expect(none).toContain("silent in all");
  expect(none).not.toContain("<table");
  expect(frequencyBars({ kind: "dataset", names, frequencies: [] }).markup).toContain("no rows");
});

test("spread in words: the same entropy as an even spread over so many documents", () => {
  expect(spreadWords(Math.log(40), 120)).toBe(
    "its activation is spread as if evenly over 40 of the 120 documents it fires in",
  );
  expect(spreadWords(0, 1)).toContain("over 1 of the 1 document it");
  expect(spreadWords(Number.NaN, 0)).toBe("never fired");
});

test("hostile tokens at the peak and hostile names of datasets stay text", () => {
  const names = { ...input.summary.categories, dataset: ['"><script>', "\u202eworld"] };
  for (const token of Object.values(HOSTILE)) {
    const measure = { ...claims[0].measure, tokensAtPeak: [{ token, tokenId: 1, count: 2 }] };
    const { markup } = whereBlock({
      ...{ measure, side: "finetuned", link: (latent) => html`${latent}` },
      summary: { ...input.summary, categories: names },
    });
    expect(markup).not.toMatch(/<(script|img)|[\u202a-\u202e]|\0/);
    expect(markup).toContain("&quot;&gt;&lt;script&gt;");
  }
  expect(page).toContain(showInvisible(HOSTILE.override));
});

test("neighbours link to cards where there are any; a twin is named on both sides", () => {
  const [twin] = input.summary.twins;
  const cards = [
    { side: "finetuned" as const, latent: twin.finetuned, other: `#base-${twin.base}` },
    { side: "base" as const, latent: twin.base, other: `#finetuned-${twin.finetuned}` },
  ];
  for (const { side, latent, other } of cards) {
    const claim = claims.find(({ measure }) => measure.latent === latent);
    const facts = claim === undefined ? "" : cardOf(claim).split('<dl class="facts-list">')[1];
    expect(facts, side).toContain(`<a href="${other}">`);
    expect(text(facts)).toContain(`cosine ${formatFixed(twin.cosine, 2)}`);
  }
});

test("a twin without divergence says why", () => {
  const twin = { ...input.summary.twins[0], divergencePaper: null, divergenceCode: null } as LatentTwin;
  expect(text(divergenceWords(twin).markup)).toMatch(/^no activation divergence, as neither was ever strong/);
  expect(text(divergenceWords({ ...twin, divergencePaper: 0.5 }).markup)).toContain(
    "0.50 (by the code’s thresholds none)",
  );
});

test("two sparsities side by side: flagged of those judged, and words where there is no truth or no claim", () => {
  const comparison = madeSparsity(input.latents);
  const { markup } = sparsityTable(comparison);
  expect(rowOf(markup, "of these flagged by Latent Scaling")).toEqual([
    "4 of 30 judged (13\u202f%)",
    "20 of 30 judged (67\u202f%)",
  ]);
  expect(shareWords(0, 0)).toBe("none could be judged");
  const [own, other] = comparison.dictionaries;
  const without = sparsityTable({
    ...comparison,
    dictionaries: [
      { ...own, truth: null },
      { ...other, truth: other.truth && { ...other.truth, precisionWithTemplate: null } },
    ],
  }).markup;
  expect(rowOf(without, "precision with template")).toEqual(["no truth", "no claims"]);
  expect(rowOf(without, "recall")[0]).toBe("no truth");
});

test("the sample over all strengths is folded, by bins, and only in cards in the open", () => {
  const sample = cardOf(claims[0]).split('<details class="sample">')[1];
  expect([...sample.matchAll(/<h4>(.*?) of its maximum<\/h4>/g)].map((match) => match[1])).toEqual([
    "below 25\u202f%",
    "25\u202f% to 50\u202f%",
    "50\u202f% to 75\u202f%",
    "75\u202f% to 95\u202f%",
    "95\u202f% to 100\u202f%",
  ]);
  const many = renderReport(reportFixture({ nLatents: 600, nFinetunedClaims: 80 }));
  const folded = many.split('<details class="folded">')[1].split("</section>")[0];
  expect(folded).toContain("<article");
  expect(folded).not.toContain('<details class="sample">');
});
