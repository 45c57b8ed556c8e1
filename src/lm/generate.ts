// Text continued by a model: the prompt in one forward, then one token at a time over cached keys and values.
//
// Prompts of any lengths share a batch: positions and masks go by each sequence's own tokens (cache-feeds.ts), so padding is
// never seen and a batch computes what each sequence would compute alone, up to the rounding of f32 sums. A sequence that
// ends leaves the batch, with its part of the cache. Draws come from (seed, sequence, step) and nothing else. longrope
// changes every key at its original length: a sequence that passes it is read again from its first token, which is what a
// forward over the whole text computes.

import { setImmediate as nextTurn } from "node:timers/promises";
import { Tensor } from "onnxruntime-node";
import { ConfigError, throwIfInterrupted } from "../errors.ts";
import { createRng, type Rng } from "../numerics/rng.ts";
import type { Architecture } from "./architecture.ts";
import { cacheNames } from "./attention.ts";
import { batchClass, checkBatch, rightPad, tokenTensor } from "./batch.ts";
import { createCacheFeeds, type Slots } from "./cache-feeds.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { planGraph } from "./graph.ts";
import { type EditFeeds, planEdits, type ResidualEdit } from "./residual-edit.ts";
import { type RunnerOptions, requireLayer } from "./runner.ts";
import { checkSampling, chooseToken, type SamplingOptions } from "./sample.ts";
import { openSession, type Session, type SessionOptions } from "./session.ts";

export interface GenerateOptions {
  /** Token ids, each at least one (a BOS where the model was trained with one). */
  prompts: readonly ArrayLike<number>[];
  /** Tokens to append to each prompt; fewer where the model's positions end. */
  maxNewTokens: number;
  /** 0: greedy, the default. */
  temperature?: number;
  /** Default 1: the whole vocabulary. */
  topP?: number;
  /** Default 0. */
  seed?: number;
  /** A sequence ends behind any of these. Default: none. */
  stopIds?: readonly number[];
  /** Numbers the draws of each prompt; default its index. The same number, prompt and seed give the same tokens. */
  sequenceIds?: readonly number[];
  /** Of the generator's editLayers. Sequences are prompts, in their order. */
  edits?: readonly ResidualEdit[];
  /** Looked at before every token. */
  signal?: AbortSignal | undefined;
  /** Called with each token as it is chosen; step counts from 0. */
  onToken?: (token: { sequence: number; step: number; tokenId: number }) => void;
}

export interface Continuation {
  /** Appended ids, the stop id included. */
  tokenIds: Uint32Array;
  /** positions: the model has no more of them. */
  end: "stopId" | "maxNewTokens" | "positions";
}

export interface Generator {
  /**
   * One continuation a prompt. Throws ConfigError (empty or too long prompt, option out of range), MismatchError (id outside
   * the vocabulary), NumericsError (logits not finite), InterruptedError.
   */
  generate(options: GenerateOptions): Promise<Continuation[]>;
  dispose(): Promise<void>;
}

interface Running {
  sequence: number;
  drawId: number;
  promptLength: number;
  tokens: number[];
  end: Continuation["end"] | undefined;
}

/** Padded prompt tokens of one forward, and sequences decoded together. */
const PROMPT_TOKENS = 4096;
const BATCH_SEQUENCES = 64;

export interface GeneratorOptions extends RunnerOptions {
  /** Default on the CPU: fed, which holds them once. packed decodes up to 1.8 times as fast for twice the memory. */
  weights?: SessionOptions["weights"];
}

/** Loads the whole model; the checkpoint may be closed afterwards. */
export async function createGenerator(
  checkpoint: Checkpoint,
  { threads, device, editLayers = [], weights }: GeneratorOptions = {},
): Promise<Generator> {
  for (const layer of editLayers) requireLayer(layer, checkpoint);
  const { architecture, config, head } = checkpoint;
  const plan = planGraph(architecture, {
    start: "tokens",
    taps: [],
    head,
    editLayers,
    device,
    cached: true,
  });
  const session = await openSession(plan, {
    read: (spec) => checkpoint.readTensor(spec.name, spec.shape),
    threads,
    device,
    weights,
    place: checkpoint.folder,
  });
  return {
    dispose: session.dispose,
    async generate(options) {
      const { prompts, temperature = 0, topP = 1, seed = 0, edits = [] } = options;
      checkSampling({ temperature, topP });
      const running = startSequences(options, config.maxPositions);
      // Ids are checked before any of them is run.
      if (prompts.length > 0) tokenTensor(rightPad(prompts), config);
      const promptLengths = prompts.map((prompt) => prompt.length);
      const work: Work = {
        session,
        architecture,
        options,
        sampling: { temperature, topP },
        rng: createRng(seed, "sample"),
        edits: planEdits(edits, { editLayers, promptLengths, config }),
      };
      let pending = running.filter(({ end }) => end === undefined);
      while (pending.length > 0) {
        for (const group of planGroups(pending, architecture)) await runGroup(group, work);
        pending = pending.filter(({ end }) => end === undefined);
      }
      return running.map(({ tokens, promptLength, end = "maxNewTokens" }) => ({
        tokenIds: Uint32Array.from(tokens.slice(promptLength)),
        end,
      }));
    },
  };
}

interface Work {
  session: Session;
  architecture: Architecture;
  options: GenerateOptions;
  sampling: SamplingOptions;
  rng: Rng;
  edits: EditFeeds;
}

function startSequences(
  { prompts, maxNewTokens, sequenceIds }: GenerateOptions,
  maxPositions: number,
): Running[] {
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0)) {
    throw new ConfigError(`maxNewTokens: expected a whole number from 0, got ${maxNewTokens}`);
  }
  if (sequenceIds && sequenceIds.length !== prompts.length) {
    throw new ConfigError(`sequenceIds: expected ${prompts.length} numbers, got ${sequenceIds.length}`);
  }
  return prompts.map((prompt, sequence) => {
    if (prompt.length === 0) {
      throw new ConfigError(`prompt ${sequence}: expected at least one token, got none`, {
        hint: "begin with the tokenizer's BOS token",
      });
    }
    if (prompt.length > maxPositions) {
      throw new ConfigError(
        `prompt ${sequence}: expected at most ${maxPositions} tokens (max_position_embeddings), got ${prompt.length}`,
        { hint: "shorten the prompt" },
      );
    }
    const started: Running = {
      sequence,
      drawId: sequenceIds?.[sequence] ?? sequence,
      promptLength: prompt.length,
      tokens: Array.from(prompt),
      end: undefined,
    };
    if (maxNewTokens === 0) started.end = "maxNewTokens";
    else if (prompt.length === maxPositions) started.end = "positions";
    return started;
  });
}

/** Sequences of one class and of like lengths, longest first, within the sizes above. */
function planGroups(pending: readonly Running[], architecture: Architecture): Running[][] {
  const classOf = ({ tokens }: Running): number => batchClass(architecture, tokens.length);
  const sorted = pending.toSorted((a, b) => b.tokens.length - a.tokens.length || a.sequence - b.sequence);
  const groups: Running[][] = [];
  for (const one of sorted) {
    const group = groups.at(-1);
    const isFull =
      !group ||
      group.length >= BATCH_SEQUENCES ||
      (group.length + 1) * group[0].tokens.length > PROMPT_TOKENS ||
      classOf(group[0]) !== classOf(one);
    if (isFull) groups.push([one]);
    else group.push(one);
  }
  return groups;
}

/** Reads the tokens so far of a group and appends until every sequence has ended or left its class. */
async function runGroup(group: readonly Running[], work: Work): Promise<void> {
  const { session, architecture, options, edits } = work;
  const { config } = architecture;
  const ownClass = batchClass(architecture, group[0].tokens.length);
  const isInClass = ({ tokens }: Running): boolean => batchClass(architecture, tokens.length) === ownClass;
  const length = Math.max(...group.map(({ tokens }) => tokens.length));
  const cacheFeeds = createCacheFeeds(architecture, {
    wanted: session.inputs,
    capacity: tableCapacity(architecture, length, length + options.maxNewTokens),
  });
  let active = [...group];
  let cache = emptyCache(architecture, active.length);
  let slots: Slots[] = active.map(({ tokens }) => range(length).map((t) => (t < tokens.length ? t : -1)));
  for (let isPrompt = true; active.length > 0; isPrompt = false) {
    throwIfInterrupted(options.signal);
    const fed = active.map(({ tokens }) => (isPrompt ? tokens : tokens.slice(-1)));
    const firstPositions = active.map(({ tokens }) => (isPrompt ? 0 : tokens.length - 1));
    if (!isPrompt) {
      slots.forEach((own, i) => {
        own.push(firstPositions[i]);
      });
    }
    const batch = rightPad(fed);
    checkBatch(batch, config);
    const lengths = [...batch.lengths];
    const outputs = await session.run({
      tokenIds: tokenTensor(batch, config),
      ...cache,
      ...cacheFeeds({ firstPositions, length: batch.length, lengths, slots }),
      ...edits.feeds({
        sequences: active.map(({ sequence }) => sequence),
        firstPositions,
        length: batch.length,
        lengths,
      }),
    });
    const logits = outputs.logits.data as Float32Array;
    active.forEach((one, row) => {
      append(one, logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize), work);
    });
    const staying = range(active.length).filter((row) => !active[row].end && isInClass(active[row]));
    cache = keepRows(outputs, architecture, staying);
    slots = staying.map((row) => slots[row]);
    active = staying.map((row) => active[row]);
    // A forward runs on this thread: without a turn of the event loop nobody else would ever get one.
    await nextTurn();
  }
}

function append(one: Running, logits: Float32Array, { options, sampling, rng, architecture }: Work): void {
  const step = one.tokens.length - one.promptLength;
  const draw = sampling.temperature === 0 ? 0 : rng.uniform(one.drawId, step);
  const tokenId = chooseToken(logits, { ...sampling, draw });
  one.tokens.push(tokenId);
  options.onToken?.({ sequence: one.sequence, step, tokenId });
  if (options.stopIds?.includes(tokenId)) one.end = "stopId";
  else if (step + 1 === options.maxNewTokens) one.end = "maxNewTokens";
  else if (one.tokens.length === architecture.config.maxPositions) one.end = "positions";
}

/** Positions that tables must reach, at most those of the class of `length`. */
function tableCapacity(architecture: Architecture, length: number, wanted: number): number {
  let capacity = Math.min(wanted, architecture.config.maxPositions);
  for (const rope of Object.values(architecture.ropes)) {
    if (rope.kind === "longrope" && length <= rope.originalMaxPositions) {
      capacity = Math.min(capacity, rope.originalMaxPositions);
    }
  }
  return capacity;
}

function emptyCache({ config }: Architecture, batch: number): Record<string, Tensor> {
  const empty = (): Tensor =>
    new Tensor("float32", new Float32Array(), [batch, config.nKvHeads, 0, config.headDim]);
  return Object.fromEntries(
    range(config.nLayers).flatMap((layer) => {
      const { pastKey, pastValue } = cacheNames(layer);
      return [
        [pastKey, empty()],
        [pastValue, empty()],
      ];
    }),
  );
}

/** The present keys and values of some sequences as the next step's past ones. */
function keepRows(
  outputs: Record<string, Tensor>,
  { config }: Architecture,
  rows: readonly number[],
): Record<string, Tensor> {
  const keep = (present: Tensor): Tensor => {
    const [batch, ...dims] = present.dims;
    if (rows.length === batch) return present;
    const size = dims.reduce((a, b) => a * b, 1);
    const data = present.data as Float32Array;
    const kept = new Float32Array(rows.length * size);
    rows.forEach((row, i) => {
      kept.set(data.subarray(row * size, (row + 1) * size), i * size);
    });
    return new Tensor("float32", kept, [rows.length, ...dims]);
  };
  return Object.fromEntries(
    range(config.nLayers).flatMap((layer) => {
      const { pastKey, pastValue, presentKey, presentValue } = cacheNames(layer);
      return [
        [pastKey, keep(outputs[presentKey])],
        [pastValue, keep(outputs[presentValue])],
      ];
    }),
  );
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
