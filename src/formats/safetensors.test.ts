import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { FormatError, ShapeError, TunediffError } from "../errors.ts";
import { f16BitsToNumber, f32ToBf16 } from "../numerics/dtypes.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "./safetensors.ts";
import { SAFETENSORS_DTYPE_BITS, type SafetensorsDtype } from "./safetensors-header.ts";

const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));

const golden: {
  written: string;
  cases: { name: string; ours: string; reference: string; file: string }[];
} = JSON.parse(
  readFileSync(new URL("../../test/golden/formats/safetensors-cases.json", import.meta.url), "utf8"),
);

async function refusal(path: string): Promise<TunediffError> {
  try {
    const file = await openSafetensors(path);
    await file.close();
  } catch (error) {
    if (error instanceof TunediffError) return error;
    throw error;
  }
  throw new Error(`${path} was accepted`);
}

test("every recorded file gets our verdict, and a refusal is a FormatError that names the file", async () => {
  const path = join(folder, "case.safetensors");
  const wrong: string[] = [];
  for (const { name, ours, file } of golden.cases) {
    writeFileSync(path, Buffer.from(file, "base64"));
    let verdict = "accept";
    try {
      await (await openSafetensors(path)).close();
    } catch (error) {
      verdict = "reject";
      expect(error, name).toBeInstanceOf(FormatError);
      expect(String(error), name).toContain(path);
    }
    if (verdict !== ours) wrong.push(name);
  }
  expect(wrong).toEqual([]);
});

test.each([
  ["pickle protocol 2", "a Python pickle", "safe_serialization"],
  ["pickle protocol 4", "a Python pickle", "safe_serialization"],
  ["zip archive", "a zip archive (PyTorch checkpoint or .npz)", "safe_serialization"],
  ["GGUF", "a GGUF file", "original"],
  ["Git LFS pointer", "a Git LFS pointer", "git lfs pull"],
  ["HTML page", "an HTML page", "fetch the file again"],
])("%s is named for what it is, with the way out", async (name, kind, hint) => {
  const path = join(folder, "foreign.safetensors");
  writeFileSync(path, Buffer.from(golden.cases.find((entry) => entry.name === name)!.file, "base64"));
  const error = await refusal(path);
  expect(error.message).toBe(`${path}: expected a safetensors header, found ${kind}`);
  expect(error.hint).toContain(hint);
});

test("missing file, folder and truncated file each give one clear line", async () => {
  const missing = await refusal(join(folder, "nowhere.safetensors"));
  expect(missing.message).toBe(
    `${join(folder, "nowhere.safetensors")}: expected a safetensors file, found no such file`,
  );
  expect((await refusal(folder)).message).toContain("found a folder");
  const path = join(folder, "short.safetensors");
  await writeSafetensors(path, [{ name: "w", dtype: "F32", shape: [4], data: new Float32Array(4) }]);
  const whole = readFileSync(path);
  truncateSync(path, whole.length - 3);
  const cut = await refusal(path);
  expect(cut.message).toBe(`${path}: expected 16 bytes of tensor data, got 13`);
  expect(cut.hint).toContain("cut short");
});

test("every truncation of a file is refused, and so is every extension", async () => {
  const path = join(folder, "cut.safetensors");
  await writeSafetensors(path, [
    { name: "a", dtype: "F32", shape: [3], data: new Float32Array(3) },
    { name: "b", dtype: "U8", shape: [2], data: new Uint8Array(2) },
  ]);
  const whole = readFileSync(path);
  for (let bytes = 0; bytes < whole.length; bytes += 1) {
    writeFileSync(path, whole.subarray(0, bytes));
    expect(await refusal(path)).toBeInstanceOf(FormatError);
  }
  writeFileSync(path, Buffer.concat([whole, Buffer.from([0])]));
  expect((await refusal(path)).hint).toContain("foreign bytes");
});

test("our writer equals the reference's byte for byte", async () => {
  const path = join(folder, "written.safetensors");
  await writeSafetensors(
    path,
    [
      { name: "b.weight", dtype: "F32", shape: [2], data: Float32Array.of(1.5, -2) },
      { name: "a.weight", dtype: "F32", shape: [1, 1], data: Float32Array.of(0.25) },
      { name: "half", dtype: "BF16", shape: [3], data: Uint16Array.of(0x3f80, 0xbf80, 0x7fc0) },
      { name: "\uff5e", dtype: "U8", shape: [1], data: Uint8Array.of(7) }, // Before the astral name in UTF-8, after it in UTF-16.
      { name: "\u{1f600}", dtype: "U8", shape: [1], data: Uint8Array.of(8) },
      { name: "flag", dtype: "BOOL", shape: [], data: Uint8Array.of(1) },
      { name: "ids", dtype: "I64", shape: [2], data: BigInt64Array.of(-1n, 5n) },
      { name: 'quote"\\', dtype: "I64", shape: [0], data: new Uint8Array(0) },
    ],
    { format: "pt" },
  );
  expect(readFileSync(path).equals(Buffer.from(golden.written, "base64"))).toBe(true);
});

test("F32, BF16, F16 and F64 come back as f32, by whole tensor and by rows", async () => {
  const path = join(folder, "dtypes.safetensors");
  const values = Float32Array.from({ length: 30 }, (_, i) => (i - 11) / 7);
  const halves = Uint16Array.from({ length: 30 }, (_, i) => 0x3000 + i * 700);
  await writeSafetensors(path, [
    { name: "f32", dtype: "F32", shape: [5, 2, 3], data: values },
    { name: "bf16", dtype: "BF16", shape: [5, 6], data: f32ToBf16(values) },
    { name: "f16", dtype: "F16", shape: [5, 6], data: halves },
    { name: "f64", dtype: "F64", shape: [5, 6], data: Float64Array.from(values) },
    { name: "odd", dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) },
  ]);
  const file = await openSafetensors(path);
  const expected: Record<string, Float32Array> = {
    f32: values,
    bf16: Float32Array.from(
      f32ToBf16(values),
      (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0],
    ),
    f16: Float32Array.from(halves, f16BitsToNumber),
    f64: values,
  };
  for (const [name, whole] of Object.entries(expected)) {
    expect(await file.readFloat32(name)).toEqual(whole);
    expect(await file.readRows(name, 1, 4)).toEqual(whole.slice(6, 24));
    expect(await file.readRows(name, 2, 2)).toEqual(new Float32Array(0));
    const target = new Float32Array(20).subarray(3, 15); // An offset inside a larger buffer.
    expect(await file.readRows(name, 3, 5, target)).toBe(target);
    expect(target).toEqual(whole.slice(18));
  }
  expect(await file.readBytes("odd")).toEqual(Uint8Array.of(1, 2, 3));
  expect((await file.readBytes("f64")).byteOffset).toBe(0);
  await expect(file.readFloat32("odd")).rejects.toThrow(
    'tensor "odd": expected dtype F32, F16, BF16 or F64, got U8',
  );
  await expect(file.readFloat32("none")).rejects.toThrow('expected a tensor named "none"');
  await expect(file.readRows("f32", 3, 6)).rejects.toThrow(ShapeError);
  await expect(file.readRows("f32", 0, 1, new Float32Array(5))).rejects.toThrow(
    "expected a target of 6 elements",
  );
  await file.close();
});

test("a tensor larger than the conversion block is read whole", async () => {
  const path = join(folder, "large.safetensors");
  const bits = Uint16Array.from({ length: 2 ** 21 + 12_345 }, (_, i) => i % 0x7f00);
  await writeSafetensors(path, [{ name: "w", dtype: "BF16", shape: [bits.length], data: bits }]);
  const file = await openSafetensors(path);
  const same = (values: Float32Array, expected: Uint16Array): boolean =>
    Buffer.from(f32ToBf16(values).buffer).equals(new Uint8Array(expected.buffer)); // toEqual takes seconds on 2M numbers.
  expect(same(await file.readFloat32("w"), bits)).toBe(true);
  const around = [2 ** 21 - 2, 2 ** 21 + 3] as const;
  expect(same(await file.readRows("w", ...around), bits.slice(...around))).toBe(true);
  await file.close();
});

test("random valid files come back as they were written", async () => {
  const path = join(folder, "random.safetensors");
  const wholeByteDtypes = (Object.keys(SAFETENSORS_DTYPE_BITS) as SafetensorsDtype[]).filter(
    (dtype) => SAFETENSORS_DTYPE_BITS[dtype] % 8 === 0,
  );
  const name = fc
    .oneof(
      fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }),
      fc.constantFrom("__proto__", "7", "constructor"),
    )
    .filter((text) => text !== "__metadata__");
  const tensor = fc
    .record({
      name,
      dtype: fc.constantFrom(...wholeByteDtypes),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
      salt: fc.nat(255),
    })
    .map(({ name, dtype, shape, salt }): TensorToWrite => {
      const bytes = (shape.reduce((a, b) => a * b, 1) * SAFETENSORS_DTYPE_BITS[dtype]) / 8;
      return { name, dtype, shape, data: Uint8Array.from({ length: bytes }, (_, i) => i * 7 + salt) };
    });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
      fc.dictionary(fc.string(), fc.string({ unit: "grapheme" }), { maxKeys: 3 }),
      async (tensors, metadata) => {
        await writeSafetensors(path, tensors, metadata);
        const file = await openSafetensors(path);
        expect([...file.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
        expect(new Map(file.metadata)).toEqual(new Map(Object.entries(metadata)));
        for (const { name, dtype, shape, data } of tensors) {
          expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
          expect(await file.readBytes(name)).toEqual(data);
        }
        await file.close();
      },
    ),
    { numRuns: 150, seed: 2 },
  );
});

test("the writer refuses what no reader would take and leaves nothing behind", async () => {
  const path = join(folder, "refused", "x.safetensors");
  const tensor: TensorToWrite = { name: "w", dtype: "F32", shape: [2], data: new Float32Array(2) };
  const write = (...changes: Partial<TensorToWrite>[]) =>
    writeSafetensors(
      path,
      changes.map((change) => ({ ...tensor, ...change })),
    );
  await expect(write({ shape: [3] })).rejects.toThrow("expected 12 bytes for F32 [3], got 8");
  await expect(write({ shape: [-2] })).rejects.toThrow(ShapeError);
  await expect(write({}, {})).rejects.toThrow("expected unique names");
  for (const name of ["", "__metadata__", "a\nb", "\ud800"])
    await expect(write({ name })).rejects.toThrow(FormatError);
  await expect(write({ dtype: "F4", shape: [3], data: new Uint8Array(2) })).rejects.toThrow(ShapeError);
  expect(readdirSync(folder)).not.toContain("refused");
});
