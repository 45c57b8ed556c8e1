// Starting a worker thread of this package, from the built JavaScript or, in tests and benchmarks, from TypeScript; and carrying
// an error from one thread to another as what it was.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import * as errors from "../errors.ts";
import { TunediffError } from "../errors.ts";
import { ownModule } from "../own-module.ts";

/** Starts the module that stands at `module` (a URL without the ending .ts or .js) with this workerData. */
export function startWorkerThread(module: URL, workerData: unknown): Worker {
  // Not the parent's own flags: some (--input-type, --eval's) are refused in a worker.
  const execArgv: string[] = [];
  const { url, needsLoader } = ownModule(module);
  if (!needsLoader) return new Worker(url, { workerData, execArgv });
  const loader = pathToFileURL(
    createRequire(import.meta.url)
      .resolve("tsx/esm/api")
      .replace(/cjs$/, "mjs"),
  ).href;
  const load = `import("${loader}").then(({ tsImport }) => tsImport("${url}", "${url}"))`;
  return new Worker(load, { workerData, eval: true, execArgv });
}

/** An error as a message can carry it. */
export interface CarriedError {
  name: string;
  message: string;
  hint?: string | undefined;
}

export function carriedError(error: unknown): CarriedError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message, hint: error instanceof TunediffError ? error.hint : undefined };
}

/** The same class again, when it is one of ours. */
export function errorOf({ name, message, hint }: CarriedError): Error {
  const classes = errors as unknown as Record<
    string,
    (new (message: string, details: { hint?: string | undefined }) => TunediffError) | undefined
  >;
  const Kind = classes[name];
  return Kind === undefined ? new Error(`${name}: ${message}`) : new Kind(message, { hint });
}
