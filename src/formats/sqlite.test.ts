import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { StorageError } from "../errors.ts";
import { openDatabase, sqliteBinding } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("values of every kind come back through run, get, all and iterate", () => {
  const path = join(folder, "a.sqlite");
  const database = openDatabase(path);
  database.exec("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n ANY)");
  const insert = database.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?)");
  expect(Number(insert.run(1, 0.5, "é", Uint8Array.of(1, 2), null).changes)).toBe(1);
  insert.run(2, -1e300, "", new Uint8Array(0), "x");
  const select = database.prepare("SELECT * FROM t ORDER BY i");
  expect({ ...select.get() }).toMatchObject({ i: 1, r: 0.5, s: "é", n: null });
  expect([...(select.get()!.b as Uint8Array)]).toEqual([1, 2]);
  expect(select.all().map(({ i }) => i)).toEqual([1, 2]);
  expect([...select.iterate()].map(({ r }) => r)).toEqual([0.5, -1e300]);
  expect(database.prepare("SELECT * FROM t WHERE i = ?").get(9)).toBeUndefined();
  database.close();
  const reader = openDatabase(path, { readOnly: true });
  expect(() => reader.exec("DELETE FROM t")).toThrow(/readonly/);
  reader.close();
});

test("a database that is not there, or cannot be, is a StorageError with its path", () => {
  const missing = join(folder, "nowhere.sqlite");
  expect(() => openDatabase(missing, { readOnly: true })).toThrow(StorageError);
  expect(() => openDatabase(missing, { readOnly: true })).toThrow(missing);
  expect(() => openDatabase(join(folder, "no", "a.sqlite"))).toThrow(StorageError);
});

test("opening a database writes nothing on stderr", () => {
  const source = fileURLToPath(new URL("./sqlite.ts", import.meta.url));
  const script = `import(${JSON.stringify(source)}).then(({ openDatabase }) => openDatabase(":memory:").close());`;
  const { stderr, status } = spawnSync(process.execPath, ["--import", "tsx", "-e", script], {
    encoding: "utf8",
  });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  expect(["node:sqlite", "@photostructure/sqlite"]).toContain(sqliteBinding());
});
