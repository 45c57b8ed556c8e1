import { expect, test } from "vitest";
import type { Note } from "../../../src/dashboard/api-contract.ts";
import { beginEditing, changeOf, parseTags, takeOver } from "./note-draft.ts";

const note = (given: Partial<Note> = {}): Note => ({
  ...{ label: "refusal", text: "says no", tags: ["a", "b"], starred: false, updated: "2020" },
  ...given,
});
const typed = (fields: Partial<{ label: string; tags: string; text: string }>) => {
  const editing = beginEditing(note());
  return { ...editing, draft: { ...editing.draft, ...fields } };
};

test("a change has the fields that differ, and nothing where nothing does", () => {
  expect(changeOf(beginEditing(note()))).toEqual({});
  expect(changeOf(typed({ label: " refusal ", tags: "a,b,,a" }))).toEqual({});
  expect(changeOf(typed({ label: "", tags: "b, c" }))).toEqual({ label: "", tags: ["b", "c"] });
  expect(parseTags(" x ,, y,x")).toEqual(["x", "y"]);
});

test("a note changed elsewhere enters the fields that nobody typed into, and is the new base", () => {
  const later = note({ text: "says no, politely", starred: true, updated: "2021" });
  const editing = takeOver(typed({ label: "refuses" }), later);
  expect(editing).toEqual({
    base: later,
    draft: { label: "refuses", tags: "a, b", text: "says no, politely" },
  });
  expect(changeOf(editing)).toEqual({ label: "refuses" });
});

test("a field that both changed stays as typed, over the old base, so that the server finds the conflict", () => {
  const mine = typed({ label: "mine" });
  expect(takeOver(mine, note({ label: "theirs", updated: "2021" }))).toBe(mine);
});

test("the note that was just saved leaves nothing to save", () => {
  const saved = note({ label: "mine", tags: ["c"], updated: "2021" });
  expect(changeOf(takeOver(typed({ label: "mine", tags: "c" }), saved))).toEqual({});
});
