// The models' side over a tiny study: a reading says what store, measurement and slow reference say, steering what steer() says.

import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LabStudy, makeLabStudy } from "../../../test/lab-study.ts";
import { steer } from "../../causal/steer.ts";
import { steeringVector } from "../../causal/steering-vectors.ts";
import { loadDictionary } from "../../dictionary/dictionary-file.ts";
import { createEncoder } from "../../dictionary/encode.ts";
import { latentWeights } from "../../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../../dictionary/normaliser.ts";
import { InterruptedError, MismatchError } from "../../errors.ts";
import { compareRowReference } from "../../harvest/next-token-reference.ts";
import { SIDES } from "../../harvest/open-pair.ts";
import { rightPad } from "../../lm/batch.ts";
import { createGenerator } from "../../lm/generate.ts";
import { createFullModel } from "../../lm/runner.ts";
import { openExamples, readMeasure } from "../../measure/measure.ts";
import { ROLES } from "../../store/rows.ts";
import { openStore } from "../../store/store.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import { writeStudyConfig } from "../../study/config.ts";
import { layersOf, openStudyModels, type StudyModels } from "../../study/open-models.ts";
import { createPromptTokenizer } from "../../text/chat-prompt.ts";
import { findStopIds } from "../../text/stop-ids.ts";
import { createLabModels } from "./lab-models.ts";
import type { LabGround, LabToken, RawReading, ReadingQuestion, SteeringQuestion } from "./lab-protocol.ts";

let study: LabStudy;
let opened: StudyModels;
let ground: LabGround;
const models = createLabModels();
beforeAll(async () => {
  study = await makeLabStudy();
  opened = await openStudyModels(study.config);
  const { folder: studyFolder, dictionaryFolder } = study;
  ground = { studyFolder, dictionaryFolder, dictionarySha256: "a" };
});
afterAll(async () => {
  await models.release();
  await opened?.close();
  await study?.remove();
});

const report = (): void => {};
const plain = { answer: "none", maxNewTokens: 8 } as const;
const chat: ReadingQuestion["prompt"] = { messages: [{ role: "user", content: "her user is us" }] };

/** Activations [n, nLatents] of a reading. */
function dense({ tokens, rowStart, latent, activation }: RawReading, nLatents: number): number[][] {
  return tokens.map((_, row) => {
    const values = new Array<number>(nLatents).fill(0);
    for (let i = rowStart[row]; i < rowStart[row + 1]; i += 1) values[latent[i]] = activation[i];
    return values;
  });
}

/**
 * Sums of products of a width of 32, in another order (a harvest's batch is padded): some units in the last place of the largest term, against
 * activations of about 1.
 */
const F32_TOLERANCE = 1e-4;

test("activations are those of the stored rows encoded, and those of the measurement's examples", async () => {
  const dictionary = await loadDictionary(study.dictionaryFolder);
  const store = await openStore(join(study.folder, "stores", "main"));
  const document = store.documents.find(({ split }) => split === "heldout")!;
  const { rowStart, rowEnd } = document;
  const n = rowEnd - rowStart;
  const reading = await models.read(ground, { prompt: { text: document.text }, ...plain }, { report });
  const stored = Array.from(store.rows.role.subarray(rowStart, rowEnd), (role) => ROLES[role]);
  expect(reading.roles).toEqual(stored);
  expect(reading.tokens[1] + reading.tokens[2]).toBe("her");

  const x = normaliseInPlace(await store.read(rowStart, rowEnd), n, dictionary);
  const encoder = await createEncoder(dictionary, { maxRows: n, threads: 1 });
  const codes = await encoder.encode(x, n);
  await encoder.dispose();
  const weights = latentWeights(dictionary);
  const got = dense(reading, dictionary.nLatents);
  let fired = 0;
  for (let row = 0; row < n; row += 1) {
    const expected = new Array<number>(dictionary.nLatents).fill(0);
    for (let i = codes.rowStart[row]; i < codes.rowStart[row + 1]; i += 1) {
      expected[codes.latent[i]] = codes.code[i] * weights[codes.latent[i]];
    }
    // The first row is BOS, which the measurement leaves out.
    const differences = got[row].map((value, latent) => Math.abs(value - (row === 0 ? 0 : expected[latent])));
    expect(Math.max(...differences), `row ${row}`).toBeLessThan(F32_TOLERANCE);
    fired += expected.filter((value) => value > 0).length;
  }
  expect(fired).toBeGreaterThan(n);

  const examples = openExamples(study.dictionaryFolder);
  let compared = 0;
  for (let latent = 0; latent < dictionary.nLatents; latent += 1) {
    const own = examples.ofLatent(latent, 100).filter(({ documentId }) => documentId === document.id);
    for (const example of own) {
      const from = example.rowStart - rowStart;
      expect(example.tokens).toEqual(reading.tokens.slice(from, from + example.tokens.length));
      for (const [i, value] of example.activations.entries()) {
        expect(Math.abs(got[from + i][latent] - value)).toBeLessThan(F32_TOLERANCE);
        compared += 1;
      }
    }
  }
  expect(compared).toBeGreaterThan(n);
  examples.close();
  await store.close();
});

test("KL and next tokens are those of the slow reference over whole forwards", async () => {
  const reading = await models.read(ground, { prompt: chat, ...plain }, { report });
  const { tokenizer, checkpoints, template } = opened.pair;
  const [{ text }] = await createPromptTokenizer({ tokenizer, template }).tokenize([{ id: "1", ...chat }]);
  const written = text.slice(0, text.lastIndexOf("<start_of_turn>"));
  const { ids } = await tokenizer.encode(written);
  expect(reading.tokens.join("")).toBe(written);
  expect(reading.roles.filter((role) => role === "user")).toHaveLength(
    (await tokenizer.encode("her user is us")).ids.length,
  );
  const logits = {} as Record<ModelSide, Float32Array>;
  for (const side of SIDES) {
    const model = await createFullModel(checkpoints[side], { threads: 1 });
    logits[side] = (await model.run(rightPad([ids]))).logits;
    await model.dispose();
  }
  const { vocabSize } = checkpoints.base.config;
  const common = Array.from({ length: vocabSize }, (_, id) => id);
  for (const [i] of reading.tokens.entries()) {
    const row = (side: ModelSide) => Array.from(logits[side].subarray(i * vocabSize, (i + 1) * vocabSize));
    const slow = compareRowReference({ base: row("base"), finetuned: row("finetuned") }, common);
    // f32 logits of two ways through the model, of about 1: 1e-5 each.
    expect(reading.kl[i]).toBeCloseTo(slow.klFinetunedBase, 4);
    for (const side of SIDES) {
      const top = slow.ranking[side].slice(0, 5);
      expect(reading.next[side][i].map(({ token }) => token)).toEqual(top.map(tokenizer.tokenString));
      for (const [k, { probability }] of reading.next[side][i].entries())
        expect(probability).toBeCloseTo(slow.probability[side][top[k]], 5);
    }
  }
});

test("an answer is the model's own greedy one, marked token by token, and read by both models", async () => {
  const question: ReadingQuestion = { prompt: chat, answer: "base", maxNewTokens: 6 };
  const reading = await models.read(ground, question, { report });
  const { checkpoints, tokenizer } = opened.pair;
  const [{ tokens }] = await createPromptTokenizer(opened.pair).tokenize([{ id: "1", ...chat }]);
  const generator = await createGenerator(checkpoints.base, { threads: 1 });
  const stopIds = await findStopIds({ folders: [study.config.base, study.config.finetuned], ...opened.pair });
  const prompts = [tokens.base];
  const [{ tokenIds }] = await generator.generate({ prompts, maxNewTokens: 6, stopIds });
  await generator.dispose();
  const whole = [...tokens.base, ...tokenIds];
  expect(reading.tokens).toEqual(whole.map(tokenizer.tokenString));
  expect(reading.isAnswer).toEqual(whole.map((_, i) => (i < tokens.base.length ? 0 : 1)));
  const opening = reading.roles.slice(0, tokens.base.length);
  expect(opening.filter((role) => role === "user").length).toBeGreaterThan(3);
  expect(opening.slice(-3)).toEqual(["template", "template", "template"]);
  expect(reading.roles.slice(tokens.base.length)).toEqual(
    Array.from(tokenIds, (id) => (stopIds.includes(id) ? "template" : "assistant")),
  );
});

test("a prompt beyond the context is cut with a warning, and refused where an answer needs room", async () => {
  const text = "x".repeat(600);
  const reading = await models.read(ground, { prompt: { text }, ...plain }, { report });
  expect(reading.tokens).toHaveLength(512);
  expect(reading.warnings).toContain("The prompt was cut to its first 512 tokens.");
  const asked = models.read(ground, { prompt: { text }, ...plain, answer: "base" }, { report });
  await expect(asked).rejects.toThrow("the prompt: expected at most 511 tokens");
  const pushed = { ...(await steeringQuestion()), prompts: [chat, { text }] };
  const steered = models.steer(ground, pushed, { report, onText: () => {} });
  await expect(steered).rejects.toThrow("prompt 2: expected at most 511 tokens");
});

async function steeringQuestion(): Promise<SteeringQuestion> {
  const { latents } = await readMeasure(study.dictionaryFolder);
  const maxCode = Float64Array.from(latents, (latent) => latent.maxCode);
  const latent = maxCode.findIndex((code) => code > 0);
  return {
    ...{ latents: [{ latent, factor: 2 }], unit: "activation", positions: "all", maxCode },
    ...{
      prompts: [chat, { text: "hush –" }],
      temperature: 1,
      seeds: [3, 4],
      maxNewTokens: 12,
      models: "both",
    },
  };
}

test("steering is steer() called directly; the pieces of text are the answers", async () => {
  const question = await steeringQuestion();
  const pieces = new Map<string, string>();
  const onText = ({ arm, prompt, seed, text }: LabToken): void => {
    const key = `${arm} ${prompt} ${seed}`;
    pieces.set(key, (pieces.get(key) ?? "") + text);
  };
  const { answers } = await models.steer(ground, question, { report, onText });
  const { pair } = opened;
  const { latents: measured } = await readMeasure(study.dictionaryFolder);
  const dictionary = await loadDictionary(study.dictionaryFolder);
  const direct = await steer({
    ...{ checkpoints: pair.checkpoints, layers: layersOf(pair), decode: pair.tokenizer.decode, threads: 1 },
    vector: steeringVector(question.latents, { dictionary, measured, unit: "activation" }),
    prompts: await createPromptTokenizer(pair).tokenize(
      question.prompts.map((prompt, i) => ({ id: String(i), ...prompt })),
    ),
    ...{ seeds: [3, 4], temperature: 1, maxNewTokens: 12 },
    stopIds: await findStopIds({ folders: [study.config.base, study.config.finetuned], ...pair }),
  });
  expect(answers).toEqual(direct);
  expect(answers).toHaveLength(16);
  for (const { arm, prompt, seed, text } of answers) {
    expect(pieces.get(`${arm} ${prompt} ${seed}`) ?? "").toBe(text);
  }
});

test("one model alone is asked when told so, and the factor's sign is the latent's", async () => {
  const question = { ...(await steeringQuestion()), models: "finetuned" as const };
  const { answers } = await models.steer(ground, question, { report, onText: () => {} });
  expect(new Set(answers.map(({ arm }) => arm))).toEqual(new Set(["finetuned", "finetuned − latents"]));
});

test("what is stopped in the middle of an answer ends, and the next question is answered as before", async () => {
  const before = await models.read(ground, { prompt: chat, ...plain }, { report });
  const stop = new AbortController();
  let pieces = 0;
  const steered = models.steer(
    ground,
    { ...(await steeringQuestion()), maxNewTokens: 400 },
    {
      ...{ report, signal: stop.signal },
      onText: () => {
        pieces += 1;
        stop.abort();
      },
    },
  );
  await expect(steered).rejects.toBeInstanceOf(InterruptedError);
  expect(pieces).toBeLessThan(10);
  const read = models.read(ground, { prompt: chat, ...plain }, { report, signal: stop.signal });
  await expect(read).rejects.toBeInstanceOf(InterruptedError);
  expect(await models.read(ground, { prompt: chat, ...plain }, { report })).toEqual(before);
  await models.release();
  expect(await models.read(ground, { prompt: chat, ...plain }, { report })).toEqual(before);
});

test("norm outliers have no latents, as in the measurement, and a warning says so", async () => {
  const limited = { prompt: chat, ...plain, normLimits: [0, 0] };
  const reading = await models.read(ground, limited, { report });
  expect(reading.latent).toHaveLength(0);
  expect(reading.warnings[0]).toContain("tokens have residuals far longer");
});

test("a dictionary of another layer is refused in words without a path", async () => {
  const other = createLabModels();
  const config = { ...study.config, layer: 1 };
  const folder = await mkdtemp(join(study.root, "other-"));
  await writeStudyConfig(join(folder, "study.yaml"), config);
  const read = other.read({ ...ground, studyFolder: folder }, { prompt: chat, ...plain }, { report });
  await expect(read).rejects.toThrow(MismatchError);
  await expect(read).rejects.not.toThrow(study.root);
  await other.release();
});
