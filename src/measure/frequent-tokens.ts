// The most frequent tokens of every latent in bounded memory: at its peaks in one instance, before them in another.
//
// Misra & Gries 1982 with `capacity` counters a latent; two summaries merge by adding counters and taking the
// (capacity + 1)-th largest count off all of them (Agarwal et al. 2013, "Mergeable summaries", §2). A count is a lower
// bound, short of the truth by at most (seen − Σ counts) / (capacity + 1): merging adds the shortfalls of the parts and
// keeps that bound. Exact while a latent has at most `capacity` different tokens. Beyond that the result depends on the
// order of adding and of merging, so parts are merged in order of group: then it is a pure function of the parts.
// Memory: nLatents × (8 · capacity + 4) bytes, allocated at once.

import { FormatError, NumericsError, ShapeError } from "../errors.ts";
import {
  type Accumulator,
  checkSettings,
  LARGEST_COUNT,
  type PartArrays,
  partArray,
  partLatents,
} from "./part-arrays.ts";

export const FREQUENT_TOKENS_CAPACITY = 16;

export interface FrequentToken {
  token: number;
  /** Times seen, at least; at most this + errorBound(latent). */
  count: number;
}

export interface FrequentTokens extends Accumulator {
  /** Counts one occurrence. token: u32. */
  add(latent: number, token: number): void;
  /** At most n (and at most capacity) tokens, most frequent first; of equal counts the lower token id first. */
  top(latent: number, n: number): FrequentToken[];
  /** Occurrences counted. */
  seen(latent: number): number;
  /** No token, listed or not, was seen more than its count (0 when not listed) + this. 0 when the list is exact. */
  errorBound(latent: number): number;
}

export interface FrequentTokensOptions {
  /** Prefix of the part's arrays: "tokensAtPeak" gives "tokensAtPeak.latent" and so on. */
  name: string;
  nLatents: number;
  /** Counters a latent, at most 255. Default FREQUENT_TOKENS_CAPACITY. */
  capacity?: number;
}

/**
 * Parts: NAME.settings f64 [nLatents, capacity]; one entry a latent that was seen, ascending: NAME.latent u32,
 * NAME.seen u32, NAME.used u8; and one entry a counter, by latent, then token: NAME.token u32, NAME.count u32.
 */
export function createFrequentTokens(options: FrequentTokensOptions): FrequentTokens {
  const { name, nLatents, capacity = FREQUENT_TOKENS_CAPACITY } = options;
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > 255) {
    throw new ShapeError(`${name}: expected a capacity of 1 to 255 counters, got ${capacity}`);
  }
  const settings = [nLatents, capacity];
  /** A count of 0 marks a free counter. */
  const tokens = new Uint32Array(nLatents * capacity);
  const counts = new Uint32Array(nLatents * capacity);
  const seen = new Uint32Array(nLatents);

  const addSeen = (latent: number, n: number): void => {
    const sum = seen[latent] + n;
    if (sum > LARGEST_COUNT) {
      throw new NumericsError(
        `${name}: latent ${latent}: expected at most ${LARGEST_COUNT} tokens, got ${sum}`,
        { hint: "measure fewer rows at a time" },
      );
    }
    seen[latent] = sum;
  };

  /** The counters in use, by ascending token. */
  const counters = (latent: number): FrequentToken[] => {
    const list: FrequentToken[] = [];
    for (let at = latent * capacity; at < (latent + 1) * capacity; at += 1) {
      if (counts[at] > 0) list.push({ token: tokens[at], count: counts[at] });
    }
    return list.sort((a, b) => a.token - b.token);
  };

  const sumTokens = new Uint32Array(2 * capacity);
  const sumCounts = new Uint32Array(2 * capacity);

  /** Adds counters [from, to), then takes the (capacity + 1)-th largest sum off all; what is above 0 stays. */
  const mergeCounters = (latent: number, other: Counters): void => {
    const first = latent * capacity;
    let n = 0;
    for (let at = first; at < first + capacity; at += 1) {
      if (counts[at] === 0) continue;
      sumTokens[n] = tokens[at];
      sumCounts[n++] = counts[at];
    }
    const nOwn = n;
    for (let i = other.from; i < other.to; i += 1) {
      let at = 0;
      while (at < nOwn && sumTokens[at] !== other.tokens[i]) at += 1;
      if (at < nOwn) sumCounts[at] += other.counts[i];
      else {
        sumTokens[n] = other.tokens[i];
        sumCounts[n++] = other.counts[i];
      }
    }
    const off = n > capacity ? sumCounts.slice(0, n).sort()[n - 1 - capacity] : 0;
    counts.fill(0, first, first + capacity);
    let to = first;
    for (let i = 0; i < n; i += 1) {
      if (sumCounts[i] <= off) continue;
      tokens[to] = sumTokens[i];
      counts[to++] = sumCounts[i] - off;
    }
  };

  return {
    add(latent, token) {
      addSeen(latent, 1);
      const first = latent * capacity;
      const end = first + capacity;
      let free = -1;
      for (let at = first; at < end; at += 1) {
        if (counts[at] === 0) {
          if (free < 0) free = at;
        } else if (tokens[at] === token) {
          counts[at] += 1;
          return;
        }
      }
      if (free < 0) {
        for (let at = first; at < end; at += 1) counts[at] -= 1;
      } else {
        tokens[free] = token;
        counts[free] = 1;
      }
    },
    top: (latent, n) =>
      counters(latent)
        .sort((a, b) => b.count - a.count || a.token - b.token)
        .slice(0, n),
    seen: (latent) => seen[latent],
    errorBound(latent) {
      const counted = counters(latent).reduce((sum, { count }) => sum + count, 0);
      return Math.floor((seen[latent] - counted) / (capacity + 1));
    },
    takeArrays() {
      const latents = Uint32Array.from(seen.keys()).filter((latent) => seen[latent] > 0);
      const lists = Array.from(latents, counters);
      const used = Uint8Array.from(lists, (list) => list.length);
      const all = lists.flat();
      const part: PartArrays = {
        [`${name}.settings`]: Float64Array.from(settings),
        [`${name}.latent`]: latents,
        [`${name}.seen`]: seen.filter((n) => n > 0),
        [`${name}.used`]: used,
        [`${name}.token`]: Uint32Array.from(all, ({ token }) => token),
        [`${name}.count`]: Uint32Array.from(all, ({ count }) => count),
      };
      counts.fill(0);
      seen.fill(0);
      return part;
    },
    merge(part) {
      checkSettings(part, `${name}.settings`, settings);
      const counters = partCounters(part, name, settings);
      for (const { latent, seen: n, from, to } of counters.latents) {
        addSeen(latent, n);
        mergeCounters(latent, { tokens: counters.tokens, counts: counters.counts, from, to });
      }
    },
  };
}

interface Counters {
  tokens: Uint32Array;
  counts: Uint32Array;
  from: number;
  to: number;
}

/** The part's counters of one latent: entries [from, to) of tokens and counts. */
interface PartCounters {
  latent: number;
  seen: number;
  from: number;
  to: number;
}

function partCounters(
  part: PartArrays,
  name: string,
  [nLatents, capacity]: readonly number[],
): { tokens: Uint32Array; counts: Uint32Array; latents: PartCounters[] } {
  const latents = partLatents(part, `${name}.latent`, nLatents);
  const seen = partArray(part, `${name}.seen`, Uint32Array, latents.length);
  const used = partArray(part, `${name}.used`, Uint8Array, latents.length);
  let to = 0;
  const list = Array.from(latents, (latent, i): PartCounters => {
    if (used[i] > capacity) {
      throw new FormatError(`part: expected ${name}.used[${i}] at most ${capacity}, got ${used[i]}`, {
        hint: "the part file is damaged: measure again",
      });
    }
    const from = to;
    to += used[i];
    return { latent, seen: seen[i], from, to };
  });
  const tokens = partArray(part, `${name}.token`, Uint32Array, to);
  return { tokens, counts: partArray(part, `${name}.count`, Uint32Array, to), latents: list };
}
