// What the report says of causes: the section, the cards, what is missing, and the section of the glance.

import { expect, test } from "vitest";
import { CODE_CHOICES, type LatentEffect } from "../causal/causal-contract.ts";
import { madeCauses, madePatching, NONE_KL } from "./causal-fixture.test.data.ts";
import { type Causes, strongestEffects } from "./causes.ts";
import { ABSENT, OUTDATED } from "./certainty-fixture.test.data.ts";
import { madeGlance, sameGlance } from "./glance-fixture.test.data.ts";
import { plantedInPeaks } from "./glance-of-study.ts";
import { html } from "./html.ts";
import { rankClaims } from "./rank-claims.ts";
import { renderReport } from "./report.ts";
import { reportFixture } from "./report-fixture.test.data.ts";
import type { ReportInput } from "./report-input.ts";
import { causeLine } from "./sections/card-causal.ts";
import { conversationWords } from "./sections/causal.ts";
import { behaviourBlock, EFFECT_LIMITS } from "./sections/causal-latents.ts";
import { choiceWords, inTableOrder } from "./sections/causal-patching.ts";
import { intervalWords, nats, pWords, share } from "./sections/estimates.ts";

const input = reportFixture({ nLatents: 256, nFinetunedClaims: 14, nBaseClaims: 2 });
const page = renderReport(input);
const causes = madeCauses(input.latents);
const section = (id: string, markup = page): string =>
  markup.slice(markup.indexOf(`<section id="${id}">`)).split("</section>")[0];
const text = (markup: string): string =>
  markup
    .replace(/<[^>]+>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
const withCauses = (change: Partial<Causes["record"]>): ReportInput => ({
  ...input,
  causal: { state: "made", value: { ...causes, record: { ...causes.record, ...change } } },
});
/** Text of the cells of the row of a table whose heading begins with these words. */
function rowOf(markup: string, words: string): string[] {
  const row = markup.split("<tr>").find((part) => text(part.split("</th>")[0]).startsWith(words)) ?? "";
  return [...row.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map((match) => text(match[1]));
}

test("each edit has its KL, interval and gap closed of all tokens and the first nine, its control below it", () => {
  const table = section("causal").split("<caption>What each edit leaves")[1].split("</table>")[0];
  const best = rowOf(table, "latent-scaling best half, additive");
  const [kl, nine] = [0.55 * NONE_KL.all, 0.55 * NONE_KL.firstNine].map(nats);
  expect(best[0]).toBe("12");
  expect(best[1].startsWith(kl)).toBe(true);
  expect(best[2].startsWith(share(0.45))).toBe(true);
  expect(best[3].startsWith(nine)).toBe(true);
  const names = [...table.matchAll(/<th scope="row">(.*?)<\/th>/g)].map((match) => text(match[1]));
  expect(names.slice(0, 7)).toEqual([
    ...["None", "All", "Error", "Template", "Finetuned"],
    ...["latent-scaling best half, additive", "matched controls"],
  ]);
  expect(names.some((name) => name.includes("replacing"))).toBe(false);
});

test("every outcome stands once in the tables of its form", () => {
  const { outcomes } = madePatching();
  const shown = [
    ...inTableOrder(outcomes, { form: "additive", whole: true }),
    ...inTableOrder(outcomes, { form: "replacing", whole: false }),
  ].map(({ name }) => name);
  expect(shown.toSorted()).toEqual(outcomes.map(({ name }) => name).toSorted());
});

test("the bars are those of the additive form with their controls, for all tokens and the first nine", () => {
  const charts = section("causal").split("<figure").slice(1);
  expect(charts).toHaveLength(2);
  for (const [chart, set] of [
    [charts[0], "all"],
    [charts[1], "firstNine"],
  ] as const) {
    const twin = chart.split('<details class="twin">')[1];
    expect(rowOf(twin, "None")[0]).toBe(nats(NONE_KL[set]));
    expect(rowOf(twin, "claims")).toEqual([
      ...[0.62, 0.62 * 0.95, 0.62 * 1.05, 0.97].map((left) => nats(left * NONE_KL[set])),
    ]);
    expect(chart).toContain(">None</text>");
  }
});

test("choices where paper and code differ: as the code, or which are not", () => {
  expect(choiceWords(CODE_CHOICES)).toContain("the code was followed.");
  const words = choiceWords({ ...CODE_CHOICES, decoderBias: "swap" });
  expect(words).toMatch(/but for: difference of the decoder biases.*put in/);
  expect(words).not.toContain("ranks of nu");
  expect(rowOf(section("causal"), "direction of KL")).toEqual([
    "KL(fine-tune ‖ edited)",
    "the code",
    "KL(edited ‖ fine-tune)",
  ]);
});

test("conversations are counted, and those left out by reason", () => {
  expect(text(section("causal"))).toContain(
    "5,120 predicted tokens of the assistant among 5,120 tokens read",
  );
  const patching = madePatching();
  expect(conversationWords(patching)).toMatch(/Left out: 14 \(no assistant tokens\)\.$/);
  const { conversations } = patching;
  const file = {
    ...conversations,
    source: "file" as const,
    answers: "finetuned" as const,
    excluded: {},
    unedited: 1,
  };
  expect(conversationWords({ ...patching, conversations: file })).toMatch(
    /of a file, answered anew by the fine-tune.*None was left out\. The first 1 token of each stay/,
  );
});

test("the ten latents that close most of the gap, each against its controls and linked to its card", () => {
  const table = section("causal").split("that close most of the gap</caption>")[1].split("</table>")[0];
  const strongest = strongestEffects(causes.effects, "gapClosed", EFFECT_LIMITS.latents);
  const shown = [...table.matchAll(/<th scope="row"><a href="#finetuned-(\d+)">/g)].map((match) =>
    Number(match[1]),
  );
  expect(shown).toEqual(strongest.map(({ latent }) => latent));
  expect(shown).toHaveLength(10);
  const cells = [...table.split("<tr>")[2].matchAll(/<td[^>]*>(.*?)<\/td>/g)].map((match) => text(match[1]));
  expect(cells[0].startsWith(share(0.09))).toBe(true);
  expect(cells[1]).toBe(`${share(0.002)}p &lt; 0.001`.replace("&lt;", "<"));
  expect(cells[3]).toBe(`${nats(0.0008)}p 0.25`);
  expect(cells[5]).toContain("␣sorry");
  expect(cells[6]).toContain("chat-100 (+1.25)");
});

test("the order is by the mean, ties by latent; controls and silent latents are not ranked", () => {
  const row = (latent: number, mean: number, rest: Partial<LatentEffect> = {}): LatentEffect => ({
    ...causes.effects[0],
    ...{ latent, gapClosed: { mean, interval: { low: mean, high: mean } } },
    ...rest,
  });
  const rows = [
    ...[row(5, 0.1), row(3, 0.2), row(2, 0.1), row(9, 0.9, { role: "control" })],
    ...[row(8, 0.8, { conversationsFired: 0 }), row(7, Number.NaN)],
  ];
  expect(strongestEffects(rows, "gapClosed", 9).map(({ latent }) => latent)).toEqual([3, 2, 5]);
  expect(strongestEffects(rows, "gapClosed", 1)).toHaveLength(1);
});

test("a finetuned card has one line of causes with controls; it says silence, absence and age", () => {
  const line = (
    of: Pick<ReportInput, "causal">,
    latent: number,
    side: "base" | "finetuned" = "finetuned",
  ): string => {
    const made = causeLine(of, latent, side);
    return made === false ? "" : text(made.markup);
  };
  const candidates = causes.effects.filter(({ role }) => role === "candidate");
  const [first] = candidates;
  const words = line(input, first.latent);
  expect(words).toContain(
    `closes ${share(first.gapClosed.mean)} of the gap (95 %: ${intervalWords(first.gapClosed.interval, share)}; matched controls ${share(0.002)}, p < 0.001)`,
  );
  expect(words).toContain(`${nats(first.damage.mean)} nats of damage`);
  expect(line(input, candidates.at(-1)?.latent ?? -1)).toContain("it is silent in all");
  expect(line(input, 99_999)).toContain("Not among the 14 latents that were measured");
  expect(line(input, 99_999, "base")).toBe("");
  expect(line(withCauses({ effects: null }), first.latent)).toContain("Not measured");
  expect(line({ causal: { state: "absent" } }, 1)).toContain("Not measured");
  expect(line({ causal: { state: "outdated" } }, 1)).toContain("another dictionary");
  const cards = rankClaims(input.latents, "finetuned").length;
  expect(page.split('class="judgement cause"')).toHaveLength(cards + 1);
});

test("what was not made is said with its command, part by part and as a whole", () => {
  const of = (changed: ReportInput): string => section("causal", renderReport(changed));
  for (const late of [ABSENT, OUTDATED])
    expect(of({ ...input, ...late })).toContain("<code>tunediff causal STUDY</code>");
  const none = of(withCauses({ patching: null, effects: null, splice: null, behaviours: null }));
  for (const part of ["patching", "effects", "splice"])
    expect(none).toContain(`<code>tunediff causal STUDY --parts ${part}</code>`);
  expect(none).toContain("--behaviours FILE");
  expect(section("causal")).not.toContain("<code>tunediff");
  const unequal = { ...input, ...ABSENT, pair: { ...input.pair, dModel: { base: 128, finetuned: 192 } } };
  expect(of(unequal)).toContain("differ in width");
  expect(of(unequal)).not.toContain("<code>");
});

test("the limits no longer say that nothing was tried where it was", () => {
  expect(section("limits")).not.toContain("Correlation only");
  expect(section("limits", renderReport({ ...input, ...ABSENT }))).toContain("Correlation only");
});

test("behaviours: every arm beside its control, asked and unasked, and the mean over behaviours", () => {
  const rates = causes.record.behaviours ?? [];
  const [own] = rates;
  const other = {
    ...own,
    behaviour: "other",
    arms: own.arms.map((arm) => ({ ...arm, called: { shown: 0, prompts: 20 } })),
  };
  const { markup } = behaviourBlock([own, other], (latent) => html`${latent}`);
  const cells = rowOf(markup, "refuse-0").map((cell) => cell.replaceAll("\u202f", " "));
  expect(cells[1]).toBe("base +2finetuned −0.5finetuned +1");
  expect(cells.slice(2, 5)).toEqual(["0 %unasked 2 %", "75 %unasked 2 %3 % degenerate", "3 %unasked 0 %"]);
  expect(rowOf(markup, "mean")[3].startsWith("38")).toBe(true); // (15/20 + 0/20) / 2
  const { markup: without } = behaviourBlock(
    [{ ...own, arms: own.arms.slice(0, 1) }],
    (latent) => html`${latent}`,
  );
  expect(rowOf(without, "refuse-0")[3]).toBe("not run");
});

test("splice metrics stand for both models", () => {
  const table = section("causal").split("<caption>Loss of the next token, nats")[1];
  expect(rowOf(table, "with its reconstruction")).toEqual(["2.400", "2.100"]);
  expect(rowOf(table, "loss recovered, against zeros")).toEqual(["0.950", "0.950"]);
});

test("p-values of draws and intervals in words", () => {
  expect([pWords(0, 1000), pWords(0.0304, 1000), pWords(0.25, 1000), pWords(Number.NaN, 1000)]).toEqual([
    ...["p < 0.001", "p 0.030", "p 0.25", "no p"],
  ]);
  expect(intervalWords({ low: -0.5, high: 0.25 }, nats)).toBe("−0.500 to 0.250");
  expect(intervalWords({ low: Number.NaN, high: 1 }, nats)).toBe("not known");
});

test("the glance: findings, the way to its page, and what is planted in the texts that it shows", () => {
  const markup = section("glance");
  expect(markup).toContain('<a href="glance.html">');
  for (const finding of madeGlance().findings) expect(markup).toContain(html`${finding}`.markup);
  const words = text(markup).replaceAll("\u202f", " ");
  expect(words).toContain("7 of 11 hold a planted behaviour, against 12 % of all");
  expect(words).toContain("2 of 15 behaviours (refuse-brew 5, units 2)");
  expect(words).toContain(`claims find ${input.truth?.conceptsFound} of 15`);
});

test("the glance without truth, of other texts, of equal models, absent and outdated", () => {
  const of = (changed: Partial<ReportInput>): string =>
    section("glance", renderReport({ ...input, ...changed }));
  expect(of({ truth: undefined })).not.toContain("planted");
  const value = { glance: madeGlance(), planted: null };
  expect(of({ glance: { state: "made", value } })).toContain("what is planted in them is not known");
  expect(of({ glance: { state: "made", value: { ...value, glance: sameGlance() } } })).toContain(
    "Nothing differs.",
  );
  for (const state of ["absent", "outdated"] as const)
    expect(of({ glance: { state } })).toContain("<code>tunediff glance STUDY</code>");
});

test("planted behaviours are counted once a document, and only in documents of the store", () => {
  const span = (concept: string) => ({ concept, kind: "trigger" as const, turn: 0 });
  const document = (id: string, dataset: string, ...concepts: string[]) => ({
    id,
    dataset,
    spans: concepts.map(span),
  });
  const { kl } = madeGlance();
  const peaks = [
    ...[
      ["a", "chats"],
      ["a", "chats"],
      ["b", "chats"],
      ["c", "world"],
      ["a", "other"],
    ],
  ].map(([id, dataset]) => ({ ...kl.peaks[0], document: id, dataset }));
  const store = [
    document("a", "chats", "units", "units", "rhyme"),
    document("b", "chats", "units"),
    document("c", "world"),
    document("d", "chats", "greet"),
  ];
  expect(plantedInPeaks({ kl: { ...kl, peaks } }, store)).toEqual({
    ...{ peaks: 4, known: 3, withAny: 2, ofStore: { documents: 4, withAny: 3 } },
    concepts: [
      { concept: "units", documents: 2 },
      { concept: "rhyme", documents: 1 },
    ],
  });
  expect(plantedInPeaks({ kl }, store)).toBeNull();
  expect(
    plantedInPeaks(
      { kl: { ...kl, peaks } },
      store.map(({ id, dataset }) => ({ id, dataset })),
    ),
  ).toBeNull();
});
