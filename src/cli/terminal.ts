// What people see: progress with rate and time left on stderr, errors as one line and a hint. Data goes to stdout.

import picocolors from "picocolors";
import { TunediffError } from "../errors.ts";
import type { Progress, ReportProgress } from "../progress.ts";

/** Colours for stderr, where people read; none in a pipe, a log or with NO_COLOR. */
export const pc = picocolors.createColors(
  process.stderr.isTTY === true && process.env.NO_COLOR === undefined,
);

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 5000;

/** "1.2k", "3.4M": a count in at most four characters and a suffix. */
export function shortCount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(2);
}

/** "42 s", "3 min 05 s", "1 h 02 min". */
export function shortDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

export interface StageClock {
  startedMs: number;
  doneAtStart: number;
}

/** One progress line without colour: stage, bar or share, count, rate, time left, facts. Pure. */
export function progressLine(progress: Progress, clock: StageClock, nowMs: number): string {
  const { stage, done, total, unit, facts = {} } = progress;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const seconds = (nowMs - clock.startedMs) / 1000;
  const rate = seconds > 0 ? (done - clock.doneAtStart) / seconds : 0;
  const timing =
    done >= total
      ? `in ${shortDuration(seconds)}`
      : rate > 0
        ? `${shortDuration((total - done) / rate)} left`
        : "starting";
  const width = 20;
  const filled = Math.round(share * width);
  const bar = "━".repeat(filled) + "─".repeat(width - filled);
  const factText = Object.entries(facts)
    .map(([name, value]) => `${name} ${Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)}`)
    .join("  ");
  const rateText = rate > 0 ? `${shortCount(rate)} ${unit}/s` : "";
  const parts = [
    stage.padEnd(18),
    bar,
    `${String(Math.floor(share * 100)).padStart(3)} %`,
    `${shortCount(done)}/${shortCount(total)} ${unit}`,
    rateText,
    timing,
    factText,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

/** Progress on a stream: one redrawn line on a terminal, a plain line every few seconds elsewhere. */
export function createProgressPrinter(stream: NodeJS.WriteStream): {
  report: ReportProgress;
  finish(): void;
} {
  const live = stream.isTTY === true;
  let current = "";
  let clock: StageClock = { startedMs: 0, doneAtStart: 0 };
  let lastMs = 0;
  let lineOpen = false;
  const endLine = (): void => {
    if (lineOpen) stream.write("\n");
    lineOpen = false;
  };
  return {
    report: (progress) => {
      const now = performance.now();
      const isNew = progress.stage !== current;
      if (isNew) {
        endLine();
        current = progress.stage;
        clock = { startedMs: now, doneAtStart: progress.done };
        lastMs = now;
        if (!live && progress.done < progress.total) return;
      }
      const finished = progress.done >= progress.total;
      if (!finished && !(live && isNew) && now - lastMs < (live ? REDRAW_MS : PLAIN_LINE_MS)) return;
      lastMs = now;
      const line = progressLine(progress, clock, now);
      if (live) {
        stream.write(`\r\x1b[2K${line.slice(0, Math.max(20, (stream.columns ?? 120) - 1))}`);
        lineOpen = true;
        if (finished) endLine();
      } else {
        stream.write(`${line}\n`);
      }
      if (finished) current = "";
    },
    finish: endLine,
  };
}

/** Error as people read it: name, place, expected, got; the next step below. Unknown errors keep their stack. */
export function describeError(error: unknown): { text: string; exitCode: number } {
  if (error instanceof TunediffError) {
    const hint = error.hint === undefined ? "" : `\n  ${pc.dim("hint:")} ${error.hint}`;
    return { text: `${pc.red(error.name)}: ${error.message}${hint}`, exitCode: error.exitCode };
  }
  const system = describeSystemError(error);
  if (system !== undefined) return { text: `${pc.red("StorageError")}: ${system}`, exitCode: 3 };
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    text: `${pc.red("internal error")}: ${stack}\n  ${pc.dim("hint:")} this is a defect of tunediff; please report it with the line above`,
    exitCode: 1,
  };
}

const SYSTEM_HINTS: Record<string, string> = {
  ENOSPC: "free disk space and run the same command again: it goes on from the last committed piece",
  EDQUOT: "the quota is used up; free space and run the same command again",
  EACCES: "give the folder the needed permissions or choose another one",
  EPERM: "give the folder the needed permissions or choose another one",
  EROFS: "the file system is read-only; choose another --out folder",
  EMFILE: "too many open files; raise `ulimit -n`",
  ENOTDIR: "a file stands where a folder is expected; choose another path",
  EIO: "the disk reports an error; check it before trusting its files",
};

function describeSystemError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || SYSTEM_HINTS[code] === undefined) return undefined;
  return `${path ?? "file system"}: ${code} during ${syscall ?? "a file operation"}\n  ${pc.dim("hint:")} ${SYSTEM_HINTS[code]}`;
}
