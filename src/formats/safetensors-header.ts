// The JSON header of a safetensors file, read by a strict lexer of its own and checked against the file's size.
//
// Layout: github.com/huggingface/safetensors (0.8.0). JSON.parse would let duplicate names, 2.0 as a dimension, rounded
// integers and lone surrogates pass; this one refuses them. It accepts nothing that the reference refuses, and refuses a
// few things the reference lets through (duplicate names, entries written as arrays, empty names): see the table in
// safetensors-header.test.ts. Nothing here touches a file.

import { FormatError } from "../errors.ts";

/** Bits an element takes, in the order in which the reference declares (and therefore sorts) its dtypes. */
export const SAFETENSORS_DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;
export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPE_BITS;

export interface TensorInfo {
  name: string;
  dtype: SafetensorsDtype;
  /** Empty for a scalar. */
  shape: number[];
  /** Byte range relative to the start of the data, end exclusive. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  metadata: Map<string, string>;
  /** In the order of their bytes in the file. */
  tensors: Map<string, TensorInfo>;
  /** Things that are legal and odd: unknown fields. */
  warnings: string[];
}

export const MAX_HEADER_BYTES = 25_000_000;
/** Far above what one shard of any published model holds; more would take seconds to look at. */
const MAX_TENSORS = 200_000;
const MAX_RANK = 16;
const MAX_DIMENSION = 2 ** 48;
const MAX_DEPTH = 4;
const MAX_WARNINGS = 20;

export function isSafetensorsDtype(name: string): name is SafetensorsDtype {
  return Object.hasOwn(SAFETENSORS_DTYPE_BITS, name);
}

/** Elements of a shape. Returns undefined when the product leaves the safe integers. */
export function elementCount(shape: readonly number[]): number | undefined {
  let product = 1;
  for (const size of shape) {
    product *= size;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

/**
 * Reads and checks a header.
 *
 * bytes: exactly the header (the N bytes after the length word). dataBytes: size of the file less 8 less N.
 * Throws FormatError naming path, byte offset or tensor.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  { path, dataBytes }: { path: string; dataBytes: number },
): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${path}: expected a UTF-8 header, got bytes that are not UTF-8`, { cause });
  }
  const header = new HeaderLexer(text, path).read();
  return { ...header, tensors: checkRanges(header.tensors, { path, dataBytes }) };
}

/** Ranges must follow one another without hole or overlap from 0 to the end of the data, each as long as its shape says. */
function checkRanges(
  tensors: Map<string, TensorInfo>,
  { path, dataBytes }: { path: string; dataBytes: number },
): Map<string, TensorInfo> {
  const ordered = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expectedBegin = 0;
  for (const { name, dtype, shape, begin, end } of ordered) {
    const place = `${path}: tensor ${JSON.stringify(name)}`;
    if (begin !== expectedBegin || end < begin) {
      throw new FormatError(`${place}: expected data to begin at ${expectedBegin}, got [${begin}, ${end}]`);
    }
    const elements = elementCount(shape);
    const bits = elements === undefined ? undefined : elementCount([elements, SAFETENSORS_DTYPE_BITS[dtype]]);
    if (bits === undefined) {
      throw new FormatError(`${place}: expected a size below 2^53 bits, got shape [${shape}]`);
    }
    if (bits % 8 !== 0) {
      throw new FormatError(`${place}: expected whole bytes, got ${bits} bits (${dtype}, shape [${shape}])`);
    }
    if (end - begin !== bits / 8) {
      throw new FormatError(
        `${place}: expected ${bits / 8} bytes for ${dtype} of shape [${shape}], got ${end - begin}`,
      );
    }
    expectedBegin = end;
  }
  if (expectedBegin !== dataBytes) {
    throw new FormatError(`${path}: expected ${expectedBegin} bytes of tensor data, got ${dataBytes}`, {
      hint:
        dataBytes < expectedBegin
          ? "the file is cut short: fetch or copy it again"
          : "the file has foreign bytes at its end: fetch or copy it again",
    });
  }
  return new Map(ordered.map((info) => [info.name, info]));
}

const UNSIGNED = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const UNICODE_ESCAPE = /u[0-9a-fA-F]{4}/y;
const SHORT_ESCAPE = /["\\/bfnrt]/y;
const LITERAL = /true|false|null/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** A JSON reader for this one grammar: depth at most 4, no duplicate key anywhere, unsigned integers only. */
class HeaderLexer {
  private at = 0;
  private readonly text: string;
  private readonly path: string;
  private readonly warnings: string[] = [];

  constructor(text: string, path: string) {
    this.text = text;
    this.path = path;
  }

  read(): SafetensorsHeader {
    const tensors = new Map<string, TensorInfo>();
    const found: { metadata?: Map<string, string> } = {};
    this.object((key) => {
      if (key === "__metadata__") {
        if (found.metadata) this.fail("one __metadata__", "a second one");
        const entries = new Map<string, string>();
        this.object((name) => {
          if (entries.has(name)) this.fail("unique metadata keys", `${JSON.stringify(name)} twice`);
          entries.set(name, this.string());
        });
        found.metadata = entries;
        return;
      }
      if (tensors.has(key)) this.fail("unique tensor names", `${JSON.stringify(key)} twice`);
      if (tensors.size >= MAX_TENSORS) this.fail(`at most ${MAX_TENSORS} tensors`, "more");
      if (key === "" || hasControlCharacter(key)) this.fail("a printable tensor name", JSON.stringify(key));
      tensors.set(key, this.tensor(key));
    });
    this.space();
    if (this.at !== this.text.length) this.fail("nothing after the header object", this.found());
    return { metadata: found.metadata ?? new Map(), tensors, warnings: this.warnings };
  }

  private tensor(name: string): TensorInfo {
    const place = `tensor ${JSON.stringify(name)}`;
    const entry: { dtype?: SafetensorsDtype; shape?: number[]; offsets?: number[] } = {};
    const seen = new Set<string>();
    this.object((field) => {
      if (seen.has(field)) this.fail(`unique fields in ${place}`, `${JSON.stringify(field)} twice`);
      seen.add(field);
      if (field === "dtype") {
        const word = this.string();
        if (!isSafetensorsDtype(word)) this.fail(`a safetensors dtype in ${place}`, JSON.stringify(word));
        entry.dtype = word;
      } else if (field === "shape") {
        entry.shape = this.integers({ atMost: MAX_RANK, what: `shape of ${place}` });
        const large = entry.shape.find((size) => size > MAX_DIMENSION);
        if (large !== undefined) this.fail(`dimensions of ${place} up to 2^48`, String(large));
      } else if (field === "data_offsets") {
        entry.offsets = this.integers({ atMost: 2, what: `data_offsets of ${place}` });
        if (entry.offsets.length !== 2) {
          this.fail(`two data_offsets in ${place}`, String(entry.offsets.length));
        }
      } else {
        this.skipValue(3);
        if (this.warnings.length < MAX_WARNINGS) {
          this.warnings.push(`${this.path}: ${place}: unknown field ${JSON.stringify(field)} ignored`);
        }
      }
    });
    const { dtype, shape, offsets } = entry;
    if (!dtype || !shape || !offsets) {
      const missing = !dtype ? "dtype" : !shape ? "shape" : "data_offsets";
      return this.fail(`${missing} in ${place}`, "none");
    }
    return { name, dtype, shape, begin: offsets[0], end: offsets[1] };
  }

  private object(member: (key: string) => void): void {
    this.expect("{");
    this.space();
    if (this.take("}")) return;
    for (;;) {
      this.space();
      const key = this.string();
      this.expect(":");
      this.space();
      member(key);
      this.space();
      if (this.take("}")) return;
      this.expect(",");
    }
  }

  private array(element: () => void): void {
    this.expect("[");
    this.space();
    if (this.take("]")) return;
    for (;;) {
      this.space();
      element();
      this.space();
      if (this.take("]")) return;
      this.expect(",");
    }
  }

  private integers({ atMost, what }: { atMost: number; what: string }): number[] {
    const values: number[] = [];
    this.array(() => {
      if (values.length === atMost) this.fail(`at most ${atMost} numbers in ${what}`, "more");
      values.push(this.unsignedInteger(what));
    });
    return values;
  }

  private unsignedInteger(what: string): number {
    const digits = this.match(UNSIGNED);
    if (digits === undefined) return this.fail(`an unsigned integer in ${what}`, this.found());
    const value = Number(digits);
    if (digits.length > 16 || !Number.isSafeInteger(value)) {
      this.fail(`an integer up to 2^53 - 1 in ${what}`, digits.slice(0, 40));
    }
    return value;
  }

  private string(): string {
    this.space();
    if (!this.take('"')) this.fail("a string", this.found());
    let value = "";
    for (;;) {
      const start = this.at;
      while (isPlainCharacter(this.text.charCodeAt(this.at))) this.at += 1;
      value += this.text.slice(start, this.at);
      if (this.take('"')) break;
      if (!this.take("\\")) this.fail("the end of a string", this.found());
      value += this.escape();
    }
    // Raw text cannot hold lone surrogates (the UTF-8 was checked); escapes can.
    if (hasLoneSurrogate(value))
      this.fail("paired surrogates in a string", JSON.stringify(value).slice(0, 60));
    return value;
  }

  private escape(): string {
    const hex = this.match(UNICODE_ESCAPE);
    if (hex) return String.fromCharCode(Number.parseInt(hex.slice(1), 16));
    const short = this.match(SHORT_ESCAPE);
    if (!short) return this.fail("an escape", this.found());
    const control = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }[short];
    return control ?? short;
  }

  /** Any JSON value, read and thrown away; containers deeper than the cap are refused. */
  private skipValue(depth: number): void {
    this.space();
    const first = this.text[this.at];
    if ((first === "{" || first === "[") && depth > MAX_DEPTH)
      this.fail(`nesting up to ${MAX_DEPTH}`, "more");
    if (first === "{") {
      const seen = new Set<string>();
      this.object((key) => {
        if (seen.has(key)) this.fail("unique keys", `${JSON.stringify(key)} twice`);
        seen.add(key);
        this.skipValue(depth + 1);
      });
    } else if (first === "[") this.array(() => this.skipValue(depth + 1));
    else if (first === '"') this.string();
    else if (this.match(LITERAL) === undefined) {
      const number = this.match(NUMBER);
      if (number === undefined || !Number.isFinite(Number(number))) this.fail("a JSON value", this.found());
    }
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const text = pattern.exec(this.text)?.[0];
    if (text !== undefined) this.at += text.length;
    return text;
  }

  private space(): void {
    while (" \n\r\t".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private expect(character: string): void {
    this.space();
    if (!this.take(character)) this.fail(`"${character}"`, this.found());
  }

  private found(): string {
    return this.at >= this.text.length ? "the end" : JSON.stringify(this.text.slice(this.at, this.at + 12));
  }

  private fail(expected: string, got: string): never {
    // Offset in characters of the header; equal to bytes for ASCII headers, which nearly all are.
    throw new FormatError(`${this.path}: header offset ${this.at}: expected ${expected}, got ${got}`);
  }
}

/** Not a quote, a backslash, a control character or (NaN) the end of the text. */
function isPlainCharacter(code: number): boolean {
  return code >= 0x20 && code !== 0x22 && code !== 0x5c;
}

/** True when a string cannot be written as UTF-8. */
export function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** True when a name holds NUL, another C0 control or DEL. */
export function hasControlCharacter(name: string): boolean {
  for (let i = 0; i < name.length; i += 1) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
