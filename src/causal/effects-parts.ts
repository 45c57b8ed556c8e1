// Sums of what each latent does, and the parts in which they are kept: one a batch of conversations, so that a stopped run goes on.
//
// A latent has a few numbers a conversation in which it fired and three a tallied token; nothing is kept a position. A part is what one
// batch gave, in the order of latents; parts are merged in the order of batches, stored or not, so a resumed run ends on the same
// bits. The files are those of measure/pass-parts.ts, a batch in the place of a group. Not here: the edits and the figures made of the sums.

import { StorageError } from "../errors.ts";
import { type Accumulator, type PartArrays, partArray } from "../measure/part-arrays.ts";
import { openPassParts } from "../measure/pass-parts.ts";
import type { EffectEdit } from "./causal-contract.ts";
import type { ConversationChanges, TokenTallies } from "./moved.ts";

/** One latent over everything merged. */
export interface LatentSums extends ConversationChanges {
  /** [fired] predicted positions at or after the first firing. */
  reached: Uint32Array;
  tallies: TokenTallies;
}

/** Every conversation with nothing edited. */
export interface ConversationSums {
  /** [conversations] predicted tokens. */
  tokens: Uint32Array;
  /** [conversations] f64 Σ KL of the base's residual under the finetuned layers, nats. */
  klNone: Float64Array;
}

/** One latent in one conversation. Numbers in nats. */
export interface ConversationEffect {
  conversation: number;
  /** Predicted positions reached. */
  reached: number;
  /** Σ KL without the edit less KL with it (add), Σ KL with it (remove). */
  change: Record<EffectEdit, number>;
}

export interface EffectSums extends Accumulator {
  addConversation(conversation: number, sums: { tokens: number; klNone: number }): void;
  addEffect(latent: number, effect: ConversationEffect): void;
  /** token: index of a tracked token that a reached position predicts. change: of its log p, nats. */
  addToken(latent: number, token: number, change: Record<EffectEdit, number>): void;
  conversations: ConversationSums;
  /** Of one of `latents`. Throws nothing: a latent that never fired has empty lists and zeros. */
  latentSums(latent: number): LatentSums;
}

/** Columns of a part, a name an array. */
const COLUMNS = {
  conversations: "conversations",
  tokens: "tokens",
  klNone: "klNone",
  latent: "effect.latent",
  conversation: "effect.conversation",
  reached: "effect.reached",
  add: "effect.add",
  remove: "effect.remove",
  tokenLatent: "token.latent",
  token: "token.token",
  tokenCount: "token.count",
  tokenAdd: "token.add",
  tokenRemove: "token.remove",
} as const;

interface Growing {
  effects: ConversationEffect[];
  /** Undefined until its first token. */
  tallies: TokenTallies | undefined;
}

/** Empty sums. latents: those that are added and removed, any order. nTracked: tokens that are tallied. */
export function createEffectSums({
  latents,
  nConversations,
  nTracked,
}: {
  latents: Iterable<number>;
  nConversations: number;
  nTracked: number;
}): EffectSums {
  const sums = new Map<number, Growing>();
  for (const latent of [...latents].sort((a, b) => a - b))
    sums.set(latent, { effects: [], tallies: undefined });
  const tokens = new Uint32Array(nConversations);
  const klNone = new Float64Array(nConversations);
  let seen: number[] = [];
  const of = (latent: number): Growing => sums.get(latent) as Growing;
  const talliesOf = (latent: number): TokenTallies => {
    const growing = of(latent);
    growing.tallies ??= emptyTallies(nTracked);
    return growing.tallies;
  };
  const addConversation: EffectSums["addConversation"] = (conversation, of) => {
    seen.push(conversation);
    tokens[conversation] = of.tokens;
    klNone[conversation] = of.klNone;
  };
  return {
    addConversation,
    addEffect: (latent, effect) => void of(latent).effects.push(effect),
    addToken(latent, token, change) {
      const tallies = talliesOf(latent);
      tallies.count[token] += 1;
      tallies.change.add[token] += change.add;
      tallies.change.remove[token] += change.remove;
    },
    conversations: { tokens, klNone },
    latentSums: (latent) => latentSumsOf(of(latent), nTracked),
    takeArrays() {
      const ascending = seen.sort((a, b) => a - b);
      const part: PartArrays = {
        [COLUMNS.conversations]: Uint32Array.from(ascending),
        [COLUMNS.tokens]: Uint32Array.from(ascending, (index) => tokens[index]),
        [COLUMNS.klNone]: Float64Array.from(ascending, (index) => klNone[index]),
        ...effectColumns(sums),
        ...tokenColumns(sums),
      };
      seen = [];
      tokens.fill(0);
      klNone.fill(0);
      for (const growing of sums.values()) Object.assign(growing, { effects: [], tallies: undefined });
      return part;
    },
    merge(part) {
      const { f64, u32 } = columnReader(part);
      const partTokens = u32(COLUMNS.tokens);
      const partNone = f64(COLUMNS.klNone);
      for (const [at, conversation] of u32(COLUMNS.conversations).entries())
        addConversation(conversation, { tokens: partTokens[at], klNone: partNone[at] });

      const [conversation, reached] = [u32(COLUMNS.conversation), u32(COLUMNS.reached)];
      const [add, remove] = [f64(COLUMNS.add), f64(COLUMNS.remove)];
      for (const [at, latent] of u32(COLUMNS.latent).entries()) {
        of(latent).effects.push({
          conversation: conversation[at],
          reached: reached[at],
          change: { add: add[at], remove: remove[at] },
        });
      }

      const [token, count] = [u32(COLUMNS.token), u32(COLUMNS.tokenCount)];
      const [tokenAdd, tokenRemove] = [f64(COLUMNS.tokenAdd), f64(COLUMNS.tokenRemove)];
      for (const [at, latent] of u32(COLUMNS.tokenLatent).entries()) {
        const tallies = talliesOf(latent);
        tallies.count[token[at]] += count[at];
        tallies.change.add[token[at]] += tokenAdd[at];
        tallies.change.remove[token[at]] += tokenRemove[at];
      }
    },
  };
}

function latentSumsOf({ effects, tallies }: Growing, nTracked: number): LatentSums {
  const sorted = effects.toSorted((a, b) => a.conversation - b.conversation);
  const changes = (edit: EffectEdit): Float64Array => Float64Array.from(sorted, ({ change }) => change[edit]);
  return {
    conversation: Uint32Array.from(sorted, ({ conversation }) => conversation),
    reached: Uint32Array.from(sorted, ({ reached }) => reached),
    change: { add: changes("add"), remove: changes("remove") },
    tallies: tallies ?? emptyTallies(nTracked),
  };
}

function emptyTallies(nTracked: number): TokenTallies {
  const zeros = (): Float64Array => new Float64Array(nTracked);
  return { count: new Uint32Array(nTracked), change: { add: zeros(), remove: zeros() } };
}

/** By latent, then by conversation. */
function effectColumns(sums: ReadonlyMap<number, Growing>): PartArrays {
  const rows = [...sums].flatMap(([latent, { effects }]) =>
    effects.toSorted((a, b) => a.conversation - b.conversation).map((effect) => ({ latent, ...effect })),
  );
  return {
    [COLUMNS.latent]: Uint32Array.from(rows, ({ latent }) => latent),
    [COLUMNS.conversation]: Uint32Array.from(rows, ({ conversation }) => conversation),
    [COLUMNS.reached]: Uint32Array.from(rows, ({ reached }) => reached),
    [COLUMNS.add]: Float64Array.from(rows, ({ change }) => change.add),
    [COLUMNS.remove]: Float64Array.from(rows, ({ change }) => change.remove),
  };
}

/** By latent, then by token; tokens without a position are left out. */
function tokenColumns(sums: ReadonlyMap<number, Growing>): PartArrays {
  const [latents, tokens, counts]: number[][] = [[], [], []];
  const [adds, removes]: number[][] = [[], []];
  for (const [latent, { tallies }] of sums) {
    for (const [token, count] of tallies?.count.entries() ?? []) {
      if (count === 0 || tallies === undefined) continue;
      latents.push(latent);
      tokens.push(token);
      counts.push(count);
      adds.push(tallies.change.add[token]);
      removes.push(tallies.change.remove[token]);
    }
  }
  return {
    [COLUMNS.tokenLatent]: Uint32Array.from(latents),
    [COLUMNS.token]: Uint32Array.from(tokens),
    [COLUMNS.tokenCount]: Uint32Array.from(counts),
    [COLUMNS.tokenAdd]: Float64Array.from(adds),
    [COLUMNS.tokenRemove]: Float64Array.from(removes),
  };
}

function columnReader(part: PartArrays) {
  return {
    u32: (name: string): Uint32Array => partArray(part, name, Uint32Array),
    f64: (name: string): Float64Array => partArray(part, name, Float64Array),
  };
}

/** The finished batches of a run, by number. */
export interface EffectParts {
  /** Batches that an earlier run finished. */
  finished: ReadonlySet<number>;
  write(batch: number, part: PartArrays): Promise<void>;
  /** Those of the batches 0 … nBatches − 1 in that order. Throws StorageError when one is missing. */
  read(nBatches: number): AsyncGenerator<PartArrays>;
  remove(): Promise<void>;
}

/** Parts in a folder, or in memory when none is given. identity: all that the parts depend on. Throws StorageError from the disk. */
export async function openEffectParts(folder: string | undefined, identity: object): Promise<EffectParts> {
  return folder === undefined ? partsInMemory() : partsInFolder(folder, identity);
}

async function partsInFolder(folder: string, identity: object): Promise<EffectParts> {
  const found = await openPassParts(folder, identity);
  return {
    finished: new Set(found.groups),
    write: (batch, part) => found.write(new Map([[batch, part]])),
    async *read(nBatches) {
      const all = await openPassParts(folder, identity);
      requireBatches(new Set(all.groups), { nBatches, folder });
      for await (const { part } of all.read()) yield part;
    },
    remove: found.remove,
  };
}

function partsInMemory(): EffectParts {
  const kept = new Map<number, PartArrays>();
  return {
    finished: new Set(),
    write: async (batch, part) => void kept.set(batch, part),
    async *read(nBatches) {
      requireBatches(kept, { nBatches, folder: "memory" });
      for (let batch = 0; batch < nBatches; batch += 1) yield kept.get(batch) as PartArrays;
    },
    remove: async () => kept.clear(),
  };
}

function requireBatches(
  found: { has(batch: number): boolean },
  { nBatches, folder }: { nBatches: number; folder: string },
): void {
  for (let batch = 0; batch < nBatches; batch += 1) {
    if (found.has(batch)) continue;
    throw new StorageError(`${folder}: expected the part of batch ${batch} of ${nBatches}, found none`, {
      hint: "it was removed or damaged while the run went on: run the same command again",
    });
  }
}
