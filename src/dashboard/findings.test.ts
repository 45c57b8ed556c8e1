import { expect, test } from "vitest";
import { CLAIM_THRESHOLDS } from "../measure/measure-contract.ts";
import { ranked } from "./findings.ts";

const candidate = (latent: number, nuError: number) => ({ latent, nuError, nuReconstruction: 0 });
const order = (gaps: [number, number][]): number[] =>
  ranked([candidate(0, 0.1), candidate(1, 0), candidate(2, 0.05), candidate(3, 0.02)], {
    gapClosed: new Map(gaps),
    thresholds: CLAIM_THRESHOLDS,
  }).map(({ latent }) => latent);

test("findings come most specific first where no effects were measured", () => {
  expect(order([])).toEqual([1, 3, 2, 0]);
});

test("what does most to the answers comes first; latents without a measured effect follow by their specificity", () => {
  expect(
    order([
      [0, 0.01],
      [2, 0.03],
    ]),
  ).toEqual([2, 0, 1, 3]);
  expect(order([[3, -0.01]])).toEqual([3, 1, 2, 0]); // a harmful effect is still a measured one
});
