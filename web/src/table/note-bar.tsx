// One line to label or tag the latent under the cursor; Enter writes it, Escape leaves it as it was.

import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { Note, NoteChange } from "../../../src/dashboard/api-contract.ts";
import { LIMITS } from "../api.ts";
import { parseTags } from "../latent/note-draft.ts";

export type NoteField = "label" | "tags";

export function NoteBar(options: {
  latent: number;
  field: NoteField;
  note: Note;
  tags: readonly string[];
  /** With `seen`: the note that the change was made to. Null: nothing was changed. */
  onDone: (change: NoteChange | null) => void;
}): ReactNode {
  const { latent, field, tags, onDone } = options;
  // The note as it was when the writing began: another's change since then is for the server to find.
  const [note] = useState(options.note);
  const [text, setText] = useState(field === "label" ? note.label : note.tags.join(", "));
  const input = useRef<HTMLInputElement>(null);
  const choices = useId();
  useEffect(() => {
    input.current?.focus();
    input.current?.select();
  }, []);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const change = field === "label" ? { label: text.trim() } : { tags: parseTags(text) };
    onDone({ ...change, seen: note.updated });
  };
  return (
    <form className="note-bar" onSubmit={submit}>
      <label>
        {field === "label" ? "Label" : "Tags, with commas between,"} of latent {latent}{" "}
        <input
          ref={input}
          value={text}
          list={field === "tags" ? choices : undefined}
          maxLength={field === "label" ? LIMITS.label : LIMITS.tag * LIMITS.tags}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") onDone(null);
          }}
        />
      </label>{" "}
      <button type="submit">Save</button>{" "}
      <button type="button" onClick={() => onDone(null)}>
        Leave
      </button>
      <datalist id={choices}>
        {tags.map((tag) => (
          <option key={tag} value={tag} />
        ))}
      </datalist>
    </form>
  );
}
