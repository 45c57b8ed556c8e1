// The table of the page's files: what is in it, and what never gets in.

import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readStaticFiles } from "./static-files.ts";

test("files of known kinds are found by address; links, sources and hidden files are not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "static-files-"));
  try {
    await mkdir(join(folder, "page", "assets"), { recursive: true });
    const page = join(folder, "page");
    await writeFile(join(folder, "outside.html"), "outside");
    await symlink(join(folder, "outside.html"), join(page, "link.html"));
    await symlink(folder, join(page, "linked"));
    for (const name of ["index.html", "assets/a.js", "assets/a.js.map", "a.css", ".env", "a.ts"]) {
      await writeFile(join(page, name), name);
    }
    const files = await readStaticFiles(page);
    expect([...files.keys()].sort()).toEqual(["/", "/a.css", "/assets/a.js", "/index.html"]);
    expect(files.get("/")).toBe(files.get("/index.html"));
    expect(files.get("/assets/a.js")?.contentType).toBe("text/javascript; charset=utf-8");
    expect(Buffer.from(files.get("/a.css")?.bytes ?? []).toString()).toBe("a.css");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("a page that was never built is an empty table", async () => {
  expect((await readStaticFiles("/nowhere/at/all")).size).toBe(0);
});
