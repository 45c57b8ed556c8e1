import { expect, test } from "vitest";
import { FormatError, MismatchError } from "../errors.ts";
import { checkSettings, enlarge, partArray, partLatents } from "./part-arrays.ts";

const part = { "a.latent": Uint32Array.of(0, 3), "a.settings": Float64Array.of(4, 2) };

test("an array that is missing, of another kind or of another length is a FormatError that names it", () => {
  expect(partArray(part, "a.latent", Uint32Array, 2)).toBe(part["a.latent"]);
  expect(() => partArray(part, "a.count", Uint32Array)).toThrow(FormatError);
  expect(() => partArray(part, "a.count", Uint32Array)).toThrow(
    "expected a.count as Uint32Array, got nothing",
  );
  expect(() => partArray(part, "a.latent", Float32Array)).toThrow("got Uint32Array");
  expect(() => partArray(part, "a.latent", Uint32Array, 3)).toThrow("expected 3 entries in a.latent, got 2");
});

test("latents must be below nLatents", () => {
  expect(partLatents(part, "a.latent", 4)).toBe(part["a.latent"]);
  expect(() => partLatents(part, "a.latent", 3)).toThrow("expected a.latent[1] below 3, got 3");
});

test("a part made with other settings is a MismatchError", () => {
  expect(() => checkSettings(part, "a.settings", [4, 2])).not.toThrow();
  expect(() => checkSettings(part, "a.settings", [4, 3])).toThrow(MismatchError);
  expect(() => checkSettings(part, "a.settings", [4])).toThrow("expected a.settings [4], got [4, 2]");
});

test("a longer copy has the same kind, the old entries and zeros behind", () => {
  expect(enlarge(Float32Array.of(1, 2), 4)).toEqual(Float32Array.of(1, 2, 0, 0));
});
