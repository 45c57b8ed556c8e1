// SQLite by whichever binding this Node has: node:sqlite where it is built in, else @photostructure/sqlite, its twin.
//
// Both offer the same synchronous API; only the part used here is typed. No SQL lives here.

import { createRequire } from "node:module";
import { StorageError } from "../errors.ts";

export type SqliteValue = null | number | bigint | string | Uint8Array;
export type SqliteRow = Record<string, SqliteValue>;

export interface SqliteStatement {
  run(...parameters: SqliteValue[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  /** undefined when there is no row. */
  get(...parameters: SqliteValue[]): SqliteRow | undefined;
  all(...parameters: SqliteValue[]): SqliteRow[];
  iterate(...parameters: SqliteValue[]): IterableIterator<SqliteRow>;
}

export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface SqliteModule {
  DatabaseSync: new (path: string, options?: { readOnly?: boolean }) => SqliteDatabase;
}

let loaded: { module: SqliteModule; name: string } | undefined;

/** Opens or makes a database. readOnly refuses a missing file. Throws StorageError when it cannot be opened. */
export function openDatabase(
  path: string,
  { readOnly = false }: { readOnly?: boolean } = {},
): SqliteDatabase {
  loaded ??= loadSqlite();
  try {
    return new loaded.module.DatabaseSync(path, { readOnly });
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new StorageError(`${path}: expected an SQLite database that can be opened, got "${what}"`, {
      hint: readOnly ? "run the stage that writes it" : "check that the folder exists and can be written",
      cause,
    });
  }
}

/** Which binding is in use: "node:sqlite" or "@photostructure/sqlite". */
export function sqliteBinding(): string {
  loaded ??= loadSqlite();
  return loaded.name;
}

function loadSqlite(): { module: SqliteModule; name: string } {
  const builtin = withoutExperimentalWarning(() => process.getBuiltinModule?.("node:sqlite"));
  if (builtin && "DatabaseSync" in builtin) {
    return { module: builtin as unknown as SqliteModule, name: "node:sqlite" };
  }
  const require = createRequire(import.meta.url);
  return { module: require("@photostructure/sqlite") as SqliteModule, name: "@photostructure/sqlite" };
}

/** node:sqlite says on stderr that it is experimental when it is first loaded; users of a tool cannot act on that. */
function withoutExperimentalWarning<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    const type =
      typeof rest[0] === "object" && rest[0] !== null && "type" in rest[0] ? rest[0].type : rest[0];
    if (type === "ExperimentalWarning" && String(warning).includes("SQLite")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
