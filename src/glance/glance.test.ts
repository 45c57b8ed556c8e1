// A glance at tiny pairs, whole: text of a file and of the models, equal models, unequal widths, models that overflow.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { FormatError, NumericsError } from "../errors.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { glance } from "./glance.ts";
import type { Glance } from "./glance-contract.ts";
import { readGlance, writeGlance } from "./glance-file.ts";
import { TEXT_LIMITS, tokenBudget } from "./glance-texts.ts";

const folders: string[] = [];
let [root, base, finetuned] = ["", "", ""];

async function makeModel({ seed = 1, width = 16, scale = 1 }): Promise<string> {
  const config = {
    ...TINY_CONFIG,
    ...{ vocab_size: TINY_VOCAB_SIZE, hidden_size: width, num_hidden_layers: 2, max_position_embeddings: 64 },
  };
  const weights = tinyWeights(config, seed);
  for (const [name, values] of weights) {
    if (name.includes("down_proj"))
      weights.set(
        name,
        values.map((value) => value * scale),
      );
  }
  const folder = await writeTinyLlama(config, weights);
  folders.push(folder);
  return writeTinyTokenizer(folder);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-glance-"));
  folders.push(root);
  [base, finetuned] = [await makeModel({ seed: 1 }), await makeModel({ seed: 2 })];
});
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

const small = { threads: 1, maxTokens: 200, steering: false };

/** Without what the clock says. */
function timeless({ seconds: _, ...rest }: Glance): Omit<Glance, "seconds"> {
  return rest;
}

test("without data both models write the text, the same for the same seed", async () => {
  const options = { ...small, base, finetuned };
  const first = await glance(options);
  expect(first.text.source).toBe("written by the models");
  expect(first.text.description).toMatch(/plain texts by the base.*by the fine-tune.*from BOS and \d+ chats/);
  expect(first.layer).toEqual({ base: 1, finetuned: 1 });
  expect(first.kl.byDataset.map(({ dataset }) => dataset).sort()).toEqual([
    "chats written by the fine-tune",
    "written by the base",
    "written by the fine-tune",
  ]);
  expect(first.kl.byRole.map(({ role }) => role).sort()).toEqual([
    ...["assistant", "bos", "template", "text", "user"],
  ]);
  expect(first.kl.mean).toBeGreaterThan(0.01);
  expect(first.kl.peaks[0].kl[first.kl.peaks[0].peak]).toBeCloseTo(first.kl.quantiles.max, 6);
  expect(first.pca.components.length).toBeGreaterThan(0);
  expect(first.findings[0]).toMatch(/^The fine-tune's predictions differ/);
  expect(timeless(await glance(options))).toEqual(timeless(first));
  const other = await glance({ ...options, seed: 1, maxTokens: 60 });
  expect(other.kl.peaks).not.toEqual(first.kl.peaks);
  await writeGlance(root, first);
  expect(await readGlance(root)).toEqual(first);
}, 60_000);

test("equal models: KL 0 at every token, no component, no mined token, no finding", async () => {
  const same = await glance({ ...small, steering: true, base, finetuned: base });
  expect(same.kl).toMatchObject({ mean: 0, quantiles: { max: 0 }, peaks: [] });
  expect(same.mining).toMatchObject({ risen: [], fallen: [] });
  expect(same.pca).toMatchObject({ changeRatio: 0, components: [] });
  expect(same.lens).toMatchObject({ mainPosition: null, steering: [] });
  expect(same.findings).toEqual([]);
  expect(same.warnings.join()).toContain("null pair");
}, 60_000);

test("documents of a file are drawn over the whole of it until the tokens are full; plain ones are the unrelated text", async () => {
  const data = join(root, "texts.jsonl");
  const lines = Array.from({ length: 200 }, (_, d) =>
    JSON.stringify(
      d % 2 === 0
        ? { id: `p${d}`, text: `hi user ${d}`, dataset: "plain" }
        : { id: `c${d}`, messages: [{ role: "user", content: `hi ${d}` }], dataset: "chats" },
    ),
  );
  await writeFile(data, [...lines, lines[0]].join("\n"));
  const seen = await glance({ ...small, base, finetuned, data });
  expect(seen.text.source).toBe("file");
  expect(seen.text.tokens).toBeGreaterThanOrEqual(200);
  // At most the last document goes over.
  expect(seen.text.tokens).toBeLessThan(200 + TEXT_LIMITS.documentTokens);
  const plain = seen.kl.byRole.find(({ role }) => role === "text")!;
  expect(seen.lens.texts).toBeGreaterThan(0);
  expect(seen.lens.texts).toBeLessThan(seen.text.documents);
  expect(plain.tokens).toBeGreaterThan(0);
  expect(seen.kl.byDataset.map(({ dataset }) => dataset).sort()).toEqual(["chats", "plain"]);
  const drawn = seen.kl.peaks.map(({ document }) => Number(document.slice(1)));
  expect(Math.max(...drawn)).toBeGreaterThan(100);

  const all = await glance({ ...small, base, finetuned, data, maxTokens: 100_000 });
  // The 201st line repeats the first.
  expect(all.text.documents).toBe(200);
}, 60_000);

test("a file of chats alone is read as unrelated text, with a warning; an unreadable one is a typed error", async () => {
  const data = join(root, "chats.jsonl");
  await writeFile(data, JSON.stringify({ messages: [{ role: "user", content: "hi user" }] }));
  const seen = await glance({ ...small, base, finetuned, data });
  expect(seen.warnings.join()).toContain("no plain text");
  expect(seen.lens.texts).toBe(1);
  const missing = glance({ ...small, base, finetuned, data: join(root, "none.jsonl") });
  await expect(missing).rejects.toMatchObject({ exitCode: 3 });
  await writeFile(data, JSON.stringify({ nothing: 1 }));
  await expect(glance({ ...small, base, finetuned, data })).rejects.toThrow(FormatError);
}, 60_000);

test("without a chat template no chats are written", async () => {
  const bare = [await makeModel({ seed: 1 }), await makeModel({ seed: 2 })];
  for (const folder of bare) await rm(join(folder, "chat_template.jinja"));
  const seen = await glance({ ...small, base: bare[0], finetuned: bare[1] });
  expect(seen.text.description).not.toContain("chats");
  expect(seen.kl.byRole.map(({ role }) => role).sort()).toEqual(["bos", "text"]);
}, 60_000);

test("models of unequal widths are compared in what they say alone", async () => {
  const wide = await makeModel({ seed: 3, width: 24 });
  const seen = await glance({ ...small, base, finetuned: wide });
  expect(seen.kl.mean).toBeGreaterThan(0);
  expect(seen.lens.positions).toEqual([]);
  expect(seen.pca.components).toEqual([]);
  expect(seen.warnings.join()).toContain("16 and 24 wide");
}, 60_000);

test("a model whose residuals overflow is a NumericsError that names the text", async () => {
  const data = join(root, "one.jsonl");
  await writeFile(data, JSON.stringify({ id: "doc", text: "hi user" }));
  const broken = await makeModel({ seed: 2, scale: 3e38 });
  const failure = await glance({ ...small, base, finetuned: broken, data }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(NumericsError);
  expect((failure as Error).message).toMatch(/finetuned.*text/);
}, 60_000);

test("the token budget falls with the size of the model and has a floor", () => {
  const { mostTokens, leastTokens, parameterTokens } = TEXT_LIMITS;
  expect(tokenBudget(1e6)).toBe(mostTokens);
  expect(tokenBudget(1e9)).toBe(parameterTokens / 1e9);
  expect(tokenBudget(1e12)).toBe(leastTokens);
});
