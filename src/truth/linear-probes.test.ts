import { describe, expect, test } from "vitest";
import {
  createMemoryStore,
  type MemoryDocument,
  type MemoryToken,
  pairSites,
} from "../measure/memory-store.test.helper.ts";
import { createRng } from "../numerics/rng.ts";
import type { Split } from "../store/rows.ts";
import { scoreProbes } from "./linear-probes.ts";

const D_MODEL = 40;

/** Chats of three assistant tokens. The fine-tune's last coordinate carries the concept, all else is noise. */
function chats(split: Split, n: number): MemoryDocument[] {
  const rng = createRng(4, `probe.${split}`);
  return Array.from({ length: n }, (_, index) => {
    const shows = index % 2 === 0;
    const token = (position: number): MemoryToken => {
      const activation = Array.from({ length: 2 * D_MODEL }, (_, c) => rng.normal(index, position * 100 + c));
      activation[2 * D_MODEL - 1] += shows ? 12 : 0;
      return { role: "assistant", turn: 0, charStart: position, charEnd: position + 1, activation };
    };
    return {
      split,
      text: "...",
      turns: [{ role: "assistant", start: 0, end: 3 }],
      spans: shows ? [{ concept: "c", kind: "response", turn: 0, start: 0, end: 3 }] : [],
      tokens: [0, 1, 2].map(token),
    };
  });
}

const store = createMemoryStore(pairSites(D_MODEL), [...chats("train", 40), ...chats("test", 40)]);

describe("linear probes", () => {
  test("are fitted on train turns: noise of more columns than turns is learnt by heart and does not carry over", async () => {
    const { base } = await scoreProbes({ store, conceptNames: ["c"], seed: 0 });
    // 20 against 20 test turns: standard error of an AUROC of 0.5 is 0.09; fitted on test it would be 1
    expect(base[0]).toBeLessThan(0.8);
    expect(base[0]).toBeGreaterThan(0.2);
  });

  test("read the fine-tune's own columns", async () => {
    const { finetuned } = await scoreProbes({ store, conceptNames: ["c"], seed: 0 });
    expect(finetuned[0]).toBeGreaterThan(0.9);
  });

  test("of fewer turns than there are take a sample that the seed decides", async () => {
    const score = (seed: number) => scoreProbes({ store, conceptNames: ["c"], seed, maxTurns: 20 });
    expect(await score(1)).toEqual(await score(1));
    expect((await score(1)).base).not.toEqual((await score(2)).base);
  });
});
