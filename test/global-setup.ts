// What a run of the tests makes once and all of its files share: a folder, and in it the sources as JavaScript.
//
// The folder lies in node_modules, so that what is compiled finds the packages and the package's root; it goes with the run, and
// those of runs that were killed go with the next. Test files themselves are vitest's; other things are put there by made-once.ts.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { transformWithOxc } from "vite";
import { packageRoot } from "../src/package-root.ts";

const FOLDERS = ["src", "organisms", "test"];
const PREFIX = "tunediff-tests-";
const OXC_HELPERS = "@oxc-project/runtime";

/** Called for each project of vitest.config.ts that has files to run; the first makes it for all. */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env.TUNEDIFF_TEST_RUN !== undefined) return undefined;
  const parent = join(packageRoot(), "node_modules", ".cache");
  await mkdir(parent, { recursive: true });
  await removeLeftBehind(parent);
  const folder = join(parent, `${PREFIX}${process.pid}`);
  await rm(folder, { recursive: true, force: true });
  process.env.TUNEDIFF_TEST_RUN = folder;
  const compiled = join(folder, "js");
  for (const name of FOLDERS) await compileFolder(name, compiled);
  await writeFile(join(compiled, "package.json"), '{"type":"module"}');
  process.env.TUNEDIFF_COMPILED = `${pathToFileURL(compiled).href}/`;
  return () => rm(folder, { recursive: true, force: true });
}

async function compileFolder(name: string, target: string): Promise<void> {
  const files = (await readdir(join(packageRoot(), name), { recursive: true })).filter((file) =>
    /(?<!\.test)\.ts$/.test(file),
  );
  for (const file of files) {
    const path = join(name, file);
    const out = join(target, path.replace(/ts$/, "js"));
    await mkdir(dirname(out), { recursive: true });
    await writeFile(out, await compile(path));
  }
}

/** A file that cannot be compiled says so when it is loaded: tests that do not load it are none the worse. */
async function compile(path: string): Promise<string> {
  const text = await readFile(join(packageRoot(), path), "utf8");
  try {
    const typescript = { rewriteImportExtensions: "rewrite" } as const;
    const { code } = await transformWithOxc(text, path, { target: "esnext", sourcemap: false, typescript });
    // It puts a helper of its own in place of a tagged template that holds "</script": TypeScript, slower by far, does not.
    return code.includes(OXC_HELPERS) ? await compileSlowly(text, path) : code;
  } catch (error) {
    return `throw new SyntaxError(${JSON.stringify(`${path}: ${String(error)}`)});`;
  }
}

async function compileSlowly(text: string, fileName: string): Promise<string> {
  const { default: ts } = await import("typescript");
  const compilerOptions = {
    ...{ target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    ...{ verbatimModuleSyntax: true, rewriteRelativeImportExtensions: true },
  };
  return ts.transpileModule(text, { fileName, compilerOptions }).outputText;
}

async function removeLeftBehind(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : 0;
    if (pid > 0 && !isRunning(pid)) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH; another user's process (EPERM) does not write here
  }
}
