// The lists of moved texts and tokens on numbers small enough to rank by hand.

import { expect, test } from "vitest";
import type { Conversation } from "./causal-contract.ts";
import { MOVED_LIMITS, movedTexts, movedTokens, trackTokens } from "./moved.ts";

function conversation(ids: number[], isAssistant: number[]): Conversation {
  const tokens = Uint32Array.from(ids);
  return {
    id: "",
    group: 0,
    tokenBase: tokens,
    tokenFinetuned: tokens,
    isTemplate: new Uint8Array(ids.length),
    isAssistant: Uint8Array.from(isAssistant),
  };
}

test("only assistant tokens that come often enough are tallied, the most frequent when there are too many", () => {
  const conversations = [
    conversation([3, 8, 8, 5, 5, 2], [0, 1, 1, 1, 1, 0]),
    conversation([5, 8, 5, 9, 9, 9, 9], [1, 1, 1, 1, 1, 1, 0]),
  ];
  // 8 comes 3 times, 5 three times (position 0 predicts nothing and is not predicted), 9 three times, 2 and 3 never.
  const limits = { trackedTokens: 10, minimumPositions: 3 };
  expect([...trackTokens(conversations, limits).ids]).toEqual([5, 8, 9]);
  const few = trackTokens(conversations, { ...limits, trackedTokens: 2 });
  expect([...few.ids]).toEqual([5, 8]);
  expect([5, 8, 9].map(few.indexOf)).toEqual([0, 1, -1]);
});

test("texts are ranked by the size of the change, each edit for itself, and unchanged ones are left out", () => {
  const n = MOVED_LIMITS.texts + 2;
  const conversations = Array.from({ length: n + 1 }, (_, i) => ({ id: `text-${i}` }));
  const rows = movedTexts(
    {
      conversation: Uint32Array.from({ length: n }, (_, i) => i + 1),
      change: {
        add: Float64Array.from({ length: n }, (_, i) => (i % 2 === 0 ? -i : i)),
        remove: new Float64Array(n).fill(0, 1).map((_, i) => (i === 3 ? 0.5 : 0)),
      },
    },
    conversations,
  );
  expect(rows.map(({ edit, conversation: id, change }) => [edit, id, change])).toEqual([
    ["add", "text-7", -6],
    ["add", "text-6", 5],
    ["add", "text-5", -4],
    ["add", "text-4", 3],
    ["add", "text-3", -2],
    ["remove", "text-4", 0.5],
  ]);
});

test("a token needs three positions, counts by its mean, and falling is as good as rising", () => {
  const tracked = { ids: Uint32Array.of(4, 6, 11), indexOf: () => -1 };
  const rows = movedTokens(
    {
      count: Uint32Array.of(2, 3, 4),
      change: { add: Float64Array.of(100, 3, -8), remove: Float64Array.of(1, 0, 2) },
    },
    { tracked, tokenString: (id) => `t${id}` },
  );
  expect(rows).toEqual([
    { edit: "add", token: "t11", tokenId: 11, count: 4, change: -2 },
    { edit: "add", token: "t6", tokenId: 6, count: 3, change: 1 },
    { edit: "remove", token: "t11", tokenId: 11, count: 4, change: 0.5 },
  ]);
});
