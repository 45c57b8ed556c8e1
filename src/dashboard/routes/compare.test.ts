// The comparison over a tiny study with two trained dictionaries, a copy of one, and a copy of the study.

import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../../test/tiny-study.ts";
import { randomDictionary } from "../../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../../dictionary/dictionary-file.ts";
import { readMeasure } from "../../measure/measure.ts";
import type { LatentMeasure } from "../../measure/measure-contract.ts";
import { measurePaths, readSummaryFile, writeSummary } from "../../measure/measure-files.ts";
import { writeMeasureTable } from "../../measure/measure-table.ts";
import { runStudy } from "../../study/run-study.ts";
import { runStabilityStudy } from "../../study/stability-study.ts";
import type { ApiError, Comparison, Matching, MatchingEvent } from "../api-contract.ts";
import { createDashboardApp } from "../app.ts";
import { openNotes } from "../notes.ts";
import { openStudySource, type StudySource } from "../study-source.ts";

const OTHER = "main-seed1";
const N = 24;

let tiny: TinyStudy;
let source: StudySource;
let app: ReturnType<typeof createDashboardApp>;
let close: () => Promise<void>;
const folder = (study: string, dictionary?: string): string =>
  join(tiny.root, study, ...(dictionary === undefined ? [] : ["dictionaries", dictionary]));

beforeAll(async () => {
  tiny = await makeTinyStudy();
  await runStudy({ folder: folder("study"), config: tiny.config, until: "lens", commands: [] });
  await runStabilityStudy({ folder: folder("study"), config: tiny.config, seeds: 1, latents: [] });
  for (const dictionary of ["main", OTHER]) await claimSome(folder("study", dictionary));
  await cp(folder("study", "main"), folder("study", "same"), { recursive: true });
  await cp(folder("study"), folder("copy"), { recursive: true });
  source = openStudySource([folder("study"), folder("copy")]);
  const notes = openNotes(folder("study"));
  app = createDashboardApp({
    ...{ source, notesOf: () => notes, security: { exchange: () => ({ outcome: "wrong" }) } },
  });
  close = async () => {
    notes.close();
    await source.close();
  };
});
afterAll(async () => {
  await close?.();
  await tiny?.remove();
});

/** So small a world may claim nothing: every third latent that fires is said to be the fine-tune's. */
async function claimSome(path: string): Promise<void> {
  const { latents } = await readMeasure(path);
  const { summary } = await readSummaryFile(path);
  let nFiring = 0;
  const claimed = latents.map((latent): LatentMeasure => {
    if (latent.frequency > 0) nFiring += 1;
    const isClaimed = latent.frequency > 0 && nFiring % 3 === 0;
    return {
      ...latent,
      ...(isClaimed && { deltaNorm: 0.9 }),
      claim: isClaimed ? "finetuned-specific" : "none",
    };
  });
  await writeMeasureTable(measurePaths(path).table, claimed, summary.categories);
}

const address = (path: string, query: Record<string, string>, from = "0/main"): string =>
  `/api/studies/${from}/compare${path}?${new URLSearchParams({ otherStudy: "0", other: OTHER, ...query })}`;
const compare = async (query: Record<string, string> = {}, from?: string): Promise<Comparison> =>
  (await (await app.request(address("", query, from))).json()) as Comparison;

async function matched(query: Record<string, string> = {}, from?: string): Promise<Matching> {
  const text = await (await app.request(address("/matches", query, from))).text();
  const events = text
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)) as MatchingEvent);
  const last = events.at(-1);
  if (last?.kind !== "matching") throw new Error(text);
  return last.matching;
}
async function refused(query: Record<string, string>, from?: string): Promise<[number, string]> {
  const answer = await app.request(address("/matches", query, from));
  return [answer.status, ((await answer.json()) as ApiError).error];
}

test("two dictionaries of a study are told apart, and can be matched in both ways", async () => {
  const { a, b, matching } = await compare();
  expect(a.training).toMatchObject({ state: "made", value: { nLatents: N, seed: 0, steps: 20 } });
  expect(b.training).toMatchObject({ state: "made", value: { seed: 1 } });
  expect(a.measured).toEqual({
    ...b.measured,
    value: { ...(b.measured as { value: object }).value, inferenceThreshold: expect.any(Number) },
  });
  expect(matching.direction).toMatchObject({ isPossible: true, halves: ["base", "finetuned"] });
  expect(matching.place).toMatchObject({ isPossible: true });
  expect(JSON.stringify({ a, b, matching })).not.toContain(tiny.root);
});

test.each(["direction", "place"] as const)(
  "by %s a dictionary's copy is found whole, and all its claims are kept",
  async (by) => {
    const matching = await matched({ by, other: "same", latents: "all" });
    const { rows, summary } = matching;
    const { latents } = await readMeasure(folder("study", "main"));
    const isCompared = (latent: number): boolean => by === "direction" || latents[latent].frequency > 0;
    const compared = rows.a.filter(isCompared);
    expect(compared.length).toBeGreaterThan(8);
    for (const [i, latent] of rows.a.entries()) {
      if (!isCompared(latent)) continue;
      expect(rows.score[i]).toBeCloseTo(1, 5); // six decimals are sent
      // Latents that peak at the same tokens are alike by place: of those the lowest is the nearest.
      if (by === "place") continue;
      expect(rows.b[i]).toBe(latent);
      expect(rows.change[i]).toBe(latents[latent].claim === "none" ? "" : "kept");
    }
    if (by === "direction") {
      const { claims } = summary.a.finetuned;
      expect(claims).toBeGreaterThan(2);
      expect(summary.a).toEqual(summary.b);
      expect(summary.a.finetuned).toEqual({ claims, compared: claims, found: claims, kept: claims });
    }
  },
);

test.each(["direction", "place"] as const)("by %s the other way round says the same", async (by) => {
  const [forward, back] = [await matched({ by }), await matched({ by, other: "main" }, `0/${OTHER}`)];
  expect(forward.latents).toBe("claims");
  expect(back.summary).toEqual({ a: forward.summary.b, b: forward.summary.a });
  const kept = ({ rows }: Matching, [x, y]: ["a" | "b", "a" | "b"]): string[] =>
    rows.change.flatMap((change, i) => (change === "kept" ? [`${rows[x][i]} ${rows[y][i]}`] : [])).sort();
  expect(kept(back, ["b", "a"])).toEqual(kept(forward, ["a", "b"]));
  const count = (matching: Matching, change: string): number =>
    matching.rows.change.filter((one) => one === change).length;
  expect([count(back, "lost"), count(back, "new")]).toEqual([count(forward, "new"), count(forward, "lost")]);
});

test("claims alone are given what all latents are given", async () => {
  const [claims, all] = [await matched(), await matched({ latents: "all" })];
  expect(claims.summary).toEqual(all.summary);
  const pair = ({ rows }: Matching, i: number): string =>
    [rows.a[i], rows.b[i], rows.change[i], rows.found[i], rows.score[i]].join(" ");
  const listed = new Set(all.rows.a.map((_, i) => pair(all, i)));
  for (const [i] of claims.rows.a.entries()) expect([...listed]).toContain(pair(claims, i));
  expect(all.rows.a.filter((latent) => latent >= 0).length).toBeGreaterThanOrEqual(N);
});

test("another layer, other widths or other weights: what cannot be matched is refused in words", async () => {
  const lockPath = join(folder("copy"), "study.lock.json");
  const lock = JSON.parse(await readFile(lockPath, "utf8"));
  const toCopy = { otherStudy: "1", other: "main" };
  expect((await compare(toCopy)).matching.direction.isPossible).toBe(true);

  await writeFile(lockPath, JSON.stringify({ ...lock, finetuned: { ...lock.finetuned, hash: "other" } }));
  const half = (await compare(toCopy)).matching;
  expect(half.direction).toMatchObject({ isPossible: true, halves: ["base"] });
  expect(half.direction.words).toContain("finetuned: other weights");
  expect((await matched(toCopy)).summary.a.finetuned).toMatchObject({ compared: 0, kept: 0 });

  await rm(lockPath);
  expect((await compare(toCopy)).matching.direction.words).toContain("does not say which model it is");
  await saveDictionary(folder("copy", "main"), randomDictionary({ nLatents: N, widths: [16, 16] }));
  const layers = (await compare(toCopy)).matching.direction;
  expect(layers).toMatchObject({ isPossible: false, halves: [] });
  expect(layers.words).toContain("layers 1 and 3");
  await saveDictionary(folder("copy", "main"), randomDictionary({ nLatents: N, widths: [16, 9] }));
  expect((await compare(toCopy)).matching.direction.words).toContain("widths 16 and 9");
  expect(await refused(toCopy)).toEqual([409, (await compare(toCopy)).matching.direction.words]);
});

test("an unmeasured dictionary says so; examples or a store that are not there are said, too", async () => {
  const toCopy = { otherStudy: "1", other: OTHER };
  const { summary, inputs } = await readSummaryFile(folder("copy", OTHER));
  await writeSummary(folder("copy", OTHER), summary, { ...inputs, storeSha256: "0".repeat(64) });
  expect((await compare(toCopy)).matching.place).toMatchObject({
    isPossible: false,
    words: expect.stringContaining("not there any more"),
  });
  await rm(measurePaths(folder("copy", OTHER)).examples);
  expect((await compare(toCopy)).matching.place.words).toContain("no examples");
  expect((await refused({ ...toCopy, by: "place" }))[0]).toBe(409);
  await rm(measurePaths(folder("copy", OTHER)).summary);
  const { b } = await compare(toCopy);
  expect(b.measured).toMatchObject({ state: "missing", command: "tunediff measure STUDY" });
  expect(await refused(toCopy)).toEqual([409, "The measurement has not been made."]);
});

test("what is not served is not found, and other words than the known ones are refused", async () => {
  const status = async (path: string, query: Record<string, string>): Promise<number> =>
    (await app.request(address(path, query))).status;
  expect(await status("", { other: "none" })).toBe(404);
  expect(await status("", { otherStudy: "7" })).toBe(404);
  expect(await status("", { otherStudy: "-1" })).toBe(404);
  expect(await status("/matches", { by: "name" })).toBe(400);
  expect(await status("/matches", { latents: "some" })).toBe(400);
  expect(await status("/matches", { more: "1" })).toBe(400);
});

test("a browser that goes ends the stream", async () => {
  const stop = new AbortController();
  const answer = await app.request(address("/matches", { otherStudy: "0", other: "same", by: "direction" }), {
    signal: stop.signal,
  });
  stop.abort();
  expect(await answer.text()).not.toContain('"kind":"matching"');
});
