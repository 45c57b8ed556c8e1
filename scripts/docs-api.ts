// npm run docs:api: writes docs/api.md, the reference of the dashboard's API, from the source. --check only says whether it is up to date.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../src/package-root.ts";
import { renderApiReference } from "./api-reference/render.ts";

const path = join(packageRoot(), "docs", "api.md");
const page = renderApiReference(packageRoot());
if (!process.argv.includes("--check")) {
  writeFileSync(path, page);
} else if (readFileSync(path, "utf8") !== page) {
  process.stderr.write("docs/api.md is not what the source says: run `npm run docs:api`\n");
  process.exitCode = 1;
}
