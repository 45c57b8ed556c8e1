import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import {
  isSafetensorsDtype,
  parseSafetensorsHeader,
  SAFETENSORS_DTYPE_BITS,
  type SafetensorsHeader,
} from "./safetensors-header.ts";

interface Case {
  name: string;
  ours: "accept" | "reject";
  /** "accept" or the variant of the reference's error. */
  reference: string;
  /** Why we refuse what the reference accepts. */
  why?: string;
  file: string;
}

// Made by test/golden/formats/make_cases.py with the reference library.
const cases: Case[] = JSON.parse(
  readFileSync(new URL("../../test/golden/formats/safetensors-cases.json", import.meta.url), "utf8"),
).cases;

const parse = (text: string, dataBytes: number): SafetensorsHeader =>
  parseSafetensorsHeader(Buffer.from(text), { path: "x.safetensors", dataBytes });

test("we accept nothing that the reference refuses, in all recorded cases", () => {
  const wider = cases.filter(({ ours, reference }) => ours === "accept" && reference !== "accept");
  expect(wider).toEqual([]);
  expect(cases.length).toBeGreaterThanOrEqual(200);
});

test("the cases reach every error that the reference gives to bytes", () => {
  expect([...new Set(cases.map(({ reference }) => reference))].sort()).toEqual([
    "HeaderTooLarge",
    "HeaderTooSmall",
    "InvalidHeader",
    "InvalidHeaderDeserialization",
    "InvalidHeaderLength",
    "InvalidOffset",
    "MetadataIncompleteBuffer",
    "MisalignedSlice",
    "TensorInvalidInfo",
    "ValidationOverflow",
    "accept",
  ]);
});

test("what we refuse beyond the reference is exactly this list, each with its reason", () => {
  const stricter = cases.filter(({ ours, reference }) => ours === "reject" && reference === "accept");
  expect(cases.filter(({ why }) => why !== undefined && why !== "")).toEqual(stricter);
  expect(stricter.map(({ name }) => name).sort()).toEqual(
    [
      "2^48 + 1 times zero",
      "DEL in a name",
      "duplicate key inside an unknown field",
      "duplicate metadata key",
      "duplicate metadata key by escape",
      "duplicate name by escape",
      "duplicate name, empty tensors",
      "duplicate name, last one valid",
      "duplicate name, same range",
      "duplicate unknown field",
      "dtype as an object",
      "empty name",
      "escaped NUL name",
      "escaped newline in a name",
      "escaped tab in a name",
      "escaped unit separator in a name",
      "metadata is null",
      "rank 17",
      "rank 70",
      "tensor entry is an array",
      "three of one name",
      "unknown field: depth 5",
      "unknown field: object of depth 5",
      "zero first, huge dimension last",
      "zero first, huge second",
    ].sort(),
  );
});

test("a header may say anything about Object's prototype without touching it", () => {
  const { tensors, metadata, warnings } = parse(
    '{"__metadata__":{"__proto__":"m"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"__proto__":{"polluted":1}}}',
    1,
  );
  expect(tensors.get("__proto__")?.shape).toEqual([1]);
  expect(metadata.get("__proto__")).toBe("m");
  expect(warnings).toEqual(['x.safetensors: tensor "__proto__": unknown field "__proto__" ignored']);
  expect("polluted" in {}).toBe(false);
});

test("an error names the file, the place and what was found there", () => {
  expect(() => parse('{"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', 8)).toThrow(
    'x.safetensors: header offset 29: expected an unsigned integer in shape of tensor "w", got "2.0],\\"data_o"',
  );
  expect(() => parse('{"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', 12)).toThrow(
    'x.safetensors: tensor "w": expected data to begin at 0, got [4, 12]',
  );
});

test("thirty thousand tensors are read, and a million open brackets are refused without recursion", () => {
  const entries = Array.from(
    { length: 30_000 },
    (_, i) => `"model.layers.${i}.weight":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );
  expect(parse(`{${entries.join(",")}}`, 30_000).tensors.size).toBe(30_000);
  expect(() => parse(`{"a":${"[".repeat(1_000_000)}`, 0)).toThrow(FormatError);
  expect(() => parse(`{"a":{"x":${"[".repeat(1_000_000)}`, 0)).toThrow("nesting up to 4");
});

describe("mutated headers", () => {
  const seeds = cases
    .map(({ file }) => ({ file: Buffer.from(file, "base64") }))
    .filter(({ file }) => file.length > 10 && file.length < 400)
    .map(({ file }) => {
      const headerBytes = Math.min(Number(file.readBigUInt64LE(0)), file.length - 8);
      return { header: file.subarray(8, 8 + headerBytes), dataBytes: file.length - 8 - headerBytes };
    });

  /** Holds for anything that parsed: what structural validation promises, checked another way (bytes claimed once). */
  function assertSound({ tensors }: SafetensorsHeader, dataBytes: number): void {
    const owners = new Uint8Array(dataBytes);
    for (const { name, dtype, shape, begin, end } of tensors.values()) {
      expect(name).not.toBe("");
      expect(isSafetensorsDtype(dtype)).toBe(true);
      expect(shape.length).toBeLessThanOrEqual(16);
      const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
      expect(BigInt(end - begin) * 8n).toBe(elements * BigInt(SAFETENSORS_DTYPE_BITS[dtype]));
      for (let i = begin; i < end; i += 1) owners[i] += 1;
    }
    expect(owners.every((count) => count === 1)).toBe(true);
  }

  test("never crash, and whatever is accepted owns every byte once and is JSON with the same content", () => {
    const space = fc.record({
      at: fc.nat(1000),
      remove: fc.constant(0),
      insert: fc.constantFrom(" ", "\n", "x"),
    });
    const damage = fc.record({
      at: fc.nat(1000),
      remove: fc.nat(2),
      insert: fc.oneof(
        fc.constantFrom(
          "{",
          "}",
          "[",
          "]",
          ",",
          ":",
          '"',
          "\\",
          "0",
          "1",
          "16",
          "9007199254740993",
          "-",
          ".",
          "e",
        ),
        fc.constantFrom(
          '"a"',
          '"dtype"',
          '"F32"',
          '"BF16"',
          '"shape"',
          "\\ud800",
          " ",
          "\0",
          "\uFEFF",
          "null",
        ),
        fc.string({ maxLength: 3 }),
      ),
    });
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.oneof(space, damage), { minLength: 1, maxLength: 3 }),
        ({ header: seed, dataBytes }, edits) => {
          let bytes: Buffer = seed;
          for (const { at, remove, insert } of edits) {
            const place = at % (bytes.length + 1);
            bytes = Buffer.concat([
              bytes.subarray(0, place),
              Buffer.from(insert),
              bytes.subarray(place + remove),
            ]);
          }
          let header: SafetensorsHeader;
          try {
            header = parseSafetensorsHeader(bytes, { path: "mutant", dataBytes });
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
            return;
          }
          accepted += 1;
          assertSound(header, dataBytes);
          const json = JSON.parse(bytes.toString("utf8"));
          expect([...header.tensors.keys()].sort()).toEqual(
            Object.keys(json)
              .filter((key) => key !== "__metadata__")
              .sort(),
          );
          for (const { name, dtype, shape, begin, end } of header.tensors.values()) {
            expect({ dtype, shape, data_offsets: [begin, end] }).toMatchObject({
              dtype: json[name].dtype,
              shape: json[name].shape,
              data_offsets: json[name].data_offsets,
            });
          }
        },
      ),
      { numRuns: 4000, seed: 1 },
    );
    expect(accepted).toBeGreaterThan(100); // The mutations are mild enough that some headers survive: the checks above ran.
  });
});
