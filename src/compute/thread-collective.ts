// The collective of worker threads: shared memory and Atomics.wait, twin of localCollectives.
//
// An all-reduce: each thread puts its values into its slot, all wait, each adds up its own stretch over the slots in order of
// rank, all wait, each takes the result (which is no slot: a fast thread may already fill its own for the next). A thread waits blocked, which a worker may and the main thread should not.
// When a holder fails, abort() lets the others out with an error instead of waiting for ever.

import { ShapeError, StorageError } from "../errors.ts";
import type { Collective } from "./collective.ts";

/** What the threads share; made once and handed to each of them. */
export interface SharedCollective {
  size: number;
  /** Most bytes of one operation's array. */
  slotBytes: number;
  /** [arrived, generation, aborted] i32. */
  state: SharedArrayBuffer;
  /** size slots and the result, slotBytes each; free for other use while no operation runs. */
  slots: SharedArrayBuffer;
}

const ARRIVED = 0;
const GENERATION = 1;
const ABORTED = 2;
/** Looks at the generation before sleeping: most waits are short. */
const SPINS = 2000;

export function createSharedCollective({
  size,
  slotBytes,
}: {
  size: number;
  slotBytes: number;
}): SharedCollective {
  const aligned = Math.ceil(slotBytes / 64) * 64;
  return {
    size,
    slotBytes: aligned,
    state: new SharedArrayBuffer(12),
    slots: new SharedArrayBuffer((size + 1) * aligned),
  };
}

/** Every waiting holder, and every later operation, throws. */
export function abortCollective({ state }: SharedCollective): void {
  const flags = new Int32Array(state);
  Atomics.store(flags, ABORTED, 1);
  Atomics.notify(flags, GENERATION);
}

/** This thread's side. Throws StorageError when another holder failed, ShapeError for an array above slotBytes. */
export function joinCollective(shared: SharedCollective, rank: number): Collective {
  const { size, slotBytes } = shared;
  const flags = new Int32Array(shared.state);

  const requireAlive = (): void => {
    if (Atomics.load(flags, ABORTED) === 0) return;
    throw new StorageError(`latent shard ${rank}: expected all shards to go on, another one failed`, {
      hint: "see that shard's own error",
    });
  };
  const meet = (): void => {
    requireAlive();
    const generation = Atomics.load(flags, GENERATION);
    if (Atomics.add(flags, ARRIVED, 1) + 1 === size) {
      Atomics.store(flags, ARRIVED, 0);
      Atomics.add(flags, GENERATION, 1);
      Atomics.notify(flags, GENERATION);
      return;
    }
    for (let spin = 0; spin < SPINS; spin += 1) {
      if (Atomics.load(flags, GENERATION) !== generation) return;
    }
    while (Atomics.load(flags, GENERATION) === generation) {
      requireAlive();
      // The time-out only serves an abort that comes between the check and the wait.
      Atomics.wait(flags, GENERATION, generation, 200);
    }
  };
  /** Slot of a rank, or with rank = size the result, as the type of `values`. */
  const slot = <A extends Float32Array | Float64Array>(of: number, values: A): A => {
    const Kind = values.constructor as new (buffer: SharedArrayBuffer, offset: number, length: number) => A;
    return new Kind(shared.slots, of * slotBytes, values.length);
  };
  const requireRoom = ({ byteLength }: { byteLength: number }): void => {
    if (byteLength > slotBytes)
      throw new ShapeError(`collective: expected at most ${slotBytes} bytes, got ${byteLength}`);
  };

  return {
    rank,
    size,
    async allReduce(values) {
      requireRoom(values);
      slot(rank, values).set(values);
      meet();
      const parts = Array.from({ length: size }, (_, other) => slot(other, values));
      const result = slot(size, values);
      const from = Math.floor((rank * values.length) / size);
      const to = Math.floor(((rank + 1) * values.length) / size);
      if (size === 2) {
        const [a, b] = parts;
        for (let i = from; i < to; i += 1) result[i] = a[i] + b[i];
      } else {
        for (let i = from; i < to; i += 1) {
          let sum = 0;
          for (let other = 0; other < size; other += 1) sum += parts[other][i];
          result[i] = sum;
        }
      }
      meet();
      values.set(result);
    },
    async broadcast(values, root) {
      requireRoom(values);
      if (rank === root) slot(root, values).set(values);
      meet();
      if (rank !== root) values.set(slot(root, values));
      meet();
    },
    async barrier() {
      meet();
    },
  };
}
