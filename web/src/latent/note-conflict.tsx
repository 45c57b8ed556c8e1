// A note that somebody changed while it was written here: both versions side by side, and which one is to stand.

import type { ReactNode } from "react";
import type { Note, NoteChange } from "../../../src/dashboard/api-contract.ts";
import { RequestError } from "../request-error.ts";
import { showInvisible } from "../visible-text.ts";

/** The note that stands in the way of a change; null when the writing failed for another reason, or not at all. */
export function conflictingNote(error: unknown): Note | null {
  if (!(error instanceof RequestError) || error.status !== 409) return null;
  return (error.body as { note?: Note } | null)?.note ?? null;
}

const FIELDS = ["label", "tags", "text"] as const;

export function NoteConflict(options: {
  latent: number;
  theirs: Note;
  mine: NoteChange;
  /** Writes the change over their version. */
  onMine: () => void;
  /** Leaves their version as it is. */
  onTheirs: () => void;
}): ReactNode {
  const { latent, theirs, mine, onMine, onTheirs } = options;
  return (
    <div className="state failure" role="alert">
      <p>
        <b>Somebody changed the note of latent {latent} while you wrote.</b> Nothing of yours is saved yet.
      </p>
      <table className="counts versions">
        <thead>
          <tr>
            <td />
            <th scope="col">theirs</th>
            <th scope="col">yours</th>
          </tr>
        </thead>
        <tbody>
          {FIELDS.filter((field) => mine[field] !== undefined).map((field) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td>
                <Version of={theirs[field]} />
              </td>
              <td>
                <Version of={mine[field] ?? ""} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        <button type="button" onClick={onMine}>
          Write mine over it
        </button>{" "}
        <button type="button" onClick={onTheirs}>
          Keep theirs
        </button>
      </p>
    </div>
  );
}

function Version({ of }: { of: string | readonly string[] }): ReactNode {
  const words = typeof of === "string" ? of : of.join(", ");
  return words === "" ? <span className="note">empty</span> : <bdi>{showInvisible(words)}</bdi>;
}
