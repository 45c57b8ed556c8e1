import { expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { exampleOutputs } from "./example-outputs.ts";
import { makeOutputColumns, TOP_TOKENS } from "./outputs.ts";

/** Rows 7 and 8 are covered, 8 is the last of its document. */
async function rowsOf(rowStart: number, rowEnd: number) {
  const rows = [7, 8].filter((row) => rowStart <= row && row < rowEnd);
  const columns = makeOutputColumns(rows.length);
  columns.row.set(rows);
  columns.hasNext.set(rows.map((row) => (row === 8 ? 0 : 1)));
  columns.klFinetunedBase.set(rows.map((row) => row / 2));
  columns.nllBase.set(rows.map((row) => (row === 8 ? 0 : 0.25)));
  columns.nllFinetuned.set(rows.map((row) => (row === 8 ? 0 : 0.125)));
  for (const [entry, row] of rows.entries()) {
    for (let k = 0; k < TOP_TOKENS; k += 1) {
      columns.topTokenBase[entry * TOP_TOKENS + k] = 10 * row + k;
      columns.topProbabilityBase[entry * TOP_TOKENS + k] = 2 ** -k;
      columns.topTokenFinetuned[entry * TOP_TOKENS + k] = 100 * row + k;
      columns.topProbabilityFinetuned[entry * TOP_TOKENS + k] = 2 ** -(k + 1);
    }
  }
  return columns;
}

test("each token of a window has its own row's numbers, null where nothing is covered or nothing follows", async () => {
  const tokens = await exampleOutputs({ rowsOf }, { rowStart: 6, rowEnd: 10 });
  expect(tokens).toHaveLength(4);
  expect([tokens[0], tokens[3]]).toEqual([null, null]);
  expect(tokens[1]).toMatchObject({ kl: 3.5, nllBase: 0.25, nllFinetuned: 0.125 });
  expect(tokens[1]?.topBase[1]).toEqual({ token: 71, probability: 0.5 });
  expect(tokens[2]).toMatchObject({ kl: 4, nllBase: null, nllFinetuned: null });
  expect(tokens[2]?.topFinetuned.map(({ token }) => token)).toEqual([800, 801, 802, 803, 804]);
  expect(tokens[2]?.topFinetuned[0].probability).toBe(0.5);
});

test("an empty window has no tokens, and one that ends before it starts is refused", async () => {
  expect(await exampleOutputs({ rowsOf }, { rowStart: 7, rowEnd: 7 })).toEqual([]);
  await expect(exampleOutputs({ rowsOf }, { rowStart: 8, rowEnd: 7 })).rejects.toThrow(ShapeError);
});
