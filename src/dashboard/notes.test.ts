import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../dictionary/dictionary-file.ts";
import { FormatError, StorageError } from "../errors.ts";
import { openDatabase } from "../formats/sqlite.ts";
import { randomDocuments } from "../measure/disk-store.test.helper.ts";
import { measure } from "../measure/measure.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import { createMemoryStore } from "../measure/memory-store.test.helper.ts";
import { NOTES_LIMITS, notesPath, openNotes } from "./notes.ts";
import { NOTES_SCHEMA_VERSION } from "./notes-schema.ts";

const root = mkdtempSync(join(tmpdir(), "notes-"));
const SHA = "ab".repeat(32);
const OTHER = "cd".repeat(32);
let study = "";
beforeEach(() => {
  study = mkdtempSync(join(root, "study-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a note comes back as it was written, and reading makes no file", () => {
  const notes = openNotes(study);
  expect(notes.get(SHA, 3)).toEqual({ label: "", text: "", tags: [], starred: false, updated: "" });
  expect([notes.list(SHA), notes.tags(SHA), notes.views(SHA), notes.elsewhere(SHA)]).toEqual([
    [],
    [],
    [],
    [],
  ]);
  expect(readdirSync(study)).toEqual([]);
  const { note } = notes.put(SHA, 3, { label: "refusals", tags: ["b", "a"], starred: true });
  expect(note).toMatchObject({ label: "refusals", text: "", tags: ["b", "a"], starred: true });
  expect(new Date(note.updated).toISOString()).toBe(note.updated);
  expect(notes.get(SHA, 3)).toEqual(note);
  expect(notes.get(OTHER, 3).label).toBe("");
  notes.put(SHA, 1, { tags: ["a"] });
  expect(notes.list(SHA).map(({ latent, tags }) => [latent, tags])).toEqual([
    [1, ["a"]],
    [3, ["b", "a"]],
  ]);
  expect(notes.tags(SHA)).toEqual([
    { tag: "a", count: 2 },
    { tag: "b", count: 1 },
  ]);
  notes.close();
  const again = openNotes(study);
  expect(again.get(SHA, 3)).toEqual(note);
  again.close();
  expect(readdirSync(study)).toEqual(["notes.sqlite"]); // one file: no journal, no shared memory
});

test("a change sets only what it names, so two browsers at one latent keep each other's work", () => {
  const [one, two] = [openNotes(study), openNotes(study)];
  one.put(SHA, 0, { label: "from the one" });
  two.put(SHA, 0, { starred: true });
  one.put(SHA, 0, { tags: ["x"] });
  expect(two.get(SHA, 0)).toMatchObject({ label: "from the one", starred: true, tags: ["x"] });
  const { updated } = two.get(SHA, 0);
  expect(one.put(SHA, 0, { text: "first", seen: updated }).state).toBe("written");
  const late = two.put(SHA, 0, { text: "second", seen: updated });
  expect(late).toMatchObject({ state: "conflict", note: { text: "first" } });
  expect(one.get(SHA, 0).text).toBe("first");
  one.close();
  two.close();
});

test("every change has a later time than the one before, even within a millisecond", () => {
  const notes = openNotes(study, { now: () => 1e12 });
  const times = [1, 2, 3].map((n) => notes.put(SHA, 0, { label: String(n) }).note.updated);
  expect(new Set(times).size).toBe(3);
  expect([...times].sort()).toEqual(times);
  notes.close();
});

test("a note that says nothing any more is gone, and so is one that is removed", () => {
  const notes = openNotes(study);
  notes.put(SHA, 0, { label: "a", tags: ["t"] });
  notes.put(SHA, 1, { label: "b", tags: ["t"] });
  expect(notes.put(SHA, 0, { label: "", tags: [] }).note.updated).toBe("");
  notes.remove(SHA, 1);
  expect([notes.list(SHA), notes.tags(SHA)]).toEqual([[], []]);
  notes.close();
});

test("control, bidirectional and zero-width characters are kept to the character, U+0000 too", () => {
  const hostile = "\u0000\u0001\u001b[31m\u202e\u200b\ufeff</script>'\";DROP TABLE notes;--\r\n\u2028😀";
  const notes = openNotes(study);
  notes.put(SHA, 0, { label: hostile, text: hostile, tags: [hostile, "a\u0000b", "a\u0000c"] });
  notes.putView(SHA, { name: hostile, query: hostile });
  notes.close();
  const again = openNotes(study);
  expect(again.get(SHA, 0)).toMatchObject({
    label: hostile,
    text: hostile,
    tags: [hostile, "a\u0000b", "a\u0000c"],
  });
  expect(again.list(SHA)[0].label).toBe(hostile);
  expect(again.tags(SHA)).toHaveLength(3);
  expect(again.views(SHA)[0]).toMatchObject({ name: hostile, query: hostile });
  again.removeView(hostile);
  expect(again.views(SHA)).toEqual([]);
  again.close();
});

test("views are the study's: replaced by name, marked at another dictionary, bounded in number", () => {
  const notes = openNotes(study);
  notes.putView(SHA, { name: "claims", query: "sort=q" });
  notes.putView(SHA, { name: "claims", query: "sort=nu" });
  expect(notes.views(SHA)).toEqual([{ name: "claims", query: "sort=nu", ofOtherDictionary: false }]);
  expect(notes.views(OTHER)[0].ofOtherDictionary).toBe(true);
  const database = openDatabase(notes.path);
  database.exec("BEGIN");
  for (let i = 1; i < NOTES_LIMITS.views; i += 1)
    database.prepare("INSERT INTO views VALUES (?, '', '', '')").run(`v${i}`);
  database.exec("COMMIT");
  database.close();
  expect(notes.putView(SHA, { name: "one more", query: "" })).toBe("full");
  expect(notes.putView(SHA, { name: "claims", query: "again" })).toBe("written");
  notes.close();
});

test("measuring again leaves the notes, and a new training leaves them under the old dictionary", async () => {
  const dictionary = randomDictionary({ inferenceThreshold: 2.5, normalised: false });
  const folder = join(study, "dictionaries", "main");
  await saveDictionary(folder, dictionary);
  const store = createMemoryStore(dictionary.sites, randomDocuments(dictionary.width, 20));
  const measureAgain = (seed: number) =>
    measure({ store, dictionary, folder, tokenString: String, threads: 1, seed });
  await measureAgain(1);
  const notes = openNotes(study);
  const sha = await dictionarySha256(folder);
  notes.put(sha, 2, { label: "mine" });
  await measureAgain(2);
  expect(notes.get(await dictionarySha256(folder), 2).label).toBe("mine");
  await saveDictionary(folder, randomDictionary({ seed: 9 }));
  const trained = await dictionarySha256(folder);
  expect(trained).not.toBe(sha);
  expect(notes.list(trained)).toEqual([]);
  expect(notes.elsewhere(trained)).toEqual([{ dictionary: sha, notes: 1 }]);
  notes.close();
});

test("a newer file, another database and a damaged one are refused and left as they are", () => {
  const path = notesPath(study);
  const notes = openNotes(study);
  notes.put(SHA, 0, { label: "kept" });
  const database = openDatabase(path);
  database.exec(`PRAGMA user_version = ${NOTES_SCHEMA_VERSION + 1}`);
  expect(() => notes.get(SHA, 0)).toThrow(FormatError);
  expect(() => notes.put(SHA, 0, { label: "no" })).toThrow(/got 2/);
  expect(database.prepare("SELECT label FROM notes").get()?.label).toBe("kept");
  database.exec("PRAGMA user_version = 1; PRAGMA application_id = 7");
  expect(() => notes.get(SHA, 0)).toThrow(/another SQLite database/);
  database.close();
  notes.close();
  const words = "these are somebody's words, no database at all ".repeat(40);
  writeFileSync(path, words);
  const damaged = openNotes(study);
  expect(() => damaged.get(SHA, 0)).toThrow(FormatError);
  expect(() => damaged.put(SHA, 0, { label: "no" })).toThrow(FormatError);
  damaged.close();
});

test("a copy that was put back under a running server is the one that is read and written", () => {
  const notes = openNotes(study);
  notes.put(SHA, 0, { label: "of the copy" });
  const copy = join(study, "copy");
  copyFileSync(notes.path, copy);
  notes.put(SHA, 0, { label: "later" });
  renameSync(copy, notes.path);
  expect(notes.get(SHA, 0).label).toBe("of the copy");
  notes.put(SHA, 1, { label: "into the copy" });
  const other = openNotes(study);
  expect(other.list(SHA).map(({ label }) => label)).toEqual(["of the copy", "into the copy"]);
  other.close();
  rmSync(notes.path);
  expect(notes.list(SHA)).toEqual([]);
  expect(existsSync(notes.path)).toBe(false);
  notes.close();
});

test("a file that another process holds for too long is an error that says so, and nothing is half written", () => {
  const notes = openNotes(study, { busyMs: 20 });
  notes.put(SHA, 0, { label: "before" });
  const holder = openDatabase(notes.path);
  holder.exec("BEGIN EXCLUSIVE");
  expect(() => notes.put(SHA, 0, { label: "during" })).toThrow(StorageError);
  expect(() => notes.get(SHA, 0)).toThrow(/locked/);
  holder.exec("COMMIT");
  holder.close();
  expect(notes.put(SHA, 0, { starred: true }).note.label).toBe("before");
  notes.close();
});

test("two processes that write at once lose nothing", async () => {
  const source = fileURLToPath(new URL("./notes.ts", import.meta.url));
  const each = 12;
  const script = (name: string) => `import(${JSON.stringify(source)}).then(({ openNotes }) => {
    const notes = openNotes(${JSON.stringify(study)}, { busyMs: 20000 });
    for (let i = 0; i < ${each}; i += 1) {
      notes.put("${SHA}", 0, { "${name}": "x".repeat(i + 1) });
      notes.put("${SHA}", i + 1, { "${name}": "${name}" });
    }
    notes.close();
  });`;
  const codes = await Promise.all(
    ["label", "text"].map(
      (name) =>
        new Promise((resolve) => {
          const child = spawn(process.execPath, ["--import", "tsx", "-e", script(name)], {
            stdio: "inherit",
          });
          child.on("close", resolve);
        }),
    ),
  );
  expect(codes).toEqual([0, 0]);
  const notes = openNotes(study);
  expect(notes.get(SHA, 0)).toMatchObject({ label: "x".repeat(each), text: "x".repeat(each) });
  expect(notes.list(SHA).slice(1)).toEqual(
    Array.from({ length: each }, (_, i) =>
      expect.objectContaining({ latent: i + 1, label: "label", text: "text" }),
    ),
  );
  notes.close();
});
