// manifest.json of a committed folder: what files it holds, with sums that catch any changed byte.
//
// Per file: size, CRC32 of every 1 MiB block (fast: checked on each first read) and SHA-256 (slow: identity across
// machines). JSON written here is sealed: it carries the CRC32 of its own text and is read back only in exactly that text.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { disk, errorCode, readFully } from "./disk.ts";

export const MANIFEST_NAME = "manifest.json";
export const BLOCK_BYTES = 2 ** 20;
const MAX_JSON_BYTES = 250_000_000;

const manifestSchema = z.object({
  schemaVersion: z.literal(1),
  files: z.array(
    z.object({
      /** Relative to the folder, "/" between parts. */
      name: z.string().refine((name) => isInsideName(name), "a relative path inside the folder"),
      bytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      /** One for each block of BLOCK_BYTES, the last one shorter. */
      crc32: z.array(z.int().nonnegative()),
    }),
  ),
  details: z.record(z.string(), z.unknown()),
});

export type FolderManifest = z.infer<typeof manifestSchema>;
export type FileEntry = FolderManifest["files"][number];

function isInsideName(name: string): boolean {
  return (
    name !== "" && !/[\\:\0]/.test(name) && name.split("/").every((part) => !["", ".", ".."].includes(part))
  );
}

/** Size and sums of one file, read once. */
export async function describeFile(folder: string, name: string): Promise<FileEntry> {
  const sha256 = createHash("sha256");
  const sums: number[] = [];
  let bytes = 0;
  await eachBlock(join(folder, name), (block) => {
    sha256.update(block);
    sums.push(crc32(block));
    bytes += block.length;
  });
  return { name, bytes, sha256: sha256.digest("hex"), crc32: sums };
}

async function eachBlock(path: string, visit: (block: Uint8Array, index: number) => void): Promise<void> {
  const handle = await disk.open(path, "r");
  try {
    const block = new Uint8Array(BLOCK_BYTES);
    for (let index = 0; ; index += 1) {
      const bytes = await readFully(handle, block, index * BLOCK_BYTES);
      if (bytes > 0) visit(block.subarray(0, bytes), index);
      if (bytes < BLOCK_BYTES) return;
    }
  } finally {
    await disk.close(handle);
  }
}

/**
 * The manifest of a committed folder.
 * Throws FormatError when it is missing (the folder was never committed), damaged or of another version.
 */
export async function readManifest(folder: string): Promise<FolderManifest> {
  const path = join(folder, MANIFEST_NAME);
  const parsed = manifestSchema.safeParse(await readSealedJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError(`${path}: ${issue.path.join(".")}: ${issue.message}`, {
    hint: "the folder was written by another version or by something else: make it again",
  });
}

/**
 * Reads every file of a committed folder against its manifest.
 * Returns the manifest. Throws FormatError naming the file and the block (of 1 MiB, from 0) that differs.
 */
export async function verifyFolder(folder: string): Promise<FolderManifest> {
  const manifest = await readManifest(folder);
  for (const entry of manifest.files) await verifyFile(folder, entry);
  return manifest;
}

/**
 * Committed folders at or below `path`, sorted; temporaries and quarantined folders are passed over. A folder whose
 * manifest is damaged is among them, so that verifyFolder can say what is wrong.
 */
export async function findCommittedFolders(path: string): Promise<string[]> {
  const entries = await disk.list(path);
  const found: string[] = [];
  if (entries.some(({ name }) => name === MANIFEST_NAME) && !(await isOtherManifest(path))) found.push(path);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory() || /\.(tmp|old|bad)-/.test(entry.name)) continue;
    found.push(...(await findCommittedFolders(join(path, entry.name))));
  }
  return found;
}

/** A store's own manifest.json is sealed too and lists sites, not files. */
async function isOtherManifest(folder: string): Promise<boolean> {
  try {
    return !("files" in (await readSealedJson(join(folder, MANIFEST_NAME))));
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

async function verifyFile(folder: string, entry: FileEntry): Promise<void> {
  const path = join(folder, entry.name);
  const hint =
    "the file changed after it was written (bad disk, or edited): move the folder away and run again";
  let bytes = 0;
  try {
    await eachBlock(path, (block, index) => {
      bytes += block.length;
      const sum = crc32(block);
      if (index < entry.crc32.length && sum !== entry.crc32[index]) {
        throw new FormatError(
          `${path}: block ${index}: expected CRC32 ${hex(entry.crc32[index])}, got ${hex(sum)}`,
          {
            hint,
          },
        );
      }
    });
  } catch (cause) {
    if (errorCode(cause) !== "ENOENT") throw cause;
    throw new FormatError(`${path}: expected a file of ${entry.bytes} bytes, found none`, { hint, cause });
  }
  if (bytes !== entry.bytes || entry.crc32.length !== Math.ceil(entry.bytes / BLOCK_BYTES)) {
    throw new FormatError(`${path}: expected ${entry.bytes} bytes, got ${bytes}`, { hint });
  }
}

const hex = (sum: number): string => sum.toString(16).padStart(8, "0");

/** JSON text that carries the CRC32 of itself, for readSealedJson. `value` must be plain JSON data. */
export function sealJson(value: object): string {
  const plain = JSON.parse(JSON.stringify(value));
  return sealedText(plain, hex(crc32(JSON.stringify(plain))));
}

function sealedText(value: object, sum: string): string {
  return `${JSON.stringify({ ...value, sealCrc32: sum }, null, 1)}\n`;
}

/** Reads JSON made by sealJson. Throws FormatError when it is missing, too large, or not byte for byte as written. */
export async function readSealedJson(path: string): Promise<Record<string, unknown>> {
  const text = await readText(path);
  const refuse = (got: string): FormatError =>
    new FormatError(`${path}: expected JSON exactly as tunediff wrote it, got ${got}`, {
      hint: "the file changed after it was written (bad disk, or edited): move its folder away and run again",
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse("text that is not JSON");
  }
  if (typeof value !== "object" || value === null || !("sealCrc32" in value))
    throw refuse("JSON without a seal");
  const { sealCrc32, ...rest } = value;
  const sum = hex(crc32(JSON.stringify(rest)));
  if (sealCrc32 !== sum || sealedText(rest, sum) !== text) throw refuse("changed text");
  return rest;
}

async function readText(path: string): Promise<string> {
  try {
    const handle = await disk.open(path, "r");
    try {
      const size = await disk.size(handle);
      if (size > MAX_JSON_BYTES) {
        throw new FormatError(`${path}: expected at most ${MAX_JSON_BYTES} bytes, got ${size}`);
      }
      const bytes = new Uint8Array(size);
      const read = await readFully(handle, bytes, 0);
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, read));
    } finally {
      await disk.close(handle);
    }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const missing = errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR";
    throw new FormatError(`${path}: expected a readable file, found ${missing ? "none" : String(cause)}`, {
      hint: missing ? "the folder was never finished: run the command that makes it again" : "check the disk",
      cause,
    });
  }
}
