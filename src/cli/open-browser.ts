// Opens the dashboard in the person's browser without showing its token to the machine's other users.
//
// A command line is readable by everyone: the browser is given a file that only its owner can read, and that leads on.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const OPENERS: Partial<Record<NodeJS.Platform, { command: string; args: string[] }>> = {
  darwin: { command: "open", args: [] },
  win32: { command: "rundll32", args: ["url.dll,FileProtocolHandler"] },
};

const OTHER = { command: "xdg-open", args: [] };

/**
 * Hands `url` to the system's browser. Returns how it went, and what removes the file again.
 *
 * opened: false when the system has no such command or it failed at once; the printed address does the same.
 */
export async function openBrowser(
  url: string,
  opener = OPENERS[process.platform] ?? OTHER,
): Promise<{ opened: Promise<boolean>; file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-open-"));
  const file = join(folder, "open.html");
  await writeFile(file, redirectPage(url), { mode: 0o600 });
  const child = spawn(opener.command, [...opener.args, pathToFileURL(file).href], {
    stdio: "ignore",
    detached: true,
  });
  child.unref();
  const opened = new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
  return { opened, file, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** url: of our own making, letters and marks that mean nothing in HTML. */
function redirectPage(url: string): string {
  return `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=${url}"><title>tunediff</title>`;
}
