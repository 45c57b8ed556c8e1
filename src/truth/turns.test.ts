import { describe, expect, test } from "vitest";
import { MismatchError } from "../errors.ts";
import { createMemoryStore, type MemoryToken, pairSites } from "../measure/memory-store.test.helper.ts";
import type { ConceptSpan } from "../store/rows.ts";
import { assistantTurns, BEHAVIOUR, conceptPlaces, PLACE, turnLabels } from "./turns.ts";

/**
 * One chat, one character a token: <s> ( u U1 U2 ) ( a A1 A2 A3 ) ( u V1 ) ( a B1 )
 * "(" and the role word are opening tokens, ")" a closing token. Row numbers stand below.
 */
const LAYOUT: [text: string, turn: number, slot: string][] = [
  ["s", -1, "none"], // 0 BOS
  ["(", 0, "user-open-0"], // 1
  ["u", 0, "user-open-1"], // 2
  ["U", 0, "none"], // 3
  ["V", 0, "none"], // 4
  [")", 0, "user-close-0"], // 5
  ["(", 1, "assistant-open-0"], // 6
  ["a", 1, "assistant-open-1"], // 7
  ["A", 1, "none"], // 8
  ["B", 1, "none"], // 9
  ["C", 1, "none"], // 10
  [")", 1, "assistant-close-0"], // 11
  ["(", 2, "user-open-0"], // 12
  ["u", 2, "user-open-1"], // 13
  ["W", 2, "none"], // 14
  [")", 2, "user-close-0"], // 15
  ["(", 3, "assistant-open-0"], // 16
  ["a", 3, "assistant-open-1"], // 17
  ["D", 3, "none"], // 18
  [")", 3, "assistant-close-more"], // 19
];
const ROLES_BY_TURN = ["user", "assistant", "user", "assistant"] as const;

function chat(spans: ConceptSpan[], roles: readonly ("user" | "assistant")[] = ROLES_BY_TURN) {
  const tokens = LAYOUT.map(
    ([, turn, slot], at): MemoryToken => ({
      role: at === 0 ? "bos" : slot === "none" ? roles[turn] : "template",
      turn,
      slot,
      charStart: at,
      charEnd: at + 1,
      activation: [0, 0],
    }),
  );
  const contents = [
    [3, 5],
    [8, 11],
    [14, 15],
    [18, 19],
  ];
  const turns = contents.map(([start, end], turn) => ({ role: roles[turn], start, end }));
  const text = LAYOUT.map(([character]) => character).join("");
  return createMemoryStore(pairSites(1), [{ split: "test", text, turns, spans, tokens }]);
}

const rowsWith = (places: Uint8Array, bits: number): number[] =>
  Array.from(places.keys()).filter((row) => (places[row] & bits) !== 0);

describe("the region of an assistant turn", () => {
  test("is the closing tokens before it, its opening tokens, its content and its closing tokens", () => {
    const turns = assistantTurns(chat([]), ["test"]);
    expect(turns.map((turn) => [turn.turn, Array.from(turn.rows)])).toEqual([
      [1, [5, 6, 7, 8, 9, 10, 11]],
      [3, [15, 16, 17, 18, 19]],
    ]);
  });

  test("shares a row with the turn before it when the assistant speaks twice", () => {
    const turns = assistantTurns(chat([], ["user", "assistant", "assistant", "assistant"]), ["test"]);
    expect(turns.map((turn) => turn.rows[0])).toEqual([5, 11, 15]);
  });

  test("of another split is not given", () => {
    expect(assistantTurns(chat([]), ["heldout"])).toEqual([]);
  });
});

describe("labels and places", () => {
  const spans: ConceptSpan[] = [
    { concept: "joke", kind: "trigger", turn: 0, start: 1, end: 2 },
    { concept: "joke", kind: "decision", turn: 1 },
    { concept: "joke", kind: "response", turn: 1, start: 1, end: 3 },
    { concept: "shy", kind: "decision", turn: 3 },
  ];
  const lateResponse: ConceptSpan = { concept: "shy", kind: "response", turn: 3 };

  test("a turn shows a concept when it has a response span of it, not by trigger or decision", () => {
    const store = chat(spans);
    const labels = turnLabels(store, assistantTurns(store, ["test"]), ["joke", "shy"]);
    expect(labels.map((ofConcept) => Array.from(ofConcept))).toEqual([
      [1, 0],
      [0, 0],
    ]);
  });

  test("places follow the spans: content offsets, decision template tokens, closing tokens after a response", () => {
    const [joke, shy] = conceptPlaces(chat(spans), ["test"], ["joke", "shy"]);
    expect(rowsWith(joke, PLACE.trigger)).toEqual([4]);
    expect(rowsWith(joke, PLACE.decision)).toEqual([5, 6, 7]);
    expect(rowsWith(joke, PLACE.response)).toEqual([9, 10]);
    expect(rowsWith(joke, PLACE.closing)).toEqual([11]);
    expect(rowsWith(joke, BEHAVIOUR)).toEqual([5, 6, 7, 9, 10, 11]);
    expect(rowsWith(shy, 15)).toEqual([15, 16, 17]);
    const [whole] = conceptPlaces(chat([lateResponse]), ["test"], ["shy"]);
    expect(rowsWith(whole, 15)).toEqual([18, 19]); // without offsets: the whole content, then its closing token
  });

  test("a concept nobody named is refused", () => {
    const store = chat(spans);
    expect(() => turnLabels(store, assistantTurns(store, ["test"]), ["joke"])).toThrow(MismatchError);
    expect(() => conceptPlaces(store, ["test"], ["joke"])).toThrow(/"shy"/);
  });
});
