import { expect, test } from "vitest";
import { API_LIMITS } from "../api-contract.ts";
import { type ComposeOptions, composeReading } from "./compose-reading.ts";
import type { RawReading } from "./lab-protocol.ts";

/** Two tokens; entries are [token, latent, activation], in order. */
function raw(entries: [number, number, number][], nLatents = 10): RawReading {
  const of = (row: number) => entries.filter(([token]) => token === row).length;
  const top = [{ token: "t", probability: 0.1 }];
  return {
    ...{ tokens: ["a", "b"], roles: ["text", "text"], isAnswer: [0, 1], kl: Float32Array.of(0.1, 2) },
    next: { base: [top, top], finetuned: [top, top] },
    rowStart: Uint32Array.of(0, of(0), of(0) + of(1)),
    latent: Uint32Array.from(entries, ([, latent]) => latent),
    activation: Float32Array.from(entries, ([, , activation]) => activation),
    ...{ deltaNorm: new Float32Array(nLatents).fill(0.25), warnings: [] },
  };
}

const plain: ComposeOptions = {
  ...{ tables: undefined, pinned: [] },
  labelOf: (latent) => (latent === 4 ? "four" : ""),
  promotedOf: (latent) => [`p${latent}`],
};
const tables = {
  claim: (latent: number) => (latent === 4 ? "finetuned-specific" : ""),
  deltaNorm: Float64Array.from({ length: 10 }, (_, i) => (i === 2 ? Number.NaN : i / 10)),
  maxActivation: Float64Array.from({ length: 10 }, (_, i) => (i === 2 ? Number.NaN : i)),
};

test("claims come first, then the greatest activation, of equal ones the lower number; silent pins last", () => {
  const firing = raw([
    [0, 1, 2],
    [0, 4, 0.5],
    [0, 7, 3],
    [1, 1, 5],
    [1, 8, 3],
  ]);
  const { latents, nFiring } = composeReading(firing, { ...plain, tables, pinned: [2, 7] });
  expect(latents.map(({ latent }) => latent)).toEqual([4, 1, 7, 8, 2]);
  expect(nFiring).toBe(4);
  expect(latents[0]).toEqual({
    ...{ latent: 4, claim: "finetuned-specific", deltaNorm: 0.4, label: "four", promoted: ["p4"] },
    ...{ activations: [0.5, 0], max: 0.5, maxMeasured: 4 },
  });
  expect(latents[1]).toMatchObject({ activations: [2, 5], max: 5 });
  expect(latents[4]).toMatchObject({ activations: [0, 0], max: 0, deltaNorm: 0.5, maxMeasured: 0 });
});

test("without a measurement deltaNorm is the dictionary's own and nothing is claimed", () => {
  const { latents } = composeReading(raw([[1, 4, 1]]), plain);
  expect(latents).toMatchObject([{ latent: 4, claim: "", deltaNorm: 0.25, maxMeasured: 0 }]);
});

test("no more latents than the limit, the pinned ones among them, however weak", () => {
  const n = API_LIMITS.readingLatents + 50;
  const many = raw(
    Array.from({ length: n }, (_, latent): [number, number, number] => [0, latent, latent + 1]),
    n,
  );
  const { latents, nFiring } = composeReading(many, { ...plain, pinned: [0] });
  expect([latents.length, nFiring, latents[0].latent, latents.at(-1)?.latent]).toEqual([
    ...[API_LIMITS.readingLatents, n, n - 1, 0],
  ]);
});

test("numbers are those of f32, written short", () => {
  const { kl, latents } = composeReading(raw([[0, 3, 0.1]]), plain);
  expect([kl[0], latents[0].max].map(Math.fround)).toEqual([Math.fround(0.1), Math.fround(0.1)]);
  expect(JSON.stringify(kl)).toBe("[0.100000001,2]");
});
