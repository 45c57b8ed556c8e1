// The house rules that a compiler does not check: import direction, no cycles, who prints, how files begin.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { IMPORT_TABLE, ONNXRUNTIME_FOLDERS, PRINTING_FOLDER } from "./import-table.ts";

const root = packageRoot();

function sourceFiles(): string[] {
  return (readdirSync(join(root, "src"), { recursive: true }) as string[])
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join("src", file));
}

function importsOf(file: string): { specifier: string; typeOnly: boolean }[] {
  const text = readFileSync(join(root, file), "utf8");
  return [
    ...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm),
  ].map((match) => ({
    specifier: match[2] ?? match[3],
    typeOnly: match[1] !== undefined,
  }));
}

function folderOf(file: string): string {
  const parts = relative(root, resolve(root, file)).split("/");
  if (parts[0] !== "src") return parts[0];
  return parts.length === 2 ? "" : parts[1];
}

const product = sourceFiles().filter((file) => !file.endsWith(".test.ts"));
const localImports = (file: string): string[] =>
  importsOf(file)
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier }) => relative(root, resolve(root, dirname(file), specifier)));

test("every folder of src is in the import table and imports only what the table allows", () => {
  const faults = product.flatMap((file) => {
    const folder = folderOf(file);
    if (folder === "") return [];
    const allowed = IMPORT_TABLE[folder];
    if (allowed === undefined) return [`${folder}/ is not in test/import-table.ts`];
    return localImports(file)
      .map(folderOf)
      .filter((target) => target !== "" && target !== folder && !allowed.includes(target))
      .map((target) => `${file} imports ${target}/`);
  });
  expect(faults).toEqual([]);
});

test("the import table itself has no cycle", () => {
  const faults = Object.entries(IMPORT_TABLE).flatMap(([folder, targets]) =>
    targets
      .filter((target) => IMPORT_TABLE[target]?.includes(folder))
      .map((target) => `${folder} ↔ ${target}`),
  );
  expect(faults).toEqual([]);
});

test("no file imports itself through others", () => {
  const graph = new Map(product.map((file) => [file, localImports(file)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    }
  };
  for (const file of product) visit(file, []);
  expect(cycles).toEqual([]);
});

test("only compute/ and lm/ load onnxruntime", () => {
  const faults = product.filter((file) => {
    const loads = importsOf(file).some(
      ({ specifier, typeOnly }) => specifier.startsWith("onnxruntime") && !typeOnly,
    );
    return loads && !ONNXRUNTIME_FOLDERS.includes(folderOf(file));
  });
  expect(faults).toEqual([]);
});

test("only cli/ prints or ends the process", () => {
  const faults = product.filter((file) => {
    const text = readFileSync(join(root, file), "utf8");
    return (
      folderOf(file) !== PRINTING_FOLDER && /\bconsole\.|process\.(stdout|stderr|exit|argv)\b/.test(text)
    );
  });
  expect(faults).toEqual([]);
});

test("every file of the product opens by saying what it is", () => {
  const faults = product.filter((file) => {
    const text = readFileSync(join(root, file), "utf8").replace(/^#!.*\n/, "");
    return !text.startsWith("// ") && !text.startsWith("/**");
  });
  expect(faults).toEqual([]);
});

test("no source file is longer than 700 lines", () => {
  const faults = sourceFiles().filter(
    (file) => readFileSync(join(root, file), "utf8").split("\n").length > 700,
  );
  expect(faults).toEqual([]);
});
