// The label, tags and text that people give a latent.

import { type FormEvent, type ReactNode, useState } from "react";
import type { Note, NoteChange } from "../../../src/dashboard/api-contract.ts";
import { LIMITS } from "../api.ts";
import { parseTags } from "../table/note-bar.tsx";

export function NoteEditor(options: {
  note: Note;
  isSaving: boolean;
  onSave: (change: NoteChange) => void;
}): ReactNode {
  const { note, isSaving, onSave } = options;
  const [label, setLabel] = useState(note.label);
  const [tags, setTags] = useState(note.tags.join(", "));
  const [text, setText] = useState(note.text);
  const change: NoteChange = {
    ...(label.trim() !== note.label && { label: label.trim() }),
    ...(parseTags(tags).join() !== note.tags.join() && { tags: parseTags(tags) }),
    ...(text !== note.text && { text }),
  };
  const isChanged = Object.keys(change).length > 0;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isChanged) onSave(change);
  };
  return (
    <form className="note-editor" onSubmit={submit}>
      <label>
        <span>Label</span>
        <input
          id="note-label"
          value={label}
          maxLength={LIMITS.label}
          onChange={(event) => setLabel(event.target.value)}
        />
      </label>
      <label>
        <span>Tags, with commas between</span>
        <input id="note-tags" value={tags} onChange={(event) => setTags(event.target.value)} />
      </label>
      <label>
        <span>Notes</span>
        <textarea
          rows={4}
          value={text}
          maxLength={LIMITS.noteText}
          onChange={(event) => setText(event.target.value)}
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
