// Safetensors files: opened, checked and read tensor by tensor; written as the reference library writes them.
//
// Layout: github.com/huggingface/safetensors (0.8.0): u64 header length, JSON header, data, little-endian, C order. The
// format has no checksum: a flipped bit in the data is found only by a manifest beside it (atomic.ts). Nothing is ever
// mapped or held whole; a read copies into a fresh aligned array. Little-endian machines only, as everything here.

import { dirname } from "node:path";
import { FormatError, ShapeError } from "../errors.ts";
import { bf16ToF32, f16ToF32 } from "../numerics/dtypes.ts";
import { type StreamedPart, writeFileAtomic } from "./atomic.ts";
import { disk, ensureFolder, errorCode, type FileHandle, readFully } from "./disk.ts";
import { recogniseForeignFile } from "./file-kind.ts";
import {
  elementCount,
  hasControlCharacter,
  hasLoneSurrogate,
  isSafetensorsDtype,
  MAX_HEADER_BYTES,
  parseSafetensorsHeader,
  SAFETENSORS_DTYPE_BITS,
  type SafetensorsDtype,
  type TensorInfo,
} from "./safetensors-header.ts";

export type { SafetensorsDtype, TensorInfo } from "./safetensors-header.ts";

export interface SafetensorsFile {
  path: string;
  metadata: Map<string, string>;
  /** In the order of their bytes in the file. */
  tensors: Map<string, TensorInfo>;
  warnings: string[];
  /** A tensor's bytes, little-endian, in a fresh array that starts at offset 0 of its buffer. */
  readBytes(name: string): Promise<Uint8Array>;
  /** A whole tensor as f32, any shape, C order. Reads F32, F16, BF16 and F64 (rounded); else FormatError. */
  readFloat32(name: string): Promise<Float32Array>;
  /**
   * Rows [rowStart, rowEnd) of a tensor [n, …] as f32. `target` (exactly the size of the result) is filled and returned.
   * Throws ShapeError for a scalar, a range outside [0, n] or a target of another length.
   */
  readRows(name: string, rowStart: number, rowEnd: number, target?: Float32Array): Promise<Float32Array>;
  /** Elements [start, start + target.length) in C order as f32 into `target`: what a column of a matrix is read by. */
  readElements(name: string, start: number, target: Float32Array): Promise<void>;
  /** The stored bytes of rows [rowStart, rowEnd) of the first axis, whatever their dtype; `target` must have their length. */
  readRowBytes(name: string, rowStart: number, rowEnd: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export interface TensorToWrite {
  name: string;
  dtype: SafetensorsDtype;
  shape: number[];
  /** Little-endian, C order, exactly the bytes of dtype and shape; BF16 and F16 as Uint16Array of bit patterns. */
  data: ArrayBufferView | StreamedPart;
}

/** Bytes converted at a time when the file's dtype is not f32: bounds the extra memory of a read. */
const CONVERT_BLOCK_BYTES = 2 ** 22;

/**
 * Opens a file and checks its header; no tensor is read yet. The caller closes it.
 * Throws FormatError (place, expected, got, hint) for a missing, foreign, truncated or malformed file.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const handle = await openForRead(path);
  try {
    const { header, dataStart } = await readHeader(handle, path);
    return openedFile({ path, handle, dataStart, ...header });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openForRead(path: string): Promise<FileHandle> {
  try {
    const handle = await disk.open(path, "r");
    if (!(await handle.stat()).isDirectory()) return handle;
    await handle.close();
  } catch (cause) {
    const what = errorCode(cause) === "ENOENT" ? "no such file" : errorCode(cause) || "an unreadable file";
    throw new FormatError(`${path}: expected a safetensors file, found ${what}`, {
      hint: "check the path; a checkpoint folder must hold model.safetensors or its shards",
      cause,
    });
  }
  throw new FormatError(`${path}: expected a safetensors file, found a folder`, {
    hint: "name the .safetensors file inside it",
  });
}

async function readHeader(handle: FileHandle, path: string) {
  const fileBytes = await disk.size(handle);
  const start = new Uint8Array(Math.min(32, fileBytes));
  await readFully(handle, start, 0);
  const refuse = (expected: string, got: string): FormatError => {
    const foreign = recogniseForeignFile(start);
    return foreign
      ? new FormatError(`${path}: expected a safetensors header, found ${foreign.kind}`, {
          hint: foreign.hint,
        })
      : new FormatError(`${path}: expected ${expected}, got ${got}`, {
          hint: "the file is cut short or is no safetensors file: fetch or copy it again",
        });
  };
  if (fileBytes < 8) throw refuse("at least 8 bytes of safetensors header", `a file of ${fileBytes} bytes`);
  const headerBytes = new DataView(start.buffer).getBigUint64(0, true);
  if (headerBytes > MAX_HEADER_BYTES) {
    throw refuse(
      `a safetensors header of at most ${MAX_HEADER_BYTES} bytes`,
      `a header length of ${headerBytes}`,
    );
  }
  const dataStart = 8 + Number(headerBytes);
  if (dataStart > fileBytes) {
    throw refuse(`a file that holds its ${headerBytes}-byte safetensors header`, `${fileBytes} bytes`);
  }
  const bytes = new Uint8Array(dataStart - 8);
  if ((await readFully(handle, bytes, 8)) !== bytes.length) throw refuse("a whole header", "a shorter file");
  return { header: parseSafetensorsHeader(bytes, { path, dataBytes: fileBytes - dataStart }), dataStart };
}

interface OpenedParts {
  path: string;
  handle: FileHandle;
  dataStart: number;
  metadata: Map<string, string>;
  tensors: Map<string, TensorInfo>;
  warnings: string[];
}

function openedFile({ path, handle, dataStart, metadata, tensors, warnings }: OpenedParts): SafetensorsFile {
  const find = (name: string): TensorInfo => {
    const info = tensors.get(name);
    if (info) return info;
    throw new FormatError(`${path}: expected a tensor named ${JSON.stringify(name)}, found none`, {
      hint: `the file holds ${describeNames(tensors)}`,
    });
  };
  const readRange = async (info: TensorInfo, from: number, bytes: Uint8Array): Promise<void> => {
    const got = await readFully(handle, bytes, dataStart + info.begin + from);
    if (got !== bytes.length) {
      throw new FormatError(
        `${path}: tensor ${JSON.stringify(info.name)}: expected ${bytes.length} bytes, got ${got}`,
        {
          hint: "the file was cut short while it was open: copy it again",
        },
      );
    }
  };
  /** Elements [start, start + target.length) of a tensor as f32. */
  const readElements = async (info: TensorInfo, start: number, target: Float32Array): Promise<void> => {
    if (info.dtype === "F32") {
      return readRange(info, start * 4, new Uint8Array(target.buffer, target.byteOffset, target.byteLength));
    }
    const convert = CONVERTERS.get(info.dtype);
    if (!convert) {
      throw new FormatError(
        `${path}: tensor ${JSON.stringify(info.name)}: expected dtype F32, F16, BF16 or F64, got ${info.dtype}`,
        { hint: "convert the checkpoint to one of these dtypes (quantised weights are not read)" },
      );
    }
    const elementBytes = SAFETENSORS_DTYPE_BITS[info.dtype] / 8;
    const blockElements = Math.min(target.length, CONVERT_BLOCK_BYTES / elementBytes);
    const block = new Uint8Array(blockElements * elementBytes);
    for (let done = 0; done < target.length; done += blockElements) {
      const part = target.subarray(done, done + blockElements);
      const bytes = block.subarray(0, part.length * elementBytes);
      await readRange(info, (start + done) * elementBytes, bytes);
      convert(bytes, part);
    }
  };
  const rowsOf = (info: TensorInfo, rowStart: number, rowEnd: number) => {
    const [nRows, ...rest] = info.shape;
    const place = `${path}: tensor ${JSON.stringify(info.name)}`;
    if (nRows === undefined || !(0 <= rowStart && rowStart <= rowEnd && rowEnd <= nRows)) {
      throw new ShapeError(
        `${place}: expected rows within shape [${info.shape}], got [${rowStart}, ${rowEnd})`,
      );
    }
    const rowElements = elementCount(rest) ?? 0;
    return { place, rowElements, nElements: (rowEnd - rowStart) * rowElements };
  };
  return {
    path,
    metadata,
    tensors,
    warnings,
    async readBytes(name) {
      const info = find(name);
      const bytes = allocate(info, path, (n) => new Uint8Array(n), info.end - info.begin);
      await readRange(info, 0, bytes);
      return bytes;
    },
    async readFloat32(name) {
      const info = find(name);
      const values = allocate(info, path, (n) => new Float32Array(n), elementCount(info.shape) ?? 0);
      await readElements(info, 0, values);
      return values;
    },
    async readRows(name, rowStart, rowEnd, target) {
      const info = find(name);
      const { place, rowElements, nElements } = rowsOf(info, rowStart, rowEnd);
      const values = target ?? new Float32Array(nElements);
      if (values.length !== nElements) {
        throw new ShapeError(`${place}: expected a target of ${nElements} elements, got ${values.length}`);
      }
      await readElements(info, rowStart * rowElements, values);
      return values;
    },
    async readElements(name, start, target) {
      const info = find(name);
      const size = elementCount(info.shape) ?? 0;
      if (!(Number.isInteger(start) && start >= 0 && start + target.length <= size)) {
        throw new ShapeError(
          `${path}: tensor ${JSON.stringify(name)}: expected elements within [0, ${size}), got [${start}, ${start + target.length})`,
        );
      }
      await readElements(info, start, target);
    },
    async readRowBytes(name, rowStart, rowEnd, target) {
      const info = find(name);
      const { place, rowElements, nElements } = rowsOf(info, rowStart, rowEnd);
      const elementBytes = SAFETENSORS_DTYPE_BITS[info.dtype] / 8;
      if (target.length !== nElements * elementBytes) {
        throw new ShapeError(
          `${place}: expected a target of ${nElements * elementBytes} bytes, got ${target.length}`,
        );
      }
      await readRange(info, rowStart * rowElements * elementBytes, target);
    },
    close: () => handle.close(),
  };
}

/** Bytes of one dtype, aligned at the start of their buffer, into f32. */
const CONVERTERS = new Map<SafetensorsDtype, (bytes: Uint8Array, target: Float32Array) => void>([
  ["BF16", (bytes, target) => bf16ToF32(new Uint16Array(bytes.buffer, 0, target.length), target)],
  ["F16", (bytes, target) => f16ToF32(new Uint16Array(bytes.buffer, 0, target.length), target)],
  ["F64", (bytes, target) => target.set(new Float64Array(bytes.buffer, 0, target.length))],
]);

function allocate<T>(info: TensorInfo, path: string, make: (n: number) => T, length: number): T {
  try {
    return make(length);
  } catch (cause) {
    throw new FormatError(
      `${path}: tensor ${JSON.stringify(info.name)}: expected a size this Node can hold in one array, got ${length} elements`,
      { hint: "read it by rows, or use a newer Node", cause },
    );
  }
}

function describeNames(tensors: Map<string, TensorInfo>): string {
  const names = [...tensors.keys()].slice(0, 6).map((name) => JSON.stringify(name));
  if (names.length === 0) return "no tensors";
  return tensors.size > names.length
    ? `${names.join(", ")} and ${tensors.size - names.length} more`
    : names.join(", ");
}

/**
 * Writes a file as the reference writer does (wider dtypes first, then names by their UTF-8 bytes; header padded to 8),
 * through a temporary file, fsync and rename: the path holds the old file or the whole new one.
 *
 * Throws FormatError for a name or dtype that no reader would take, ShapeError when data and shape disagree, StorageError
 * from the disk.
 */
export async function writeSafetensors(
  path: string,
  tensors: TensorToWrite[],
  metadata?: Record<string, string>,
): Promise<void> {
  const ordered = orderTensors(path, tensors);
  const header: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  let begin = 0;
  for (const { name, dtype, shape, data } of ordered) {
    header.push([name, { dtype, shape, data_offsets: [begin, begin + data.byteLength] }]);
    begin += data.byteLength;
  }
  // Built by hand, not from an object: names such as "7" would move and "__proto__" would vanish.
  const members = header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = Buffer.from(`{${members.join(",")}}`);
  const padded = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  padded.writeBigUInt64LE(BigInt(padded.length - 8), 0);
  padded.set(json, 8);
  if (padded.length - 8 > MAX_HEADER_BYTES) {
    throw new FormatError(
      `${path}: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${json.length}`,
    );
  }
  await ensureFolder(dirname(path));
  await writeFileAtomic(path, [padded, ...ordered.map(({ data }) => data)]);
}

const DTYPE_ORDER = new Map(Object.keys(SAFETENSORS_DTYPE_BITS).map((dtype, i) => [dtype, i]));

function orderTensors(path: string, tensors: TensorToWrite[]): TensorToWrite[] {
  const seen = new Set<string>();
  for (const { name, dtype, shape, data } of tensors) {
    const place = `${path}: tensor ${JSON.stringify(name)}`;
    if (name === "" || name === "__metadata__" || hasControlCharacter(name) || hasLoneSurrogate(name)) {
      throw new FormatError(`${place}: expected a printable name other than "__metadata__"`);
    }
    if (seen.has(name)) throw new FormatError(`${place}: expected unique names, got this one twice`);
    seen.add(name);
    if (!isSafetensorsDtype(dtype))
      throw new FormatError(`${place}: expected a safetensors dtype, got ${dtype}`);
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new ShapeError(`${place}: expected sizes ≥ 0, got [${shape}]`);
    }
    const bits = (elementCount(shape) ?? Number.NaN) * SAFETENSORS_DTYPE_BITS[dtype];
    if (data.byteLength * 8 !== bits) {
      throw new ShapeError(
        `${place}: expected ${bits / 8} bytes for ${dtype} [${shape}], got ${data.byteLength}`,
      );
    }
  }
  const order = (dtype: string): number => DTYPE_ORDER.get(dtype) ?? 0;
  return [...tensors].sort(
    (a, b) => order(b.dtype) - order(a.dtype) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
}
