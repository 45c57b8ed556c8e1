// A Python process on the other side of a bench: one JSON line asked, one answered.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface PythonPeer {
  /** The first answer, to what it was started with. */
  greeting: Record<string, unknown>;
  ask(request: unknown): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/**
 * Starts a script of this folder with the interpreter that TUNEDIFF_PYTHON names; undefined when it names none.
 * Throws when the script cannot run there.
 */
export async function startPython(script: string, setup: unknown): Promise<PythonPeer | undefined> {
  const python = process.env.TUNEDIFF_PYTHON;
  if (python === undefined || python === "") return undefined;
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(python, [path], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: unknown): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error(`${python} ${path} ended early: are torch and transformers installed there?`);
    return JSON.parse(value);
  };
  return {
    greeting: await ask(setup),
    ask,
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}
