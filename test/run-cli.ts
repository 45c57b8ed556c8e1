// Runs the command line as a person does, in a process of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { packageRoot } from "../src/package-root.ts";
import { nodeArguments } from "./own-process.ts";

export interface CliResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Starts `tunediff ARGS`; `onStderr` sees all error output so far, e.g. to send a signal at the right moment. */
export function startCli(
  args: string[],
  options: { onStderr?: (text: string, child: ChildProcess) => void; env?: NodeJS.ProcessEnv } = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [...nodeArguments("test/cli-entry"), ...args], {
    cwd: packageRoot(),
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
    options.onStderr?.(stderr, child);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
