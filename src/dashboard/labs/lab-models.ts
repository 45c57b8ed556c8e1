// The models of the labs, opened when a question needs them and held for the next one: one pair, one dictionary at a time.
//
// Reading holds both models in the pieces of the causal experiments, each weight once, and the dictionary's encoder; an answer loads its model
// once more while it is written. Steering lets the reading's pieces go first: it has one model open at a time, twice (answers and their
// perplexity). What a question opened for itself is freed when it ends, however it ends.

import { join } from "node:path";
import type { SteeredAnswer } from "../../causal/causal-contract.ts";
import { type Disposable, type EncodePair, openEncoder, openSide } from "../../causal/pair-forward.ts";
import { steer } from "../../causal/steer.ts";
import { steeringVector } from "../../causal/steering-vectors.ts";
import type { Dictionary } from "../../dictionary/dictionary.ts";
import { loadDictionary } from "../../dictionary/dictionary-file.ts";
import { decoderNorms, latentWeights } from "../../dictionary/latent-norms.ts";
import { ConfigError, MismatchError, throwIfInterrupted } from "../../errors.ts";
import { commonIds } from "../../harvest/harvest-outputs.ts";
import { type Pair, SIDES } from "../../harvest/open-pair.ts";
import { createGenerator } from "../../lm/generate.ts";
import { deltaNormOf } from "../../measure/claims.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import { readStudyConfig, type StudyConfig } from "../../study/config.ts";
import { lastBlockWarning, layersOf, openStudyModels, type StudyModels } from "../../study/open-models.ts";
import { createPromptTokenizer } from "../../text/chat-prompt.ts";
import { findStopIds } from "../../text/stop-ids.ts";
import { createAnswerText } from "./answer-text.ts";
import type { LabGround, LabToken, RawReading, ReadingQuestion, SteeringQuestion } from "./lab-protocol.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";
import { documentTokens, type LabText, questionTokens, withAnswer } from "./lab-tokens.ts";
import { type PairReader, READING_STEPS, readPair } from "./read-pair.ts";

export interface LabWork {
  report: (words: string, done: number, total: number | null) => void;
  signal?: AbortSignal | undefined;
}

export interface LabModels {
  /** Throws ConfigError, FormatError, MismatchError, NumericsError in words for people, and InterruptedError. */
  read(ground: LabGround, question: ReadingQuestion, work: LabWork): Promise<RawReading>;
  /** Likewise. Pieces of text as they are written, arm after arm. */
  steer(
    ground: LabGround,
    question: SteeringQuestion,
    work: LabWork & { onText: (token: LabToken) => void; onSide?: (answers: SteeredAnswer[]) => void },
  ): Promise<{ answers: SteeredAnswer[]; warnings: string[] }>;
  /** Frees and closes everything; the next question opens it again. */
  release(): Promise<void>;
}

interface HeldPair {
  key: string;
  config: StudyConfig;
  models: StudyModels;
  stopIds: number[];
}

interface HeldDictionary {
  key: string;
  dictionary: Dictionary;
  weights: Float32Array;
  deltaNorm: Float32Array;
  /** Made with the first reading. */
  encode: EncodePair | undefined;
  opened: Disposable[];
}

export function createLabModels(): LabModels {
  let pair: HeldPair | undefined;
  let sides: (Pick<PairReader, "sides" | "ids"> & { opened: Disposable[] }) | undefined;
  let dictionary: HeldDictionary | undefined;

  const releaseSides = async (): Promise<void> => {
    const opened = sides?.opened ?? [];
    sides = undefined;
    await disposeAll(opened);
  };
  const releaseDictionary = async (): Promise<void> => {
    const opened = dictionary?.opened ?? [];
    dictionary = undefined;
    await disposeAll(opened);
  };
  const release = async (): Promise<void> => {
    const models = pair?.models;
    pair = undefined;
    await releaseSides();
    await releaseDictionary();
    await models?.close();
  };

  const holdPair = async ({ studyFolder }: LabGround, { report }: LabWork): Promise<HeldPair> => {
    const config = await readStudyConfig(join(studyFolder, "study.yaml"));
    const { base, finetuned, layer, store, threads, device } = config;
    const key = JSON.stringify([base, finetuned, layer, store.baseReplacements, threads, device]);
    if (pair?.key === key) return pair;
    await release();
    report("opening the models", 0, null);
    const models = await openStudyModels(config);
    try {
      const stopIds = await findStopIds({ folders: [base, finetuned], ...models.pair });
      pair = { key, config, models, stopIds };
      return pair;
    } catch (error) {
      await models.close();
      throw error;
    }
  };

  const holdDictionary = async (
    { dictionaryFolder, dictionarySha256 }: LabGround,
    { models }: HeldPair,
    { report }: LabWork,
  ): Promise<HeldDictionary> => {
    const key = `${dictionarySha256} ${dictionaryFolder}`;
    if (dictionary?.key !== key) {
      await releaseDictionary();
      report("opening the dictionary", 0, null);
      const loaded = await loadDictionary(dictionaryFolder);
      requireSites(loaded, models.pair);
      dictionary = {
        ...{ key, dictionary: loaded, encode: undefined, opened: [] },
        ...{ weights: latentWeights(loaded), deltaNorm: deltaNorms(loaded) },
      };
    }
    return dictionary;
  };

  const holdReader = async (
    held: HeldPair,
    of: HeldDictionary,
    { report, signal }: LabWork,
  ): Promise<PairReader> => {
    const { config, models } = held;
    const { pair: opened } = models;
    const { threads, device } = config;
    if (sides === undefined) {
      const pieces: Disposable[] = [];
      try {
        const question = { checkpoints: opened.checkpoints, layers: layersOf(opened), threads, device };
        report("loading the base", 0, null);
        const base = await openSide("base", question, pieces);
        throwIfInterrupted(signal);
        report("loading the fine-tune", 0, null);
        const finetuned = await openSide("finetuned", question, pieces);
        const ids = await commonIds({ pair: opened, base: config.base });
        sides = { sides: { base, finetuned }, ids, opened: pieces };
      } catch (error) {
        await disposeAll(pieces);
        throw error;
      }
    }
    of.encode ??= await openEncoder(of.dictionary, { threads, opened: of.opened });
    return {
      ...{ sides: sides.sides, ids: sides.ids, tokenString: opened.tokenizer.tokenString },
      ...{ dictionary: of.dictionary, weights: of.weights, encode: of.encode },
    };
  };

  return {
    release,
    async read(ground, question, work) {
      const held = await holdPair(ground, work);
      const of = await holdDictionary(ground, held, work);
      const { pair: opened } = held.models;
      const mostTokens = contextOf(opened);
      const { prompt, answer: side } = question;
      const asked =
        side === "none"
          ? await documentTokens(opened, { prompt, mostTokens })
          : await questionTokens(opened, { prompt, mostTokens });
      throwIfInterrupted(work.signal);
      const text =
        side === "none" ? asked : await answered(held, asked, { question, side, mostTokens, work });
      const reader = await holdReader(held, of, work);
      throwIfInterrupted(work.signal);
      const { tokens, roles } = text;
      const reading = await readPair(reader, {
        ...{ tokens, roles, normLimits: question.normLimits, signal: work.signal },
        report: (words, done) => work.report(words, done, READING_STEPS),
      });
      const nAsked = asked.roles.length;
      return {
        ...reading,
        ...{ roles, deltaNorm: of.deltaNorm },
        isAnswer: roles.map((_, i) => (i < nAsked ? 0 : 1)),
        warnings: [...text.warnings, ...reading.warnings],
      };
    },
    async steer(ground, question, work) {
      const held = await holdPair(ground, work);
      const { dictionary: loaded } = await holdDictionary(ground, held, work);
      const { config, models, stopIds } = held;
      const { pair: opened } = models;
      const { latents, unit, maxCode, seeds, positions, temperature, maxNewTokens } = question;
      const measured = Array.from(maxCode, (code, latent) => ({ latent, maxCode: code }));
      const vector = steeringVector(latents, { dictionary: loaded, measured, unit });
      const asked = question.prompts.map((prompt, i) => ({ id: String(i + 1), ...prompt }));
      const prompts = await createPromptTokenizer(opened).tokenize(asked);
      requireRoom(prompts, contextOf(opened));
      await releaseSides();
      const { onToken } = streamOf(opened, stopIds, work.onText);
      work.report("loading the models", 0, null);
      const answers = await steer({
        ...{ checkpoints: opened.checkpoints, layers: layersOf(opened), vector, prompts, seeds },
        ...{ positions, temperature, maxNewTokens, stopIds, onToken, signal: work.signal },
        sides: question.models === "both" ? SIDES : [question.models],
        decode: opened.tokenizer.decode,
        ...(config.threads === undefined ? {} : { threads: config.threads }),
        device: config.device,
        ...(work.onSide && { onSide: work.onSide }),
        reportProgress: ({ done, total }) => work.report("answering", done, total),
      });
      return { answers, warnings: [...opened.warnings, ...lastBlockWarning(opened)] };
    },
  };
}

/** The question with this model's greedy answer. */
async function answered(
  { config, models, stopIds }: HeldPair,
  asked: LabText,
  {
    question,
    side,
    mostTokens,
    work,
  }: { question: ReadingQuestion; side: "base" | "finetuned"; mostTokens: number; work: LabWork },
): Promise<LabText> {
  const { pair } = models;
  const { threads, device } = config;
  const maxNewTokens = Math.min(question.maxNewTokens, mostTokens - asked.roles.length);
  work.report(`loading the ${WORDS[side]}`, 0, null);
  const generator = await createGenerator(pair.checkpoints[side], {
    ...(threads === undefined ? {} : { threads }),
    device,
  });
  try {
    const [{ tokenIds }] = await generator.generate({
      ...{ prompts: [asked.tokens[side]], maxNewTokens, stopIds, signal: work.signal },
      onToken: ({ step }) => work.report(`the ${WORDS[side]} answers`, step + 1, maxNewTokens),
    });
    const { baseReplacements } = pair;
    return withAnswer(asked, {
      ...{ answer: tokenIds, isText: "text" in question.prompt, stopIds, baseReplacements },
    });
  } finally {
    await generator.dispose();
  }
}

const WORDS = { base: "base", finetuned: "fine-tune" } as const;

/** Tokens that both models can read at once. */
export function contextOf({ checkpoints }: Pick<Pair, "checkpoints">): number {
  const positions = SIDES.map((side) => checkpoints[side].config.maxPositions);
  return Math.min(...positions, LAB_SETTINGS.tokens);
}

/** Throws ConfigError for a prompt that leaves no token for an answer. */
function requireRoom(
  prompts: readonly { id: string; tokens: Record<ModelSide, Uint32Array> }[],
  mostTokens: number,
): void {
  for (const { id, tokens } of prompts) {
    const { length } = tokens.finetuned;
    if (length < mostTokens) continue;
    throw new ConfigError(
      `prompt ${id}: expected at most ${mostTokens - 1} tokens, so that there is room for an answer, got ${length}`,
      { hint: "shorten it" },
    );
  }
}

/** Of each arm, prompt and seed the text that its tokens add. */
function streamOf({ tokenizer }: Pair, stopIds: readonly number[], onText: (token: LabToken) => void) {
  const texts = new Map<string, ReturnType<typeof createAnswerText>>();
  return {
    onToken(token: { arm: string; prompt: number; seed: number; tokenId: number; isLast: boolean }): void {
      const { arm, prompt, seed, tokenId, isLast } = token;
      const key = `${arm} ${prompt} ${seed}`;
      const text = texts.get(key) ?? createAnswerText(tokenizer.decode);
      texts.set(key, text);
      const piece = text.add(tokenId, { isLast, isStop: stopIds.includes(tokenId) });
      if (isLast) texts.delete(key);
      if (piece !== "") onText({ kind: "token", arm, prompt, seed, text: piece });
    },
  };
}

/** Throws MismatchError for a dictionary of another layer, of several, or of other models. */
function requireSites({ sites }: Dictionary, pair: Pair): void {
  const describe = (list: readonly { model: string; layer: number; width: number }[]): string =>
    list.map(({ model, layer, width }) => `${model} layer ${layer} width ${width}`).join(", ");
  const [expected, got] = [describe(pair.sites), describe(sites)];
  if (expected === got) return;
  throw new MismatchError(`dictionary: expected the sites of the study (${expected}), got ${got}`, {
    hint: "the labs read the layer that study.yaml names: choose a dictionary of that layer",
  });
}

/** [nLatents]; NaN for a latent without any direction. */
function deltaNorms(dictionary: Dictionary): Float32Array {
  const norms = decoderNorms(dictionary);
  const of = (model: string): Float32Array =>
    norms[dictionary.sites.findIndex((site) => site.model === model)];
  const [base, finetuned] = [of("base"), of("finetuned")];
  return base.map((norm, latent) => deltaNormOf(norm, finetuned[latent]));
}

/** All of them, whatever one of them says; last opened first. */
async function disposeAll(opened: Disposable[]): Promise<void> {
  const outcomes = await Promise.allSettled(
    opened
      .splice(0)
      .reverse()
      .map((piece) => piece.dispose()),
  );
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
