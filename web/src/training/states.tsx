// How far each training is, in a line: live with what is left, finished, or stopped and since when.

import { type ReactNode, useEffect, useState } from "react";
import type { TrainingFacts } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatPercent } from "../format.ts";
import { showInvisible } from "../visible-text.ts";
import { Swatch } from "./curve-chart.tsx";
import { lookOf } from "./looks.ts";
import type { TrainingLog } from "./training-log.ts";
import type { Run } from "./training-query.ts";

/** How often "n minutes ago" is worked out anew, ms. */
const CLOCK_MS = 10_000;
const [SECOND, MINUTE, HOUR, DAY] = [1, 60, 3600, 86_400];

export interface StateOfRun {
  run: Run;
  log: TrainingLog | undefined;
  facts: TrainingFacts | undefined;
}

export function States({ runs }: { runs: readonly StateOfRun[] }): ReactNode {
  const now = useClock();
  return (
    <ul className="run-states">
      {runs.map(({ run, log, facts }) => (
        <li key={run.key}>
          <Swatch {...lookOf(run.look)} /> <bdi>{showInvisible(run.title)}</bdi>
          {run.detail !== "" && <span className="note"> ({showInvisible(run.detail)})</span>}:{" "}
          <span className={`run-state ${log?.state.kind ?? ""}`}>{stateWords({ log, facts, now })}</span>
        </li>
      ))}
    </ul>
  );
}

export function stateWords({
  log,
  facts,
  now,
}: {
  log: TrainingLog | undefined;
  facts: TrainingFacts | undefined;
  now: number;
}): string {
  if (log === undefined) return "loading";
  const { kind, changed } = log.state;
  const last = log.lines.at(-1);
  const { steps, batchRows } = facts?.plan ?? { steps: null, batchRows: null };
  const at =
    last === undefined
      ? ""
      : `step ${formatCount(last.step)}${steps === null ? "" : ` of ${formatCount(steps)}`}`;
  if (kind === "none") return "nothing has been logged yet";
  if (kind === "finished") return ["finished", at, ago(changed, now)].filter(Boolean).join(", ");
  if (kind === "stopped") {
    const kept = facts?.checkpoints.at(-1);
    const hint =
      kept === undefined
        ? ""
        : `; the same command goes on from the checkpoint at step ${formatCount(kept.step)}`;
    return `${["stopped", ago(changed, now), at && `at ${at}`].filter(Boolean).join(" ")}${hint}`;
  }
  if (last === undefined) return "live, no line yet";
  const rate = last.rowsPerSecond ?? 0;
  const left =
    steps !== null && batchRows !== null && rate > 0 ? ((steps - last.step) * batchRows) / rate : null;
  return [
    `live, ${at}${steps === null ? "" : ` (${formatPercent(last.step / steps, 0)})`}`,
    rate > 0 ? `${formatCount(rate)} tokens a second` : "",
    left === null ? "" : left > 0 ? `about ${duration(left)} left` : "finishing",
  ]
    .filter(Boolean)
    .join(", ");
}

/** "3 minutes ago". */
export function ago(time: string | null, now: number): string {
  if (time === null) return "";
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  return seconds < MINUTE ? "less than a minute ago" : `${duration(seconds)} ago`;
}

function duration(seconds: number): string {
  const [size, word] =
    seconds < MINUTE
      ? [SECOND, "second"]
      : seconds < HOUR
        ? [MINUTE, "minute"]
        : seconds < DAY
          ? [HOUR, "hour"]
          : [DAY, "day"];
  return formatAmount(Math.max(1, Math.floor(seconds / size)), word);
}

function useClock(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), CLOCK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
