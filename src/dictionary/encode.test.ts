import { expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { decode } from "./decode.ts";
import { randomDictionary } from "./dictionary.test.helper.ts";
import { createEncoder, encodeReference } from "./encode.ts";
import { latentWeights } from "./latent-norms.ts";

const rng = createRng(4, "encode.test");
const rows = (nRows: number, width: number): Float32Array =>
  Float32Array.from({ length: nRows * width }, (_, i) => rng.normal(nRows, i));

for (const { widths, nLatents, nRows } of [
  { widths: [6, 6], nLatents: 20, nRows: 13 },
  { widths: [3, 7], nLatents: 33, nRows: 1 },
  { widths: [5], nLatents: 1, nRows: 4 },
  { widths: [4, 4], nLatents: 9, nRows: 0 },
]) {
  test(`threshold encoding equals its twin: widths ${widths}, ${nLatents} latents, ${nRows} rows`, async () => {
    const dictionary = randomDictionary({ widths, nLatents });
    const x = rows(nRows, dictionary.width);
    const encoder = await createEncoder(dictionary, { maxRows: 16, threads: 1 });
    const fast = await encoder.encode(x, nRows);
    const slow = encodeReference(dictionary, x, nRows);
    expect(fast.rowStart).toEqual(slow.rowStart);
    expect(fast.latent).toEqual(slow.latent);
    for (const [i, code] of fast.code.entries()) expect(code).toBeCloseTo(slow.code[i], 5); // f32 sums of at most 12 terms
    await encoder.dispose();
  });
}

test("rows that need several tiles give the same codes as one by one", async () => {
  // 4·2^20 entries a tile and 2^20 latents: tiles of 4 rows.
  const dictionary = randomDictionary({ widths: [1, 1], nLatents: 2 ** 20, inferenceThreshold: 2.5 });
  const x = rows(6, 2);
  const encoder = await createEncoder(dictionary, { maxRows: 6, threads: 1 });
  const together = await encoder.encode(x, 6);
  expect(together.latent.length).toBeGreaterThan(0);
  for (let row = 0; row < 6; row += 1) {
    const alone = await encoder.encode(x.subarray(row * 2, row * 2 + 2), 1);
    const [from, to] = [together.rowStart[row], together.rowStart[row + 1]];
    expect(together.latent.slice(from, to).join() === alone.latent.join()).toBe(true); // no 10^5-line difference in the log
    // One row is a matrix-vector product to onnxruntime, which rounds differently: one or two units of f32.
    const worst = alone.code.reduce(
      (max, code, i) => Math.max(max, Math.abs(code - together.code[from + i])),
      0,
    );
    expect(worst).toBeLessThan(1e-6);
  }
  await encoder.dispose();
});

test("with reuse the codes are the same, and the next call writes over them", async () => {
  // 4·2^20 entries a tile and 2^14 latents: tiles of 256 rows, and lists that must grow.
  const dictionary = randomDictionary({ widths: [1, 1], nLatents: 2 ** 14, inferenceThreshold: 2.5 });
  const [first, second] = [rows(300, 2), rows(290, 2)];
  const fresh = await createEncoder(dictionary, { maxRows: 300, threads: 1 });
  const reusing = await createEncoder(dictionary, { maxRows: 300, threads: 1, reuse: true });
  const codes = await reusing.encode(first, 300);
  const expected = await fresh.encode(first, 300);
  expect(codes.latent.length).toBeGreaterThan(1024);
  for (const name of ["rowStart", "latent", "code"] as const)
    expect(Buffer.from(codes[name].buffer, 0, codes[name].byteLength)).toEqual(
      Buffer.from(expected[name].buffer),
    );
  const next = await reusing.encode(second, 290);
  const expectedNext = await fresh.encode(second, 290);
  expect(next.latent.length).toBe(expectedNext.latent.length);
  expect(Buffer.from(next.code.buffer, 0, next.code.byteLength)).toEqual(
    Buffer.from(expectedNext.code.buffer),
  );
  expect(next.code.buffer).toBe(codes.code.buffer);
  await fresh.dispose();
  await reusing.dispose();
});

test("an activation equal to the threshold does not fire, and below 0 everything positive does", async () => {
  const dictionary = randomDictionary({ widths: [1], nLatents: 2 });
  dictionary.encoderWeight.set([1, 1]);
  dictionary.encoderBias.set([0, 0]);
  dictionary.decoderWeight.set([1, 2]);
  const fired = async (inferenceThreshold: number): Promise<number[]> => {
    const encoder = await createEncoder({ ...dictionary, inferenceThreshold }, { maxRows: 2 });
    const { latent } = await encoder.encode(Float32Array.of(0.5, -1), 2);
    await encoder.dispose();
    return [...latent];
  };
  expect(await fired(0.5)).toEqual([1]); // activations 0.5 and 1
  expect(await fired(1)).toEqual([]);
  expect(await fired(-1)).toEqual([0, 1]);
});

test("more rows than announced are refused", async () => {
  const encoder = await createEncoder(randomDictionary(), { maxRows: 2 });
  await expect(encoder.encode(new Float32Array(36), 3)).rejects.toThrow(ShapeError);
  await expect(encoder.encode(new Float32Array(12), 2)).rejects.toThrow(ShapeError);
  await encoder.dispose();
});

test("decoding is the bias plus code times decoder row, with unscaled codes", () => {
  const dictionary = randomDictionary({ widths: [2, 2], nLatents: 3 });
  dictionary.decoderWeight.set([1, 0, 2, 0, 0, 1, 0, 2, 5, 5, 5, 5]);
  dictionary.decoderBias.set([0.5, 0, 0, 0]);
  const codes = {
    nRows: 2,
    rowStart: Uint32Array.of(0, 2, 2),
    latent: Uint32Array.of(0, 1),
    code: Float32Array.of(3, 4),
  };
  expect([...decode(dictionary, codes)]).toEqual([3.5, 4, 6, 8, 0.5, 0, 0, 0]);
  expect([...latentWeights(dictionary)].map((w) => Math.round(w * 1e4) / 1e4)).toEqual([3, 3, 14.1421]);
});
