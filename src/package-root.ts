// Where the installed package lies on disk, the same for TypeScript sources and for dist/.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the folder that holds tunediff's package.json. Throws Error when the package is torn apart. */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "tunediff") return folder;
    if (dirname(folder) === folder)
      throw new Error("package.json of tunediff not found above the running file");
  }
}

/** Version string from package.json, e.g. "0.1.0". */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")).version;
}
