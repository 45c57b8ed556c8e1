// The label, tags and text that people give a latent.

import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import type { Note, NoteChange } from "../../../src/dashboard/api-contract.ts";
import { LIMITS } from "../api.ts";
import { beginEditing, changeOf, type Draft, takeOver } from "./note-draft.ts";

export function NoteEditor(options: {
  note: Note;
  isSaving: boolean;
  /** With `seen`: the note that the change was made to. */
  onSave: (change: NoteChange) => void;
}): ReactNode {
  const { note, isSaving, onSave } = options;
  const [editing, setEditing] = useState(() => beginEditing(note));
  useEffect(() => setEditing((current) => takeOver(current, note)), [note]);
  const { draft, base } = editing;
  const set = (field: Partial<Draft>): void => setEditing({ base, draft: { ...draft, ...field } });
  const change = changeOf(editing);
  const isChanged = Object.keys(change).length > 0;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isChanged) onSave({ ...change, seen: base.updated });
  };
  return (
    <form className="note-editor" onSubmit={submit}>
      <label>
        <span>Label</span>
        <input
          id="note-label"
          value={draft.label}
          maxLength={LIMITS.label}
          onChange={(event) => set({ label: event.target.value })}
        />
      </label>
      <label>
        <span>Tags, with commas between</span>
        <input id="note-tags" value={draft.tags} onChange={(event) => set({ tags: event.target.value })} />
      </label>
      <label>
        <span>Notes</span>
        <textarea
          rows={4}
          value={draft.text}
          maxLength={LIMITS.noteText}
          onChange={(event) => set({ text: event.target.value })}
        />
      </label>
      <p>
        <button type="submit" disabled={!isChanged || isSaving}>
          Save
        </button>{" "}
        <span className="note" role="status">
          {isSaving
            ? "saving…"
            : isChanged
              ? "not saved"
              : note.updated === ""
                ? ""
                : `saved ${note.updated}`}
        </span>
      </p>
    </form>
  );
}
