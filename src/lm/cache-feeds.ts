// What a cached forward is fed besides tokens and cache: positions, rotary tables, counts of keys, masks, rows for logits.
//
// Two layouts of the cache. GroupQueryAttention keeps each sequence's keys one behind the other and is told how many there
// are. Attention spelled out by hand adds one slot to every sequence each step, so that the padding of a shorter prompt
// stays behind as slots that the mask hides. Positions follow the real tokens in both, so both are exact for any mixture of
// lengths.

import { Tensor } from "onnxruntime-node";
import type { Architecture } from "./architecture.ts";
import { rotaryFeedNames } from "./attention.ts";
import { HIDDEN_SCORE, maskFeedName } from "./attention-by-hand.ts";
import { windowsOf } from "./batch.ts";
import { rotaryTables } from "./rope.ts";

/** Position of what stands in each slot of a sequence's cache, −1 for padding. */
export type Slots = number[];

export interface CachedStep {
  /** Position of the first row of each sequence: 0, or its real tokens so far. */
  firstPositions: readonly number[];
  /** Rows of this forward; 1 after the prompt. */
  length: number;
  /** Real rows of each sequence in this forward. */
  lengths: readonly number[];
  /** After this forward. */
  slots: readonly Slots[];
}

/** Tables reach `capacity` positions; longrope's factors are those of a sequence of that length. */
export function createCacheFeeds(
  architecture: Architecture,
  { wanted, capacity }: { wanted: ReadonlySet<string>; capacity: number },
): (step: CachedStep) => Record<string, Tensor> {
  const tables: Record<string, Tensor> = {};
  for (const [name, rope] of Object.entries(architecture.ropes)) {
    const names = rotaryFeedNames(name);
    if (!wanted.has(names.cos)) continue;
    const { cos, sin } = rotaryTables(rope, capacity);
    tables[names.cos] = new Tensor("float32", cos, [capacity, rope.dim / 2]);
    tables[names.sin] = new Tensor("float32", sin, [capacity, rope.dim / 2]);
  }
  const windows = windowsOf(architecture).filter((window) => wanted.has(maskFeedName(window)));
  return (step) => {
    const { firstPositions, length, lengths } = step;
    const batch = firstPositions.length;
    // The padded rows of a prompt take part as ordinary tokens: they come after every real row and stay finite.
    const rows = (first: number): number[] =>
      Array.from({ length }, (_, t) => Math.min(first + t, capacity - 1));
    const positions = firstPositions.flatMap(rows);
    const all: Record<string, () => Tensor> = {
      positions: () => new Tensor("int32", Int32Array.from(positions), [batch, length]),
      rotaryPositions: () => new Tensor("int64", BigInt64Array.from(positions, BigInt), [batch, length]),
      lastKey: () =>
        new Tensor(
          "int32",
          Int32Array.from(firstPositions, (first) => first + length - 1),
          [batch],
        ),
      totalLength: () => new Tensor("int32", Int32Array.of(Math.max(...firstPositions) + length), []),
      lastRows: () =>
        new Tensor(
          "int32",
          Int32Array.from(lengths, (real, i) => i * length + real - 1),
          [batch],
        ),
    };
    for (const window of windows) all[maskFeedName(window)] = () => slotMask(step, window);
    const made = Object.entries(all).filter(([name]) => wanted.has(name));
    return { ...tables, ...Object.fromEntries(made.map(([name, make]) => [name, make()])) };
  };
}

/** [batch, 1, length, slots]: a row sees the slots of its window, itself last. */
function slotMask({ firstPositions, length, slots }: CachedStep, window = Number.POSITIVE_INFINITY): Tensor {
  const nSlots = slots[0].length;
  const mask = new Float32Array(slots.length * length * nSlots).fill(HIDDEN_SCORE);
  slots.forEach((positions, sequence) => {
    for (let t = 0; t < length; t += 1) {
      const query = firstPositions[sequence] + t;
      const row = (sequence * length + t) * nSlots;
      positions.forEach((position, slot) => {
        if (position >= 0 && position <= query && query - position < window) mask[row + slot] = 0;
      });
    }
  });
  return new Tensor("float32", mask, [slots.length, 1, length, nSlots]);
}
