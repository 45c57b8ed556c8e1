// Random valid safetensors files, and valid ones damaged at random: what comes back is exact, or refused in words.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "./safetensors.ts";
import {
  isSafetensorsDtype,
  parseSafetensorsHeader,
  SAFETENSORS_DTYPE_BITS,
  type SafetensorsDtype,
  type TensorInfo,
} from "./safetensors-header.ts";

const folder = mkdtempSync(join(tmpdir(), "safetensors-mutants-"));
afterAll(() => rmSync(folder, { recursive: true }));

const DTYPES = Object.keys(SAFETENSORS_DTYPE_BITS) as SafetensorsDtype[];

const tensorName = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }),
    fc.constantFrom("__proto__", "constructor", "toString", "7", "\u202e", "a/../b", "\u{1f600}", 'quote"\\'),
  )
  .filter((name) => name !== "__metadata__" && !/[\p{Cc}]/u.test(name));

/** Ranks 0 to 16, sizes 0 to 3 and mostly 1, so that sixteen axes stay small. */
const axis = fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(3) });
const shape = fc.nat(16).chain((rank) => fc.array(axis, { minLength: rank, maxLength: rank }));

/** Whole bytes: a size that ends inside one gets a last axis of 8. */
const described = fc
  .record({ name: tensorName, dtype: fc.constantFrom(...DTYPES), shape })
  .map(({ name, dtype, shape: axes }) => {
    const bits = axes.reduce((a, b) => a * b, 1) * SAFETENSORS_DTYPE_BITS[dtype];
    return bits % 8 === 0
      ? { name, dtype, shape: axes, bytes: bits / 8 }
      : {
          name,
          dtype,
          shape: [...axes.slice(0, 15), 8],
          bytes: (8 * SAFETENSORS_DTYPE_BITS[dtype] * count(axes.slice(0, 15))) / 8,
        };
  });
const tensors = fc.uniqueArray(described, { selector: ({ name }) => name, maxLength: 6 });
const metadata = fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), {
  maxKeys: 3,
});

function count(axes: number[]): number {
  return axes.reduce((a, b) => a * b, 1);
}

/** A header in any legal spelling: order of entries and fields, spaces, escapes. */
function spell(infos: TensorInfo[], text: Map<string, string>, wild: () => number): string {
  const space = (): string => [" ", "", "\n", "\t\r", ""][wild() % 5];
  const string = (value: string): string =>
    wild() % 2 === 0
      ? JSON.stringify(value)
      : `"${Array.from({ length: value.length }, (_, i) => `\\u${value.charCodeAt(i).toString(16).padStart(4, "0")}`).join("")}"`;
  const list = (values: string[], [open, close]: string): string =>
    `${open}${space()}${values.join(`${space()},${space()}`)}${space()}${close}`;
  const member = (key: string, value: string): string => `${string(key)}${space()}:${space()}${value}`;
  const shuffled = <T>(values: T[]): T[] =>
    values
      .map((value) => ({ value, key: wild() }))
      .sort((a, b) => a.key - b.key)
      .map(({ value }) => value);
  const entries = infos.map(({ name, dtype, shape: axes, begin, end }) =>
    member(
      name,
      list(
        shuffled([
          member("dtype", string(dtype)),
          member("shape", list(axes.map(String), "[]")),
          member("data_offsets", list([begin, end].map(String), "[]")),
        ]),
        "{}",
      ),
    ),
  );
  const extra = member(
    "__metadata__",
    list(
      [...text].map(([key, value]) => member(key, string(value))),
      "{}",
    ),
  );
  return `${space()}${list(shuffled([...entries, extra]), "{}")}${space()}`;
}

test("a valid header in any spelling gives exactly its values: all dtypes, ranks 0 to 16, empty axes, any name", () => {
  const seen = { dtypes: new Set<string>(), ranks: new Set<number>(), empty: 0 };
  fc.assert(
    fc.property(tensors, metadata, fc.infiniteStream(fc.nat(1000)), (list, text, stream) => {
      let at = 0;
      const infos = list.map(({ name, dtype, shape: axes, bytes }): TensorInfo => {
        seen.dtypes.add(dtype);
        seen.ranks.add(axes.length);
        if (bytes === 0) seen.empty += 1;
        at += bytes;
        return { name, dtype, shape: axes, begin: at - bytes, end: at };
      });
      const wanted = new Map(Object.entries(text));
      const header = parseSafetensorsHeader(
        Buffer.from(spell(infos, wanted, () => stream.next().value as number)),
        {
          path: "x",
          dataBytes: at,
        },
      );
      expect(new Map([...header.tensors].sort())).toEqual(
        new Map(infos.map((info): [string, TensorInfo] => [info.name, info]).sort()),
      );
      expect(header.metadata).toEqual(wanted);
      expect(header.warnings).toEqual([]);
    }),
    { numRuns: 600, seed: 11 },
  );
  expect(seen.dtypes.size).toBe(22);
  expect(seen.ranks.size).toBe(17);
  expect(seen.empty).toBeGreaterThan(20);
});

test("what the writer writes comes back byte for byte, sub-byte dtypes included", async () => {
  const path = join(folder, "round.safetensors");
  await fc.assert(
    fc.asyncProperty(tensors, metadata, async (list, text) => {
      const written = list.map(
        ({ name, dtype, shape: axes, bytes }, t): TensorToWrite => ({
          name,
          dtype,
          shape: axes,
          data: Uint8Array.from({ length: bytes }, (_, i) => i * 7 + t),
        }),
      );
      await writeSafetensors(path, written, text);
      const file = await openSafetensors(path);
      expect([...file.tensors.keys()].sort()).toEqual(list.map(({ name }) => name).sort());
      for (const { name, dtype, shape: axes, data } of written) {
        expect(file.tensors.get(name)).toMatchObject({ dtype, shape: axes });
        expect(await file.readBytes(name)).toEqual(data);
      }
      expect(file.metadata).toEqual(new Map(Object.entries(text)));
      await file.close();
    }),
    { numRuns: 100, seed: 12 },
  );
});

/** One blow to a file: bytes flipped, cut, copied elsewhere, or a number of the header changed. */
type Blow = (bytes: Buffer) => Buffer;
const blow: fc.Arbitrary<Blow> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(7)).map(
    ([at, bit]): Blow =>
      (bytes) => {
        const copy = Buffer.from(bytes);
        if (copy.length > 0) copy[at % copy.length] ^= 1 << bit;
        return copy;
      },
  ),
  fc.nat().map(
    (at): Blow =>
      (bytes) =>
        bytes.subarray(0, at % (bytes.length + 1)),
  ),
  fc.tuple(fc.nat(), fc.nat(), fc.nat(40)).map(
    ([from, to, length]): Blow =>
      (bytes) => {
        const start = from % (bytes.length + 1);
        const place = to % (bytes.length + 1);
        const piece = bytes.subarray(start, start + length);
        return Buffer.concat([bytes.subarray(0, place), piece, bytes.subarray(place)]);
      },
  ),
  fc
    .tuple(
      fc.nat(),
      fc.constantFrom(
        "0",
        "1",
        "7",
        "16",
        "-1",
        "01",
        "1e3",
        "9007199254740992",
        "18446744073709551615",
        "281474976710656",
      ),
      fc.boolean(),
    )
    .map(
      ([which, number, isLengthMended]): Blow =>
        (bytes) => {
          const headerEnd = Math.min(
            bytes.length,
            8 + Number(bytes.length >= 8 ? bytes.readBigUInt64LE(0) : 0n),
          );
          const header = bytes.subarray(8, headerEnd).toString("latin1");
          const numbers = [...header.matchAll(/\d+/g)];
          if (numbers.length === 0) return bytes;
          const { index, 0: old } = numbers[which % numbers.length];
          const changed = Buffer.from(
            header.slice(0, index) + number + header.slice(index + old.length),
            "latin1",
          );
          const length = Buffer.alloc(8);
          length.writeBigUInt64LE(BigInt(isLengthMended ? changed.length : headerEnd - 8));
          return Buffer.concat([length, changed, bytes.subarray(headerEnd)]);
        },
    ),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(
    (length): Blow =>
      (bytes) => {
        const copy = Buffer.from(bytes);
        if (copy.length >= 8) copy.writeBigUInt64LE(length);
        return copy;
      },
  ),
);

/** What must hold of anything that was accepted, checked apart from the reader: every byte has one owner. */
function faultsOf(found: Map<string, TensorInfo>, fileBytes: number, dataStart: number): string[] {
  const faults: string[] = [];
  const owners = new Uint8Array(fileBytes - dataStart);
  for (const [key, { name, dtype, shape: axes, begin, end }] of found) {
    const bits = axes.reduce(
      (product, size) => product * BigInt(size),
      BigInt(SAFETENSORS_DTYPE_BITS[dtype] ?? 0),
    );
    if (key !== name || name === "" || !isSafetensorsDtype(dtype) || axes.length > 16) faults.push(name);
    if (BigInt(end - begin) * 8n !== bits || end > owners.length) faults.push(`${name}: ${begin} to ${end}`);
    for (let i = begin; i < Math.min(end, owners.length); i += 1) owners[i] += 1;
  }
  if (!owners.every((n) => n === 1)) faults.push("bytes without or with two owners");
  return faults;
}

test("damaged files are refused as FormatErrors or read as sound ones: nothing crashes, hangs, pollutes or balloons", async () => {
  const path = join(folder, "mutant.safetensors");
  const seeds = await Promise.all(
    fc.sample(fc.tuple(tensors, metadata), { numRuns: 25, seed: 13 }).map(async ([list, text], s) => {
      const seedPath = join(folder, `seed-${s}.safetensors`);
      const written = list.map(({ bytes, ...rest }) => ({ ...rest, data: new Uint8Array(bytes).fill(s) }));
      await writeSafetensors(seedPath, written, text);
      return readFileSync(seedPath);
    }),
  );
  const keysBefore = Reflect.ownKeys(Object.prototype).length;
  const verdicts = { accepted: 0, refused: 0 };
  let mostBytes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(blow, { minLength: 1, maxLength: 3 }),
      async (seed, blows) => {
        let bytes: Buffer = seed;
        for (const strike of blows) bytes = strike(bytes);
        writeFileSync(path, bytes);
        const before = process.memoryUsage().arrayBuffers;
        try {
          const file = await openSafetensors(path);
          mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
          const dataStart = 8 + Number(bytes.readBigUInt64LE(0));
          const faults = faultsOf(file.tensors, bytes.length, dataStart);
          for (const [name, { begin, end }] of file.tensors) {
            if (!bytes.subarray(dataStart + begin, dataStart + end).equals(await file.readBytes(name)))
              faults.push(`${name}: content`);
          }
          await file.close();
          expect(faults).toEqual([]);
          verdicts.accepted += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as Error).message).toContain(path);
          mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers - before);
          verdicts.refused += 1;
        }
      },
    ),
    { numRuns: 1500, seed: 14 },
  );
  expect(Reflect.ownKeys(Object.prototype).length).toBe(keysBefore);
  // Files are below 20 kB; a length word or an offset that was believed would ask for gigabytes.
  expect(mostBytes).toBeLessThan(2 ** 20);
  // Flips in the data are legal (the format has no checksum), most else is not: both branches ran.
  expect(verdicts.accepted).toBeGreaterThan(30);
  expect(verdicts.refused).toBeGreaterThan(500);
}, 60_000);
