// Run and cancel, what a lab is doing now, and how a run ended.

import type { ReactNode } from "react";
import { formatCount } from "../format.ts";
import { Failure } from "../parts/states.tsx";
import type { LabRun } from "./lab-runs.ts";

export function RunBar(options: {
  verb: string;
  /** Why it cannot be run; "" when it can. */
  fault: string;
  run: Pick<LabRun<unknown, unknown>, "state" | "progress" | "error"> | undefined;
  onCancel: () => void;
  children?: ReactNode;
}): ReactNode {
  const { verb, fault, run, onCancel, children } = options;
  const isRunning = run?.state === "running";
  const { words, done, total } = run?.progress ?? { words: "waiting for the server", done: 0, total: null };
  return (
    <div className="run-bar">
      <div className="bar">
        <button type="submit" className="run" disabled={fault !== ""} aria-describedby="run-words">
          {isRunning ? `${verb} anew` : verb}
        </button>
        {isRunning && (
          <button type="button" onClick={onCancel}>
            Cancel
          </button>
        )}
        {isRunning && (
          <progress
            aria-label="Progress"
            {...(total !== null && total > 0 && { value: Math.min(done, total), max: total })}
          />
        )}
        <p className="note" id="run-words" role="status">
          {fault !== "" && fault}
          {fault === "" && isRunning && (
            <>
              {words}
              {total !== null && total > 1 && `: ${formatCount(done)} of ${formatCount(total)}`}
            </>
          )}
          {fault === "" && run?.state === "cancelled" && "Cancelled. What came before is kept."}
          {fault === "" && run?.state === "done" && "Done."}
        </p>
        {children}
      </div>
      {run?.state === "failed" && run.error !== null && <Failure error={run.error} />}
    </div>
  );
}

/** Above a former or other run's result: what is shown is not of the fields as they stand. */
export function StaleNote({ isStale }: { isStale: boolean }): ReactNode {
  return (
    isStale && (
      <p className="note stale">What is shown is of an earlier question: the fields have changed since.</p>
    )
  );
}
