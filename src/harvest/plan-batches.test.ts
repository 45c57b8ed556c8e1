import fc from "fast-check";
import { expect, test } from "vitest";
import { documentsInRange, planBatches } from "./plan-batches.ts";

function documentsOf(lengths: number[]): { rowStart: number; rowEnd: number }[] {
  let rowStart = 0;
  return lengths.map((length) => {
    const rowEnd = rowStart + length;
    const document = { rowStart, rowEnd };
    rowStart = rowEnd;
    return document;
  });
}

const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 });

test("the documents of a range are those that a scan over all of them finds", () => {
  fc.assert(
    fc.property(lengths, fc.nat(200), fc.nat(200), (sizes, a, b) => {
      const documents = documentsOf(sizes);
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const scanned = documents.filter(({ rowStart, rowEnd }) => rowEnd > start && rowStart < end);
      expect(documentsInRange(documents, start, end)).toEqual(scanned);
    }),
    { seed: 3 },
  );
});

test("batches hold every document once, longest first, within the padded size", () => {
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 60 }), (sizes, batchTokens) => {
      const documents = documentsOf(sizes);
      const batches = planBatches(documents, { batchTokens });
      expect(batches.flat().toSorted((a, b) => a.rowStart - b.rowStart)).toEqual(documents);
      const flat = batches.flat().map(({ rowStart, rowEnd }) => rowEnd - rowStart);
      expect(flat).toEqual(flat.toSorted((a, b) => b - a));
      for (const batch of batches) {
        const padded = batch.length * (batch[0].rowEnd - batch[0].rowStart);
        expect(batch.length === 1 || padded <= batchTokens).toBe(true);
      }
    }),
    { seed: 4 },
  );
});

test("like lengths fill a batch: 8 documents of 4 tokens make two batches of 16", () => {
  expect(
    planBatches(documentsOf(new Array(8).fill(4)), { batchTokens: 16 }).map((batch) => batch.length),
  ).toEqual([4, 4]);
});

test("lengths of different classes never share a batch, whatever room is left", () => {
  const classOf = (length: number): number => (length > 4 ? 1 : 0);
  const batches = planBatches(documentsOf([4, 5, 3, 9, 4]), { batchTokens: 100, classOf });
  const sizes = batches.map((batch) => batch.map(({ rowStart, rowEnd }) => rowEnd - rowStart));
  expect(sizes).toEqual([
    [9, 5],
    [4, 4, 3],
  ]);
});
