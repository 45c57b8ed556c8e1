// Trigrams of blocks of text, hashed: for each of 65,536 buckets a bit a block, set where the block has a trigram of that bucket.
//
// A block without all the buckets of a literal does not contain it; one with all of them may or may not. Trigrams are of UTF-16 code units of
// folded text. Rows of bits are made and stored a band of blocks at a time, so that memory does not grow with the texts.

export const GRAM_SETTINGS = {
  /** Hash values; bits of a trigram's bucket number. */
  bucketBits: 16,
  /** Blocks of a band, but for the last: bits of a row. */
  bandBlocks: 4096,
  /** Most trigrams of one literal that are looked up: more hardly narrow a search. */
  ofLiteral: 24,
} as const;

const N_BUCKETS = 2 ** GRAM_SETTINGS.bucketBits;

/** Of three UTF-16 code units. */
function bucketOf(a: number, b: number, c: number): number {
  const mixed = Math.imul(Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ c, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 15)) & (N_BUCKETS - 1);
}

/** Distinct, ascending; none for fewer than three code units. Of a long literal some, spread over it. */
export function bucketsOf(literal: string): number[] {
  const buckets = new Set<number>();
  const step = Math.max(1, Math.ceil((literal.length - 2) / GRAM_SETTINGS.ofLiteral));
  for (let i = 0; i + 3 <= literal.length; i += step)
    buckets.add(bucketOf(literal.charCodeAt(i), literal.charCodeAt(i + 1), literal.charCodeAt(i + 2)));
  return [...buckets].sort((a, b) => a - b);
}

/** Bytes of a row of a band of so many blocks. */
export function rowBytes(nBlocks: number): number {
  return Math.ceil(nBlocks / 8);
}

export interface GramBand {
  /** block: its number in the band, 0 … nBlocks − 1. A trigram that spans the border of two texts counts, too: it does no harm. */
  add(block: number, folded: string): void;
  /** Rows that have a bit, ascending by bucket. [rowBytes(nBlocks)] u8, block 0 the lowest bit of byte 0. */
  rows(): Generator<{ bucket: number; bits: Uint8Array }>;
}

/** 8 KiB a block. */
export function createGramBand(nBlocks: number): GramBand {
  const bytes = rowBytes(nBlocks);
  const matrix = new Uint8Array(N_BUCKETS * bytes);
  const isUsed = new Uint8Array(N_BUCKETS);
  // One block's buckets are collected in little memory first: the matrix is too large for a processor's cache.
  const seen = new Uint8Array(N_BUCKETS);
  const list = new Uint32Array(N_BUCKETS);
  return {
    add(block, folded) {
      let n = 0;
      let a = folded.charCodeAt(0);
      let b = folded.charCodeAt(1);
      for (let i = 2; i < folded.length; i += 1) {
        const c = folded.charCodeAt(i);
        const bucket = bucketOf(a, b, c);
        a = b;
        b = c;
        if (seen[bucket] === 1) continue;
        seen[bucket] = 1;
        list[n++] = bucket;
      }
      for (let i = 0; i < n; i += 1) {
        matrix[list[i] * bytes + (block >>> 3)] |= 1 << (block & 7);
        isUsed[list[i]] = 1;
        seen[list[i]] = 0;
      }
    },
    *rows() {
      for (let bucket = 0; bucket < N_BUCKETS; bucket += 1)
        if (isUsed[bucket] === 1)
          yield { bucket, bits: matrix.subarray(bucket * bytes, (bucket + 1) * bytes) };
    },
  };
}
