import { describe, expect, test } from "vitest";
import type { FiringStats } from "./firing-stats.ts";
import { planPatching } from "./patching-plan.ts";
import type { Selection } from "./selection.ts";

const N_LATENTS = 40;
const stats: FiringStats = {
  rate: new Float64Array(N_LATENTS).fill(0.1),
  energy: Float64Array.from({ length: N_LATENTS }, (_, latent) => 1 + latent),
  conversationsFired: new Uint32Array(N_LATENTS).fill(3),
  nRows: 100,
};
const set = (selection: string, latents: number[], isControlled = false) => ({
  ...{ selection, isControlled, latents: Uint32Array.from(latents) },
});
/** Latent 8 is claimed, outside the pool and the nearest to "best"; two sets are equal, one is empty. */
const selection: Selection = {
  pool: Uint32Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
  poolCounts: {
    ...{ pool: 8, dead: 0, nuMissing: 0, nuReconstructionOutOfRange: 0, nuErrorOutOfRange: 0, kept: 8 },
  },
  sets: [set("best", [1, 2], true), set("same", [1, 2]), set("empty", []), set("claims", [1, 8], true)],
  comparisons: [{ first: "best", second: "same" }],
};
const plan = planPatching({ selection, stats, draws: 6, seed: 1 });

const runsOf = (name: string): number[] => plan.outcomes.find((outcome) => outcome.name === name)?.runs ?? [];

describe("the runs", () => {
  test("begin with None, which stands for empty subsets", () => {
    expect(plan.runs[0]).toEqual({ name: "None", kind: "none" });
    expect(runsOf("empty, additive")).toEqual([0]);
    expect(runsOf("empty, replacing")).toEqual([0]);
  });

  test("are shared by equal subsets of one form, not by the two forms", () => {
    expect(runsOf("same, additive")).toEqual(runsOf("best, additive"));
    expect(runsOf("best, replacing")).not.toEqual(runsOf("best, additive"));
    const contents = plan.runs.map((run) =>
      run.kind === "subset" ? `${run.form} ${run.latents.join()}` : run.kind,
    );
    expect(new Set(contents).size).toBe(contents.length);
  });
});

describe("controls", () => {
  test("have as many latents as their subset, none of the pool or of a controlled subset", () => {
    for (const name of ["best, additive control", "claims, replacing control"]) {
      const runs = runsOf(name);
      expect(runs.length).toBe(6);
      for (const run of runs) {
        const intervention = plan.runs[run];
        if (intervention.kind !== "subset") throw new Error("expected a subset");
        expect(intervention.latents.length).toBe(2);
        expect([...intervention.latents].every((latent) => latent >= 9)).toBe(true);
      }
    }
  });

  test("are the same latents in both forms, and compared with their subset", () => {
    const latentsOf = (name: string) =>
      runsOf(name).map((run) => {
        const intervention = plan.runs[run];
        return intervention.kind === "subset" ? [...intervention.latents] : [];
      });
    expect(latentsOf("best, replacing control")).toEqual(latentsOf("best, additive control"));
    expect(plan.comparisons).toEqual([
      { first: "best, additive", second: "same, additive" },
      { first: "best, replacing", second: "same, replacing" },
      { first: "best, additive", second: "best, additive control" },
      { first: "best, replacing", second: "best, replacing control" },
      { first: "claims, additive", second: "claims, additive control" },
      { first: "claims, replacing", second: "claims, replacing control" },
    ]);
  });

  test("are left out, and counted as missing, where nothing may be one", () => {
    const pool = Uint32Array.from({ length: N_LATENTS }, (_, latent) => latent);
    const without = planPatching({ selection: { ...selection, pool }, stats, seed: 1 });
    expect(without.outcomes.filter(({ controlOf }) => controlOf !== "")).toEqual([]);
    expect(without.controls[0]).toMatchObject({ nLatents: 2, silent: 0, missing: [2, 2, 2, 2, 2] });
    expect(without.comparisons).toHaveLength(2);
  });
});
