// Where the milliseconds of a shard's step go, for bench/; a clock that is lapped costs nothing that could be measured.

export const TIME_PARTS = ["dense", "select", "decode", "exchange", "gradients", "adam", "rest"] as const;

/** Milliseconds of the parts of the last step; select and exchange hold the waiting for other shards, too. */
export type ShardTimes = Record<(typeof TIME_PARTS)[number], number>;

export interface ShardClock {
  /** All parts to 0. */
  reset(): void;
  /** From now on. */
  start(): void;
  /** Puts the time since the last start or spent down to a part. */
  spent(part: keyof ShardTimes): void;
  times(): ShardTimes;
}

export function createShardClock(): ShardClock {
  const none = (): ShardTimes => Object.fromEntries(TIME_PARTS.map((part) => [part, 0])) as ShardTimes;
  let times = none();
  let last = performance.now();
  return {
    reset() {
      times = none();
      last = performance.now();
    },
    start() {
      last = performance.now();
    },
    spent(part) {
      const now = performance.now();
      times[part] += now - last;
      last = now;
    },
    times: () => times,
  };
}
