// The documents keep their promises: links lead somewhere, commands exist, the architecture page shows the real table.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { createProgram } from "../src/cli/main.ts";
import { packageRoot } from "../src/package-root.ts";
import { IMPORT_TABLE } from "./import-table.ts";

const root = packageRoot();
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "organisms/minichat/README.md",
  "examples/README.md",
  ...readdirSync(join(root, "docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => join("docs", file)),
];
const textOf = (page: string): string => readFileSync(join(root, page), "utf8");
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, "")
    .trim()
    .replace(/\s+/g, "-");

test("every relative link and picture leads to a file, and every anchor to a heading", () => {
  const faults = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1])
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path, anchor] = target.split("#");
        const file = path === "" ? join(root, page) : resolve(root, dirname(page), path);
        if (!existsSync(file)) return true;
        if (anchor === undefined) return false;
        const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map((match) =>
          anchorOf(match[1]),
        );
        return !headings.includes(anchor);
      })
      .map((target) => `${page}: ${target}`),
  );
  expect(faults).toEqual([]);
});

test("every tunediff command that a document shows exists", () => {
  const known = new Set(createProgram().commands.map((command) => command.name()));
  const shown = pages.flatMap((page) =>
    [...textOf(page).matchAll(/(?:npx |\$ |^|`)tunediff ([a-z]+)/gm)].map((match) => match[1]),
  );
  expect(shown.length).toBeGreaterThan(0);
  expect(shown.filter((name) => !known.has(name))).toEqual([]);
});

test("every npm script that a document shows exists", () => {
  const { scripts } = JSON.parse(textOf("package.json"));
  const shown = pages.flatMap((page) =>
    [...textOf(page).matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]),
  );
  expect(shown.length).toBeGreaterThan(0);
  expect(shown.filter((name) => scripts[name] === undefined)).toEqual([]);
});

test("the architecture page names every folder of the import table", () => {
  const page = textOf("docs/architecture.md");
  expect(Object.keys(IMPORT_TABLE).filter((folder) => !page.includes(`\`${folder}/\``))).toEqual([]);
});

test("no document carries a path of one machine", () => {
  const faults = pages.filter((page) => /\/(home|root|tmp|work|opt)\/\w/.test(textOf(page)));
  expect(faults).toEqual([]);
});
