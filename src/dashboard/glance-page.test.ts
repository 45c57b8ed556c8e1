import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { madeGlance } from "../report/glance-fixture.test.data.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { GlanceFindings, GlancePage } from "./api-contract.ts";
import type { ViewParts } from "./dictionary-view.ts";
import { fakeApp, fakeView, NOT_MADE } from "./fake-view.test.helper.ts";
import { GLANCE_PAGE_LIMITS, shapeGlance, textOf } from "./glance-page.ts";

let folder: string | undefined;
afterEach(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true });
  folder = undefined;
});

const page = async (parts: Partial<ViewParts>, study?: string): Promise<GlancePage> =>
  (await (await fakeApp(fakeView(parts, study)).request("/api/studies/0/main/glance")).json()) as GlancePage;
const found = async (parts: Partial<ViewParts>, study?: string): Promise<GlanceFindings> => {
  const { glance } = await page(parts, study);
  if (glance.state !== "made") throw new Error(glance.words);
  return glance.value;
};
const TRUTH = { conceptsFound: 3, conceptsPlanted: 4 } as TruthScore;

test("a glance comes whole: peaks, groups, difference, components, mined tokens, and the words of its terms", async () => {
  const glance = madeGlance();
  const shown = await found({ glance });
  expect(shown.findings).toEqual(glance.findings);
  expect(shown.kl.peaks.total).toBe(glance.kl.peaks.length);
  const [peak] = shown.kl.peaks.items;
  const { kl, ...text } = glance.kl.peaks[0];
  expect(peak).toEqual({ ...text, values: kl });
  expect(shown.kl.byRole).toContainEqual({ name: "assistant", tokens: 1887, mean: 2.5 });
  expect(shown.lens.positions.items.map(({ position }) => position)).toEqual([0, 1, 2, 3, null]);
  expect(shown.lens.positions.items.at(-1)?.read).toEqual(glance.lens.overall.read);
  expect(shown.lens.positions.items[0].relativeNorm).toBeNull();
  expect(shown.pca.components.items[1].lowest[0]).toMatchObject({ document: "chat-3", dataset: "", peak: 6 });
  expect(shown.mining.risen.items[0]).toEqual(glance.mining.risen[0]);
  expect((await page({ glance })).terms.map(({ name }) => name)).toContain("mined tokens");
});

test("without a glance the page says what makes it", async () => {
  expect((await page({})).glance).toEqual(NOT_MADE);
});

test("no path of the disk is told, and models have their last names", async () => {
  const glance = madeGlance();
  glance.text.description = "200 documents drawn of 9,214 of /srv/data/chats.jsonl, cut to 256";
  glance.warnings = ["/srv/models/base has no chat template"];
  const shown = await found({ glance });
  expect(JSON.stringify(shown)).not.toContain("/srv");
  expect(shown.text.description).toContain("chats.jsonl, cut to 256");
  expect([shown.base, shown.finetuned]).toEqual(["minichat/base", "minichat/finetuned"]);
});

test("every list and text is bounded, and the whole number is said", () => {
  const glance = madeGlance({ hostile: false });
  const many = <T>(item: T, n: number): T[] => Array.from({ length: n }, () => item);
  const long = 5000;
  glance.kl.peaks = many({ ...glance.kl.peaks[0], tokens: many("a", long), kl: many(1, long) }, long);
  glance.lens.positions = many(glance.lens.positions[1], long);
  glance.lens.steering = many({ ...glance.lens.steering[0], steered: "😀".repeat(long) }, long);
  glance.pca.components = many(glance.pca.components[0], long);
  glance.mining.risen = many(glance.mining.risen[0], long);
  const { kl, lens, pca, mining } = shapeGlance(glance);
  const { peaks, positions, steering, components, mined, tokensOfText, answer } = GLANCE_PAGE_LIMITS;
  expect(kl.peaks.items).toHaveLength(peaks);
  expect(kl.peaks.items[0].tokens).toHaveLength(tokensOfText);
  expect(kl.peaks.items[0].values).toHaveLength(tokensOfText);
  expect(lens.positions.items).toHaveLength(positions + 1);
  expect(lens.steering.items).toHaveLength(steering);
  expect(lens.steering.items[0].steered === `${"😀".repeat(answer)}…`).toBe(true);
  expect(pca.components.items).toHaveLength(components);
  expect(mining.risen.items).toHaveLength(mined);
  expect([kl.peaks.total, lens.steering.total, pca.components.total, mining.risen.total]).toEqual(
    many(long, 4),
  );
});

test("a long text is cut around its peak, wherever that is", () => {
  const tokens = Array.from({ length: 1000 }, (_, i) => String(i));
  const values = tokens.map((_, i) => i / 10);
  for (const peak of [0, 5, 127, 500, 998, 999]) {
    const text = textOf({ document: "d", tokens, values, peak });
    expect(text.tokens).toHaveLength(GLANCE_PAGE_LIMITS.tokensOfText);
    expect(text.tokens[text.peak]).toBe(String(peak));
    expect(text.values[text.peak]).toBe(peak / 10);
  }
  const short = textOf({ document: "d", tokens: ["a", "b"], values: [1, Number.NaN], peak: 1 });
  expect(short).toEqual({ document: "d", dataset: "", tokens: ["a", "b"], values: [1, null], peak: 1 });
});

test("what was planted in the documents shown is counted from the store's documents", async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-glance-"));
  const glance = madeGlance();
  expect((await found({ glance }, folder)).planted).toBeNull();
  expect((await found({ glance, truth: TRUTH }, folder)).planted).toMatchObject({
    state: "missing",
    command: "tunediff harvest STUDY",
  });
  const rows = join(folder, "stores", "main", "rows");
  await mkdir(rows, { recursive: true });
  const span = { concept: "units", kind: "response", turn: 0, start: 0, end: 2 };
  const documents = [
    { id: "chat-0", dataset: "chats", spans: [span] },
    { id: "chat-1", dataset: "world", spans: [] },
    { id: "elsewhere", dataset: "chats", spans: [span] },
  ];
  await writeFile(join(rows, "documents.jsonl"), documents.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await writeFile(join(folder, "stores", "main", "manifest.json"), "{}");
  expect((await found({ glance, truth: TRUTH }, folder)).planted).toEqual({
    state: "made",
    value: {
      ...{ peaks: 12, known: 2, withAny: 1, ofStore: { documents: 3, withAny: 2 } },
      concepts: [{ concept: "units", documents: 1 }],
      ...{ found: 3, planted: 4 },
    },
  });
});

test("a damaged list of documents leaves the glance whole and says what cannot be read", async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-glance-"));
  const rows = join(folder, "stores", "main", "rows");
  await mkdir(rows, { recursive: true });
  await writeFile(join(rows, "documents.jsonl"), "{ no json\n");
  await writeFile(join(folder, "stores", "main", "manifest.json"), "{}");
  const { planted, findings } = await found({ glance: madeGlance(), truth: TRUTH }, folder);
  expect(planted).toMatchObject({ state: "damaged" });
  expect(JSON.stringify(planted)).not.toContain(folder);
  expect(findings.length).toBeGreaterThan(0);
});
