// Who made a temporary folder or a lock, and whether that process still lives.
//
// A pid alone is not enough: pids are used again (always, in containers) and mean nothing on another machine that shares
// the file system. So a start time goes with it where the system tells one (Linux), and a host name.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { errorCode } from "./disk.ts";

export interface ProcessIdentity {
  pid: number;
  host: string;
  /** Clock ticks after boot at which the process started; "" where the system does not say. */
  started: string;
}

/** Start time of a process in clock ticks after boot, "" when unknown (not Linux, or no such process). */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // Field 22; the command name in field 2 may itself hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return ""; // No /proc, or the process is gone: the caller treats "" as unknown.
  }
}

export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), started: startOf(process.pid) };
}

/** "dead" only when that is certain; a process of another host is "unknown". */
export function processState({ pid, host, started }: ProcessIdentity): "alive" | "dead" | "unknown" {
  if (host !== hostname()) return "unknown";
  if (!pidExists(pid)) return "dead";
  const startedNow = startOf(pid);
  return started !== "" && startedNow !== "" && started !== startedNow ? "dead" : "alive";
}

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM"; // It exists and belongs to someone else.
  }
}

const short = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 4);

/** Eight hex digits that tell host and start apart in a file name. */
export function identityTag({ host, started }: Omit<ProcessIdentity, "pid">): string {
  return short(`host ${host}`) + short(`start ${started}`);
}

/** As processState, for a pid and tag read from a file name. */
export function taggedProcessState(pid: number, tag: string): "alive" | "dead" | "unknown" {
  const host = hostname();
  const now = identityTag({ host, started: startOf(pid) });
  if (tag.slice(0, 4) !== now.slice(0, 4)) return "unknown";
  return pidExists(pid) && tag === now ? "alive" : "dead";
}
