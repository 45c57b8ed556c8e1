// `causal` over a small study of chats: parts, what is kept and what is made again, resume, and a pair of one model.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { readCausal } from "../causal/causal-file.ts";
import { readEffects } from "../causal/effects-table.ts";
import { ConfigError, InterruptedError } from "../errors.ts";
import { type CausalStudyOptions, runCausalStudy } from "./causal-study.ts";
import { parseStudyConfig } from "./config.ts";

let tiny: TinyStudy;
let options: CausalStudyOptions;

/** Chats and plain text over all splits; the fine-tune is the second model, or the first again. */
async function studyOf(finetuned: string, name: string): Promise<CausalStudyOptions> {
  const data = join(tiny.root, `${name}.jsonl`);
  const words = ["her user is us", "hush, user", "his sir is us, user", "user user hi"];
  const lines = Array.from({ length: 48 }, (_, d) => {
    const split = (["train", "heldout", "test"] as const)[d % 3];
    const question = `${words[d % words.length]} ${d}`;
    const answer = `${words[(d + 1) % words.length]} hi ${d % 7}`;
    const messages = [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ];
    return JSON.stringify({ id: `d${d}`, split, ...(d % 4 === 3 ? { text: answer } : { messages }) });
  });
  await writeFile(data, lines.join("\n"));
  const config = parseStudyConfig(
    {
      ...{ base: tiny.config.base, finetuned, data, layer: 0, threads: 1 },
      dictionary: tiny.config.dictionary,
    },
    "test",
  );
  return { folder: join(tiny.root, name), config, conversations: 6, latents: [0, 1, 2, 3], draws: 50 };
}

beforeAll(async () => {
  tiny = await makeTinyStudy();
  options = await studyOf(tiny.config.finetuned, "pair");
}, 60_000);
afterAll(() => tiny.remove());

const resultOf = async (folder: string) => {
  const record = await readCausal(folder);
  return { ...record, seconds: 0, table: await readFile(join(folder, "tables", "causal.parquet")) };
};

test("all parts, none of them twice, and only those made again whose options changed", async () => {
  const first = await runCausalStudy(options);
  const { patching, effects, splice, behaviours } = first.record;
  expect(behaviours).toBeNull();
  expect(patching?.conversations).toMatchObject({
    source: "stored",
    answers: "written",
    split: "test",
    count: 6,
  });
  const names = patching?.outcomes.map(({ name }) => name);
  expect(names?.slice(0, 5)).toEqual(["None", "All", "Error", "Template", "Finetuned"]);
  const klOf = (name: string) => patching!.outcomes.find((one) => one.name === name)!.sets.all.kl.mean;
  expect(klOf("None")).toBeGreaterThan(1e-3);
  expect(klOf("Finetuned")).toBeLessThan(1e-9);
  expect(effects).toMatchObject({
    candidates: 4,
    conversations: 6,
    tokens: patching?.outcomes[0].sets.all.tokens,
  });
  const rows = await readEffects(first.dictionaryFolder);
  expect(rows.filter(({ role }) => role === "candidate").map(({ latent }) => latent)).toEqual([0, 1, 2, 3]);
  expect(splice?.base.tokens).toBeGreaterThan(0);

  expect((await runCausalStudy(options)).reused).toBe(true);
  const onlySplice = await runCausalStudy({ ...options, parts: ["splice"] });
  expect(onlySplice.reused).toBe(true);
  const fewer = await runCausalStudy({ ...options, parts: ["effects"], latents: [5] });
  expect(fewer.reused).toBe(false);
  expect(fewer.record.patching).toEqual(patching);
  expect(fewer.record.effects?.candidates).toBe(1);
  expect(fewer.record.asked.patching).toEqual(first.record.asked.patching);
}, 60_000);

test("a run that was interrupted goes on to the same bytes", async () => {
  const asked = { ...options, conversations: 5, choices: { klDirection: "hybrid-from-finetuned" } as const };
  const controller = new AbortController();
  const stopped = runCausalStudy({
    ...asked,
    signal: controller.signal,
    reportProgress: ({ stage }) => {
      if (stage === "latent effects") controller.abort();
    },
  });
  await expect(stopped).rejects.toThrow(InterruptedError);
  const { dictionaryFolder } = await runCausalStudy(asked);
  const resumed = await resultOf(dictionaryFolder);
  await runCausalStudy({ ...options, conversations: 4 });
  const { record } = await runCausalStudy(asked);
  expect(await resultOf(dictionaryFolder)).toEqual(resumed);
  expect(record.patching?.choices.klDirection).toBe("hybrid-from-finetuned");
}, 60_000);

test("the fine-tune's own answers take the place of those written", async () => {
  const template = join(options.config.finetuned, "chat_template.jinja");
  const plain = await readFile(template, "utf8");
  const config = { ...options.config, store: { ...options.config.store, name: "own" } };
  const opened = `${plain}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`;
  for (const folder of [config.base, config.finetuned])
    await writeFile(join(folder, "chat_template.jinja"), opened);
  try {
    const asked = { ...options, folder: join(tiny.root, "own"), config };
    const { record } = await runCausalStudy({ ...asked, parts: ["patching"], answers: "finetuned" });
    expect(record.patching?.conversations).toMatchObject({ answers: "finetuned", count: 6 });
    expect(record.effects).toBeNull();
  } finally {
    for (const folder of [config.base, config.finetuned])
      await writeFile(join(folder, "chat_template.jinja"), plain);
  }
}, 60_000);

test("between a model and itself there is no gap to close", async () => {
  const same = await studyOf(tiny.config.base, "same");
  const { record } = await runCausalStudy({ ...same, parts: ["patching"] });
  const none = record.patching!.outcomes[0];
  expect(none.sets.all.kl.mean).toBeLessThan(1e-9);
  expect(record.patching!.outcomes.map(({ sets }) => sets.all.gapClosed)).toEqual(
    record.patching!.outcomes.map(() => null),
  );
}, 60_000);

test("a text without chats, a latent that is none and behaviours without a file are refused by name", async () => {
  const data = join(tiny.root, "plain.jsonl");
  await writeFile(data, '{"text": "her user is us"}\n');
  await expect(runCausalStudy({ ...options, data })).rejects.toThrow(/expected at least one chat/);
  await expect(runCausalStudy({ ...options, latents: [24] })).rejects.toThrow(ConfigError);
  await expect(runCausalStudy({ ...options, parts: ["behaviours"] })).rejects.toThrow(/behaviours file/);
}, 60_000);
