import { expect, test } from "vitest";
import { writeLatentBits, writeLatentRanges, writeLatents } from "./latent-ranges.ts";

/** What a request may hold; API_LIMITS.body. */
const BODY = 256_000;

test("a selection is written as all, as ranges, or as a bit a latent, whichever is short", () => {
  expect(writeLatents(Uint32Array.of(2, 0, 1), 3)).toBe("all");
  expect(writeLatents(Uint32Array.of(7, 2, 0, 1), 9)).toBe("0-2,7");
  const n = 73_728;
  // two in, one out: the longest ranges there are
  const scattered = Uint32Array.from({ length: (2 * n) / 3 }, (_, i) => 3 * (i >> 1) + (i & 1));
  expect(writeLatentRanges(scattered).length).toBeGreaterThan(BODY);
  const written = writeLatents(scattered, n);
  expect(written.length).toBe("bits:".length + n / 6);
  const bytes = Buffer.from(written.slice("bits:".length), "base64");
  const read = Array.from({ length: n }, (_, j) => j).filter((j) => (bytes[j >> 3] >> (j & 7)) & 1);
  expect(read).toEqual([...scattered]);
  expect(writeLatentBits([0, 5, 6, 19], 20)).toBe("bits:YQAI");
});
