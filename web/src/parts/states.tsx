// What stands where something is not there: loading, empty, missing with the command that makes it, failed.

import type { ReactNode } from "react";
import type { Missing, Part } from "../../../src/dashboard/api-contract.ts";
import { RequestError } from "../request-error.ts";

const STATE_WORDS: Record<Missing["state"], string> = {
  missing: "Not made yet",
  outdated: "Out of date",
  running: "Being made now",
  newer: "Made by a newer version",
  damaged: "Damaged",
};

export function Loading({ what }: { what: string }): ReactNode {
  return (
    <p className="state loading" role="status">
      Loading {what}…
    </p>
  );
}

export function Empty({ children }: { children: ReactNode }): ReactNode {
  return <p className="state">{children}</p>;
}

export function MissingPart({ part }: { part: Missing }): ReactNode {
  return (
    <div className="state missing">
      <p>
        <b>{STATE_WORDS[part.state]}.</b> {part.words}
      </p>
      {part.command !== "" && (
        <p>
          Make it with <code>{part.command}</code>
        </p>
      )}
    </div>
  );
}

/** The value of a part, drawn; or what is missing. */
export function PartOf<T>({
  part,
  children,
}: {
  part: Part<T>;
  children: (value: T) => ReactNode;
}): ReactNode {
  return part.state === "made" ? children(part.value) : <MissingPart part={part} />;
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }): ReactNode {
  const words = error instanceof Error ? error.message : String(error);
  const hint = error instanceof RequestError ? error.hint : "";
  return (
    <div className="state failure" role="alert">
      <p>
        <b>{words}</b>
      </p>
      {hint !== "" && <p>{hint}</p>}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
