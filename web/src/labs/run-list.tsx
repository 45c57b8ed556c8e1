// The runs of this page, to go back to: what was asked and how it ended. They are gone when the page is loaded anew.

import type { ReactNode } from "react";
import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { showInvisible } from "../visible-text.ts";
import { promptTitle } from "./lab-prompt.ts";
import type { LabRun } from "./lab-runs.ts";

const STATE_WORDS: Record<LabRun<unknown, unknown>["state"], string> = {
  running: "going on",
  done: "done",
  cancelled: "cancelled",
  failed: "not whole",
};

export function RunList<Q, R>(options: {
  /** Newest first. */
  runs: readonly LabRun<Q, R>[];
  shown: number | undefined;
  /** What was asked. */
  titleOf: (request: Q) => LabPrompt[];
  /** Beside the prompts, e.g. the latents. */
  detailOf?: (request: Q) => string;
  onPick: (run: LabRun<Q, R>) => void;
}): ReactNode {
  const { runs, shown, titleOf, detailOf, onPick } = options;
  if (runs.length < 2) return null;
  return (
    <details className="run-list">
      <summary>Runs of this page ({runs.length})</summary>
      <ol reversed>
        {runs.map((run) => (
          <li key={run.id} value={run.id}>
            <button
              type="button"
              className="quiet"
              aria-current={run.id === shown ? "true" : undefined}
              onClick={() => onPick(run)}
            >
              {detailOf !== undefined && <b>{detailOf(run.request)} </b>}
              {titleOf(run.request)
                .map((prompt) => showInvisible(promptTitle(prompt, 60)))
                .join(" · ")}{" "}
            </button>{" "}
            <span className="note">{STATE_WORDS[run.state]}</span>
          </li>
        ))}
      </ol>
    </details>
  );
}
