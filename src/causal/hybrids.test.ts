import { describe, expect, test } from "vitest";
import { decode } from "../dictionary/decode.ts";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { SparseCodes } from "../dictionary/dictionary.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { CODE_CHOICES, type Intervention } from "./causal-contract.ts";
import { type HybridOptions, hybridResidual, latentPatch, type PreparedConversation } from "./hybrids.ts";
import { hybridReference } from "./hybrids-reference.ts";

const D = 6;
const LENGTH = 9;
const dictionary = randomDictionary({ widths: [D, D], nLatents: 20, normalised: false });
const rng = createRng(11, "hybrids.test");
const random = (stream: number): Float32Array =>
  Float32Array.from({ length: LENGTH * D }, (_, i) => rng.normal(stream, i));

/** Latent j is silent in rows with (row + j) % 3 = 0, and all are in row 4. */
function someCodes(): SparseCodes {
  const rowStart = [0];
  const latent: number[] = [];
  for (let row = 0; row < LENGTH; row += 1) {
    for (let j = 0; row !== 4 && j < 20; j += 1) if ((row + j) % 3 !== 0) latent.push(j);
    rowStart.push(latent.length);
  }
  const code = Float32Array.from(latent, (_, i) => Math.abs(rng.normal(3, i)) + 0.1);
  return { nRows: LENGTH, rowStart: Uint32Array.from(rowStart), latent: Uint32Array.from(latent), code };
}

const prepared: PreparedConversation = {
  conversation: {
    ...{ id: "a", group: 0, tokenBase: new Uint32Array(LENGTH), tokenFinetuned: new Uint32Array(LENGTH) },
    isTemplate: Uint8Array.of(0, 1, 1, 0, 0, 1, 0, 0, 1),
    isAssistant: new Uint8Array(LENGTH),
  },
  predicted: { positions: new Uint32Array(), isFirstNine: new Uint8Array(), isRest: new Uint8Array() },
  ...{ length: LENGTH, base: random(1), finetuned: random(2), codes: someCodes() },
};
const subset = (form: "additive" | "replacing", latents: number[]): Intervention => ({
  ...{ name: form, kind: "subset", form },
  latents: Uint32Array.from(latents),
});
const whole = (kind: "none" | "all" | "error" | "template" | "finetuned"): Intervention => ({
  name: kind,
  kind,
});
const options = (choices: Partial<HybridOptions["choices"]> = {}, unedited = 0): HybridOptions => ({
  ...{ dictionary, unedited },
  choices: { ...CODE_CHOICES, ...choices },
});
const close = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void => {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i += 1)
    expect(Math.abs(got[i] - want[i]), `index ${i}`).toBeLessThan(tolerance);
};
/** [LENGTH, D] of one side, from rows of both. */
const half = (rows: Float32Array, side: 0 | 1): Float32Array =>
  Float32Array.from({ length: LENGTH * D }, (_, i) => rows[Math.floor(i / D) * 2 * D + side * D + (i % D)]);

describe("every residual equals the dense twin", () => {
  const interventions = [
    ...(["none", "all", "error", "template", "finetuned"] as const).map(whole),
    ...[subset("additive", [0, 3, 4, 19]), subset("replacing", [0, 3, 4, 19]), subset("replacing", [])],
  ];
  for (const intervention of interventions) {
    for (const decoderBias of ["omit", "swap"] as const) {
      for (const [unedited, leading] of [
        [0, "base"],
        [3, "base"],
        [3, "finetuned"],
        [50, "finetuned"],
      ] as const) {
        test(`${intervention.name}, decoder bias ${decoderBias}, ${unedited} leading positions left to the ${leading}`, () => {
          const how = options({ decoderBias, leading }, unedited);
          const got = hybridResidual(prepared, intervention, how);
          // Summed in f64 and rounded once to f32: half a unit in the last place of numbers below 16.
          close(got, hybridReference(prepared, intervention, how), 1e-6);
        });
      }
    }
  }
});

test("no latents, or latents that never fire, leave the base activation bit for bit", () => {
  for (const form of ["additive", "replacing"] as const) {
    expect(hybridResidual(prepared, subset(form, []), options())).toEqual(prepared.base);
  }
  const silent = { ...prepared, codes: { ...prepared.codes, rowStart: new Uint32Array(LENGTH + 1) } };
  expect(hybridResidual(silent, subset("additive", [0, 1, 2]), options())).toEqual(prepared.base);
});

test("All is ĥ_finetuned + ε_base with the biases swapped, and without them off by their difference in every row", () => {
  const rows = decode(dictionary, prepared.codes);
  const [base, finetuned] = [half(rows, 0), half(rows, 1)];
  const exact = prepared.base.map((h, i) => finetuned[i] + h - base[i]);
  // f32 sums of some seven terms of size 1 in decode.
  close(hybridResidual(prepared, whole("all"), options({ decoderBias: "swap" })), exact, 1e-5);
  const bias = dictionary.decoderBias;
  const without = exact.map((value, i) => value - (bias[D + (i % D)] - bias[i % D]));
  close(hybridResidual(prepared, whole("all"), options()), without, 1e-5);
  expect(Math.abs(bias[D] - bias[0])).toBeGreaterThan(0.01);
});

test("Error is ĥ_base + ε_finetuned with the biases swapped", () => {
  const rows = decode(dictionary, prepared.codes);
  const [base, finetuned] = [half(rows, 0), half(rows, 1)];
  const exact = prepared.finetuned.map((h, i) => base[i] + h - finetuned[i]);
  close(hybridResidual(prepared, whole("error"), options({ decoderBias: "swap" })), exact, 1e-5);
});

test("all latents replacing are All, and All moved back by Error's sum is the base again", () => {
  const every = Array.from({ length: 20 }, (_, latent) => latent);
  expect(hybridResidual(prepared, subset("replacing", every), options())).toEqual(
    hybridResidual(prepared, whole("all"), options()),
  );
  const back = hybridResidual(
    { ...prepared, finetuned: hybridResidual(prepared, whole("all"), options()) },
    whole("error"),
    options(),
  );
  close(back, prepared.base, 1e-6); // rounded to f32 once on the way
});

describe("the edit of one latent", () => {
  test("adding it is the additive subset of it alone; removing it takes the same from the fine-tune", () => {
    for (const latent of [0, 7, 8, 19]) {
      const added = latentPatch(prepared, latent, { kind: "add", dictionary });
      close(added?.residual ?? [], hybridResidual(prepared, subset("additive", [latent]), options()), 1e-6);
      const removed = latentPatch(prepared, latent, { kind: "remove", dictionary });
      const expected = prepared.finetuned.map((h, i) => h - ((added?.residual[i] ?? 0) - prepared.base[i]));
      close(removed?.residual ?? [], expected, 1e-6);
    }
  });

  test("names the first position that it changes, which is beyond those left alone", () => {
    // Latent 3 fires in rows 1, 2, 5, 7 and 8.
    expect(latentPatch(prepared, 3, { kind: "add", dictionary })?.changedFrom).toBe(1);
    const late = latentPatch(prepared, 3, { kind: "remove", dictionary, unedited: 3 });
    expect(late?.changedFrom).toBe(5);
    expect(late?.residual.subarray(0, 5 * D)).toEqual(prepared.finetuned.subarray(0, 5 * D));
    expect(late?.residual.subarray(6 * D, 7 * D)).toEqual(prepared.finetuned.subarray(6 * D, 7 * D));
    expect(late?.residual.subarray(7 * D, 8 * D)).not.toEqual(prepared.finetuned.subarray(7 * D, 8 * D));
    expect(latentPatch(prepared, 3, { kind: "add", dictionary, unedited: 9 })).toBeUndefined();
    expect(latentPatch(prepared, 2, { kind: "add", dictionary, unedited: 99 })).toBeUndefined();
  });

  test("is nothing where the latent never fires", () => {
    const silent = { ...prepared, codes: { ...prepared.codes, rowStart: new Uint32Array(LENGTH + 1) } };
    expect(latentPatch(silent, 2, { kind: "add", dictionary })).toBeUndefined();
  });
});

describe("refused", () => {
  test.each([-1, 20, 1.5])("latent %d of a dictionary of 20", (latent) => {
    const message = `latent: expected a whole number from 0 to 19, got ${latent}`;
    expect(() => latentPatch(prepared, latent, { kind: "add", dictionary })).toThrow(ConfigError);
    expect(() => latentPatch(prepared, latent, { kind: "add", dictionary })).toThrow(message);
  });

  test("a subset that names a latent beyond the dictionary", () => {
    expect(() => hybridResidual(prepared, subset("additive", [3, 20]), options())).toThrow(ConfigError);
  });

  test("models of different width, and a dictionary of one model", () => {
    for (const [widths, message] of [
      [[6, 8], /the base's residual cannot be fed to the fine-tune/],
      [[6], /expected one site of the base and one of the fine-tune/],
    ] as const) {
      const other = {
        ...options(),
        dictionary: randomDictionary({ widths: [...widths], normalised: false }),
      };
      expect(() => hybridResidual(prepared, whole("all"), other)).toThrow(MismatchError);
      expect(() => hybridResidual(prepared, whole("all"), other)).toThrow(message);
    }
  });
});
