// What is being written of a latent, beside the note it began from: which fields changed, and what becomes of it when others write.
//
// Nothing typed is lost: a note that was changed elsewhere enters the fields that nobody here typed into, and only them. A field that
// both sides changed stays as it was typed, and the server is asked with the older note's time, so that it answers with the conflict.

import type { Note, NoteChange } from "../../../src/dashboard/api-contract.ts";
import { LIMITS } from "../api.ts";

export interface Draft {
  label: string;
  /** As typed, with commas between. */
  tags: string;
  text: string;
}

export interface Editing {
  draft: Draft;
  /** The note as it was last taken over. */
  base: Note;
}

const FIELDS = ["label", "tags", "text"] as const;

/** "a, b,, a" → ["a", "b"]; bounded as the server asks. */
export function parseTags(text: string): string[] {
  const tags = text
    .split(",")
    .map((tag) => tag.trim().slice(0, LIMITS.tag))
    .filter((tag) => tag !== "");
  return [...new Set(tags)].slice(0, LIMITS.tags);
}

export function beginEditing(note: Note): Editing {
  return { base: note, draft: draftOf(note) };
}

function draftOf({ label, tags, text }: Note): Draft {
  return { label, tags: tags.join(", "), text };
}

/** The fields that differ from the note, as they are sent; without `seen`. */
export function changeOf({ draft, base }: Editing): NoteChange {
  const tags = parseTags(draft.tags);
  return {
    ...(draft.label.trim() !== base.label && { label: draft.label.trim() }),
    ...(tags.join() !== base.tags.join() && { tags }),
    ...(draft.text !== base.text && { text: draft.text }),
  };
}

/** The same editing after the note was read anew. */
export function takeOver(editing: Editing, note: Note): Editing {
  const { draft, base } = editing;
  if (note.updated === base.updated) return editing;
  const typed = changeOf(editing);
  const isFree = (field: (typeof FIELDS)[number]): boolean =>
    typed[field] === undefined ||
    String(note[field]) === String(base[field]) ||
    String(typed[field]) === String(note[field]);
  if (!FIELDS.every(isFree)) return editing;
  const theirs = draftOf(note);
  return {
    base: note,
    draft: {
      label: typed.label === undefined ? theirs.label : draft.label,
      tags: typed.tags === undefined ? theirs.tags : draft.tags,
      text: typed.text === undefined ? theirs.text : draft.text,
    },
  };
}
