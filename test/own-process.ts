// How a test starts a module of this repository in a process of its own: from what the run has compiled, else through tsx.

import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ownModule } from "../src/own-module.ts";
import { packageRoot } from "../src/package-root.ts";

/** Arguments of node: flags and the file. name: from the root, without its ending, as "test/cli-entry". */
export function nodeArguments(name: string): string[] {
  const { url, needsLoader } = ownModule(pathToFileURL(join(packageRoot(), name)));
  return [...(needsLoader ? ["--import", "tsx"] : []), fileURLToPath(url)];
}
