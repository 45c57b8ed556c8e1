// JSON Lines, plain or gzipped (by the name's .gz): read as a stream with line numbers, appended line by line.
//
// A torn last line, left by a crash while appending, is cut off by the next append. UTF-8 is checked, a byte order mark
// and CRLF are taken, empty lines are skipped. What the values mean is the caller's business.

import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { FormatError } from "../errors.ts";
import { asStorageError, errorCode, readFully, writeFully } from "./disk.ts";

export interface JsonLine {
  /** 1-based. */
  line: number;
  value: unknown;
}

export interface ReadJsonLinesOptions {
  /** Longest line taken, in bytes. Default 64 MiB. */
  maxLineBytes?: number;
  /** Pass over a last line that has no line end and is not whole: what a crash while appending leaves. Default false. */
  tolerateTornEnd?: boolean;
}

const DEFAULT_MAX_LINE_BYTES = 2 ** 26;

/**
 * Yields the values of a file in order, holding one line at a time.
 * Throws FormatError naming file and line: missing file, not JSON, not UTF-8, line too long, gzip cut short.
 */
export async function* readJsonLines(
  path: string,
  options: ReadJsonLinesOptions = {},
): AsyncGenerator<JsonLine> {
  const maxLineBytes = options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES;
  for await (const { line, bytes, ended } of splitLines(path, maxLineBytes)) {
    let value: unknown;
    try {
      value = parseLine(bytes, line === 1);
    } catch (cause) {
      if (!ended && options.tolerateTornEnd) return;
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new FormatError(`${path}:${line}: expected one JSON value, got ${what}`, {
        hint: ended ? "correct or delete that line" : "the last line is incomplete: complete or delete it",
        cause,
      });
    }
    if (value !== undefined) yield { line, value };
  }
}

/** All values of a file, without line numbers. */
export async function readJsonLinesArray(path: string, options?: ReadJsonLinesOptions): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const { value } of readJsonLines(path, options)) values.push(value);
  return values;
}

/** undefined for an empty line, which JSON cannot say otherwise. */
function parseLine(bytes: Uint8Array, isFirst: boolean): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error("bytes that are not UTF-8");
  }
  if (isFirst && text.startsWith("\uFEFF")) text = text.slice(1);
  return text.trim() === "" ? undefined : JSON.parse(text);
}

interface RawLine {
  line: number;
  /** Without the line end's \n; a \r stays and is white space to JSON. */
  bytes: Uint8Array;
  /** False for a last line without \n. */
  ended: boolean;
}

async function* splitLines(path: string, maxLineBytes: number): AsyncGenerator<RawLine> {
  let line = 1;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const take = (part: Uint8Array): void => {
    pendingBytes += part.length;
    if (pendingBytes > maxLineBytes) {
      throw new FormatError(`${path}:${line}: expected a line of at most ${maxLineBytes} bytes, got more`, {
        hint: "the file must hold one JSON document a line, not one array over many lines",
      });
    }
    pending.push(part);
  };
  const flush = (): Uint8Array => {
    const bytes = pending.length === 1 ? pending[0] : Buffer.concat(pending);
    pending = [];
    pendingBytes = 0;
    return bytes;
  };
  for await (const chunk of readChunks(path)) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      take(chunk.subarray(start, end));
      yield { line, bytes: flush(), ended: true };
      line += 1;
      start = end + 1;
    }
    if (start < chunk.length) take(chunk.subarray(start));
  }
  if (pendingBytes > 0) yield { line, bytes: flush(), ended: false };
}

async function* readChunks(path: string): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path);
  const gunzip = path.endsWith(".gz") ? createGunzip() : undefined;
  if (gunzip) {
    file.on("error", (error) => gunzip.destroy(error));
    file.pipe(gunzip);
  }
  try {
    for await (const chunk of gunzip ?? file) yield chunk;
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    const code = errorCode(cause);
    const missing = code === "ENOENT" || code === "ENOTDIR";
    const got = missing ? "found none" : code === "EISDIR" ? "found a folder" : `got ${String(cause)}`;
    throw new FormatError(`${path}: expected a readable ${gunzip ? "gzipped " : ""}JSON Lines file, ${got}`, {
      hint: missing ? "check the path" : "the file may be cut short: fetch or write it again",
      cause,
    });
  } finally {
    file.destroy();
    gunzip?.destroy();
  }
}

/** How far back a torn line is looked for. */
const TAIL_BYTES = 2 ** 26;

/**
 * Appends one value as a line and flushes it to the disk; makes the file when there is none. One writer at a time.
 * A last line without its end is completed when it is whole JSON and cut off when it is not. Throws StorageError.
 */
export async function appendJsonLine(path: string, value: unknown): Promise<void> {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  try {
    const handle = await open(path, "a+").then(async (made) => {
      await made.close(); // "a" ignores positions on Linux; "r+" does not create.
      return open(path, "r+");
    });
    try {
      let { size } = await handle.stat();
      const tail = new Uint8Array(Math.min(size, TAIL_BYTES));
      const lastByte = new Uint8Array(1);
      if (size > 0) await readFully(handle, lastByte, size - 1);
      if (size > 0 && lastByte[0] !== 10) {
        await readFully(handle, tail, size - tail.length);
        const lineStart = tail.lastIndexOf(10) + 1;
        if (isJson(tail.subarray(lineStart))) {
          await writeFully(handle, Buffer.from("\n"), { path, position: size });
          size += 1;
        } else {
          size -= tail.length - lineStart;
          await handle.truncate(size);
        }
      }
      await writeFully(handle, bytes, { path, position: size });
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asStorageError(error, { path, bytes: bytes.length });
  }
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString());
    return true;
  } catch {
    return false;
  }
}
