// The browser side's built files, read whole at start into a table by address: a request is looked up, never joined to a path.
//
// Built by `npm run build:web` with hashed names, about a megabyte. What appears in the folder later is not served.

import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { packageRoot } from "../package-root.ts";

export interface StaticFile {
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
}

/** By address, e.g. "/assets/index-3f2a.js". */
export type StaticFiles = ReadonlyMap<string, StaticFile>;

/** The kinds that are served; a file of another kind (a source map, a dot file) is not. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".json": "application/json",
};

/** Where the build lies in the package. */
export function webFolder(): string {
  return join(packageRoot(), "web", "dist");
}

/**
 * Reads the files of a build, without following links. index.html is also "/".
 *
 * Returns an empty table when there is no folder: the data is served all the same, and "/" says how to build the page.
 */
export async function readStaticFiles(folder: string): Promise<StaticFiles> {
  const files = new Map<string, StaticFile>();
  const visit = async (path: string, address: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const [inner, innerAddress] = [join(path, entry.name), `${address}/${entry.name}`];
      if (entry.isDirectory()) await visit(inner, innerAddress);
      const contentType = CONTENT_TYPES[extname(entry.name)];
      if (!entry.isFile() || contentType === undefined) continue;
      files.set(innerAddress, { bytes: new Uint8Array(await readFile(inner)), contentType });
    }
  };
  try {
    await visit(folder, "");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const index = files.get("/index.html");
  if (index !== undefined) files.set("/", index);
  return files;
}
