// Text for a glance without data: both models write it, at temperature 1.
//
// The base writes plain text from BOS, which stands for text unrelated to the fine-tuning. The fine-tune writes plain text from BOS
// and, where there is a chat template, whole exchanges: from the opening of a user turn, the turn, then its own answer (Xu et al.
// 2024, arXiv:2406.08464, "Magpie"), so that what a chat tune does in chats is seen. What no model writes by itself is not seen here.

import { throwIfInterrupted } from "../errors.ts";
import type { Pair } from "../harvest/open-pair.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createGenerator, type Generator } from "../lm/generate.ts";
import type { ReportProgress } from "../progress.ts";
import { ROLES, type Role } from "../store/rows.ts";
import { replaceTokens } from "../text/token-replacement.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { GlanceText, GlanceTexts } from "./glance-texts.ts";

export const OWN_TEXT = {
  /** Tokens of a plain text, and of a chat with its template. */
  plainTokens: 64,
  chatTokens: 96,
  /** Most tokens of a user turn. */
  userTokens: 32,
  /** Shares of all tokens; without a chat template the chats' share goes to the two others in halves. */
  shares: { base: 3 / 8, finetuned: 1 / 4, chats: 3 / 8 },
  temperature: 1,
} as const;

export interface OwnTextsOptions {
  pair: Pick<Pair, "checkpoints" | "tokenizer" | "template" | "baseReplacements">;
  /** Of all texts together, about. */
  maxTokens: number;
  seed: number;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** What the template puts around a user turn and an answer, as ids of the tokenizer. */
interface ChatFrame {
  open: { ids: number[]; roles: Role[] };
  between: number[];
  close: number[];
}

/** Throws as createGenerator and Generator.generate do. One model is loaded at a time. */
export async function ownTexts(options: OwnTextsOptions): Promise<GlanceTexts> {
  const { pair, maxTokens, seed } = options;
  const { tokenizer, checkpoints } = pair;
  const start = await findStart(tokenizer);
  const frame = await chatFrame(pair);
  const { shares, plainTokens, chatTokens } = OWN_TEXT;
  const extra = frame === undefined ? shares.chats / 2 : 0;
  const count = (share: number, length: number): number =>
    Math.max(1, Math.round((maxTokens * share) / length));
  const counts = {
    base: count(shares.base + extra, plainTokens),
    finetuned: count(shares.finetuned + extra, plainTokens),
    chats: frame === undefined ? 0 : count(shares.chats, chatTokens),
  };
  const total = counts.base + counts.finetuned + counts.chats;
  let done = 0;
  const report = (n: number): void => {
    done += n;
    options.reportProgress?.({ stage: "write texts", done, total, unit: "texts" });
  };
  report(0);
  const texts = await withGenerator(checkpoints.base, options, async (generator) =>
    writePlain(generator, options, { start, count: counts.base, firstDraw: 0, isBase: true, report }),
  );
  await withGenerator(checkpoints.finetuned, options, async (generator) => {
    const firstDraw = counts.base;
    const work = { start, count: counts.finetuned, firstDraw, isBase: false, report };
    texts.push(...(await writePlain(generator, options, work)));
    if (frame === undefined) return;
    const chats = { frame, count: counts.chats, firstDraw: firstDraw + counts.finetuned, report };
    texts.push(...(await writeChats(generator, options, chats)));
  });
  const chatWords =
    frame === undefined ? "" : ` and ${counts.chats} chats, user turn and answer, up to ${chatTokens} tokens`;
  return {
    source: "written by the models",
    description:
      `written by the models at temperature ${OWN_TEXT.temperature} (seed ${seed}): ${counts.base} plain texts by the base, which stand for text ` +
      `unrelated to the fine-tuning, ${counts.finetuned} by the fine-tune, up to ${plainTokens} tokens each from ${start.words}${chatWords}`,
    texts,
    warnings:
      frame === undefined && pair.template !== undefined
        ? [`${pair.template.place}: no exchange of user and assistant could be framed: no chats were written`]
        : [],
  };
}

async function withGenerator<T>(
  checkpoint: Checkpoint,
  { threads, device }: Pick<OwnTextsOptions, "threads" | "device">,
  work: (generator: Generator) => Promise<T>,
): Promise<T> {
  const generator = await createGenerator(checkpoint, {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  });
  try {
    return await work(generator);
  } finally {
    await generator.dispose();
  }
}

interface Start {
  id: number;
  role: Role;
  words: string;
}

/** A generator needs a token to begin with: BOS, else what ends a text, else a line break. */
async function findStart(tokenizer: Tokenizer): Promise<Start> {
  if (tokenizer.bosId !== undefined) return { id: tokenizer.bosId, role: "bos", words: "BOS" };
  const { eos_token: eos } = tokenizer.namedTokens;
  const { ids } = await tokenizer.encode(eos ?? "\n");
  const words =
    eos === undefined ? "a line break (the tokenizer names no BOS)" : `${eos} (the tokenizer names no BOS)`;
  return { id: ids[0], role: "text", words };
}

async function writePlain(
  generator: Generator,
  { pair, seed, signal }: OwnTextsOptions,
  work: { start: Start; count: number; firstDraw: number; isBase: boolean; report: (n: number) => void },
): Promise<GlanceText[]> {
  const { start, count, firstDraw, isBase, report } = work;
  const numbers = range(count);
  const written = await generator.generate({
    prompts: numbers.map(() => [start.id]),
    maxNewTokens: OWN_TEXT.plainTokens - 1,
    temperature: OWN_TEXT.temperature,
    seed,
    sequenceIds: numbers.map((i) => firstDraw + i),
    stopIds: stopIdsOf(pair.tokenizer),
    signal,
  });
  report(count);
  const name = isBase ? "base" : "finetuned";
  return written.flatMap(({ tokenIds }, i) =>
    makeText(pair, {
      id: `${name}-${i}`,
      dataset: `written by the ${isBase ? "base" : "fine-tune"}`,
      ids: [start.id, ...tokenIds],
      roles: [start.role, ...Array.from(tokenIds, (): Role => "text")],
      isUnrelated: isBase,
    }),
  );
}

async function writeChats(
  generator: Generator,
  { pair, seed, signal }: OwnTextsOptions,
  work: { frame: ChatFrame; count: number; firstDraw: number; report: (n: number) => void },
): Promise<GlanceText[]> {
  const { frame, count, firstDraw, report } = work;
  const { open, between, close } = frame;
  const numbers = range(count);
  const ends = stopIdsOf(pair.tokenizer);
  const positions = pair.checkpoints.finetuned.config.maxPositions;
  const common = { temperature: OWN_TEXT.temperature, seed, signal };
  const turns = await generator.generate({
    ...common,
    prompts: numbers.map(() => open.ids),
    maxNewTokens: Math.min(OWN_TEXT.userTokens, positions - open.ids.length - between.length - 1),
    sequenceIds: numbers.map((i) => firstDraw + i),
    stopIds: [between[0], ...ends],
  });
  throwIfInterrupted(signal);
  const users = turns.map(({ tokenIds, end }) => [...tokenIds].slice(0, end === "stopId" ? -1 : undefined));
  const prompts = users.map((user) => [...open.ids, ...user, ...between]);
  const answers = await generator.generate({
    ...common,
    prompts,
    maxNewTokens: Math.max(1, OWN_TEXT.chatTokens - Math.max(...prompts.map(({ length }) => length))),
    sequenceIds: numbers.map((i) => firstDraw + count + i),
    stopIds: [...close.slice(0, 1), ...ends],
  });
  report(count);
  return answers.flatMap(({ tokenIds, end }, i) => {
    const nAnswer = tokenIds.length - (end === "stopId" ? 1 : 0);
    return makeText(pair, {
      id: `chat-${i}`,
      dataset: "chats written by the fine-tune",
      ids: [...prompts[i], ...tokenIds],
      roles: [
        ...open.roles,
        ...users[i].map((): Role => "user"),
        ...between.map((): Role => "template"),
        ...Array.from(tokenIds, (_, k): Role => (k < nAnswer ? "assistant" : "template")),
      ],
      isUnrelated: false,
    });
  });
}

/** Cut before the first id that one of the models does not have; none where nothing is left. */
function makeText(
  { checkpoints, baseReplacements }: OwnTextsOptions["pair"],
  text: { id: string; dataset: string; ids: number[]; roles: Role[]; isUnrelated: boolean },
): GlanceText[] {
  const { id, dataset, ids, roles, isUnrelated } = text;
  const shared = Math.min(checkpoints.base.config.vocabSize, checkpoints.finetuned.config.vocabSize);
  const firstForeign = ids.findIndex((token) => token >= shared);
  const length = firstForeign === -1 ? ids.length : firstForeign;
  if (length === 0) return [];
  const finetuned = Uint32Array.from(ids.slice(0, length));
  const base = finetuned.slice();
  replaceTokens(base, baseReplacements);
  const role = Uint8Array.from(roles.slice(0, length), (name) => ROLES.indexOf(name));
  return [{ id, dataset, tokens: { base, finetuned }, role, nSkipped: 0, isUnrelated }];
}

/** EOS as the tokenizer names it. */
function stopIdsOf({ namedTokens, specialTokens }: Tokenizer): number[] {
  const eos = namedTokens.eos_token === undefined ? undefined : specialTokens.get(namedTokens.eos_token);
  return eos === undefined ? [] : [eos];
}

/** The template's own tokens in a chat of one exchange; undefined without a template, or where they cannot be told apart. */
async function chatFrame({
  tokenizer,
  template,
  checkpoints,
}: OwnTextsOptions["pair"]): Promise<ChatFrame | undefined> {
  if (template === undefined) return undefined;
  const { tokenize } = createDocumentTokenizer({ tokenizer, template });
  const messages = [
    { role: "user" as const, content: "Hello" },
    { role: "assistant" as const, content: "Yes" },
  ];
  const [chat] = await tokenize([{ id: "frame", dataset: "frame", messages }]);
  if (chat === undefined) return undefined;
  const roles = Array.from(chat.role, (index) => ROLES[index]);
  const ids = [...chat.tokenFinetuned];
  const [user, answer] = [roles.indexOf("user"), roles.indexOf("assistant")];
  const [userEnd, answerEnd] = [roles.lastIndexOf("user") + 1, roles.lastIndexOf("assistant") + 1];
  // A turn and an answer of a token each must fit beside the template.
  const fits = user + answer - userEnd + 2 <= checkpoints.finetuned.config.maxPositions;
  if (user < 1 || answer <= userEnd || !fits) return undefined;
  return {
    open: { ids: ids.slice(0, user), roles: roles.slice(0, user) },
    between: ids.slice(userEnd, answer),
    close: ids.slice(answerEnd),
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
