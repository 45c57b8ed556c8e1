// The figures of `demo --full`; that its parts run and resume is shown by their own tests (stability-study, null-study, train).

import { expect, test } from "vitest";
import { judgeFinetuned } from "../measure/claims.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { reportFixture } from "../report/report-fixture.test.data.ts";
import { figuresOf, judgeByNorm } from "./demo-full.ts";

const fixture = reportFixture();
const latent = (given: Partial<LatentMeasure>): LatentMeasure => ({
  ...fixture.latents[0],
  ...{ latentClass: "finetuned-only", exclusion: "", claim: "none", verdict: "uncertain" },
  ...given,
});

test("of the finetuned-only latents those that could be judged and are no claim are flagged, surely by their verdict", () => {
  const latents = [
    latent({ claim: "finetuned-specific", verdict: "genuine" }),
    latent({ claim: "finetuned-specific", verdict: "uncertain" }),
    latent({ verdict: "uncertain" }),
    latent({ verdict: "complete shrinkage" }),
    latent({ verdict: "complete shrinkage and latent decoupling" }),
    latent({ exclusion: "too-rare", verdict: "too rare" }),
    latent({ exclusion: "nu-out-of-range", verdict: "latent decoupling" }),
    latent({ latentClass: "other", verdict: "latent decoupling" }),
    latent({ latentClass: "base-only", verdict: "latent decoupling" }),
  ];
  expect(judgeByNorm(latents)).toEqual({ latents: 7, judged: 5, flagged: 3, flaggedSurely: 2 });
});

test("judged is what the claims' own rule does not leave out", () => {
  const { latents } = fixture;
  const strict = latents
    .filter(({ latentClass }) => latentClass === "finetuned-only")
    .map((one) => {
      const evidence = { ...one, fired: one.frequency };
      return { ...one, exclusion: judgeFinetuned(evidence).exclusion };
    });
  const judged = strict.filter(({ exclusion }) => exclusion === "").length;
  expect(judged).toBeGreaterThan(10);
  expect(judgeByNorm(strict).judged).toBe(judged);
});

test("figures are those of the summary and of the score; without claims there is no precision, without truth no score", () => {
  const { truth, summary } = fixture;
  const figures = figuresOf(fixture, truth);
  expect(figures).toMatchObject({ fve: summary.fve, l0: summary.l0, twins: summary.twins.length });
  expect(figures.truth).toMatchObject({ recall: truth?.recall, precision: truth?.precision });
  expect(figuresOf(fixture, truth && { ...truth, claims: [] }).truth).toMatchObject({
    ...{ precision: null, precisionWithTemplate: null },
    recall: truth?.recall,
  });
  expect(figuresOf(fixture, undefined).truth).toBeNull();
});
