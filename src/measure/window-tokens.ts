// Token ids of many windows, read from the store in ascending order, a block of rows at a time.

import type { RowSource } from "../store/row-source.ts";
import type { ExampleWindow } from "./window.ts";

/** Rows read at once; windows nearer to each other than this share a read. */
const BLOCK_ROWS = 16_384;

/** Token ids (of the fine-tune) of every window, in the order of the windows. */
export async function readWindowTokens(
  source: Pick<RowSource, "manifest" | "readFacts">,
  windows: readonly Pick<ExampleWindow, "windowStart" | "windowEnd">[],
): Promise<Uint32Array[]> {
  const tokens = new Array<Uint32Array>(windows.length);
  const order = [...windows.keys()].sort((a, b) => windows[a].windowStart - windows[b].windowStart);
  let block: { start: number; tokens: Uint32Array } = { start: 0, tokens: new Uint32Array(0) };
  for (const i of order) {
    const { windowStart, windowEnd } = windows[i];
    if (windowEnd > block.start + block.tokens.length) {
      const end = Math.min(Math.max(windowStart + BLOCK_ROWS, windowEnd), source.manifest.nRows);
      block = { start: windowStart, tokens: (await source.readFacts(windowStart, end)).tokenFinetuned };
    }
    tokens[i] = block.tokens.slice(windowStart - block.start, windowEnd - block.start);
  }
  return tokens;
}
