// What the paper's experiment runs and what it reports: interventions, their random controls, and which of them are compared.
//
// Every outcome is the mean over one or more runs: one for an intervention, one a draw for a control. Two outcomes of the same latents
// in the same form share a run, and an empty subset is None. Not here: choosing the latents (selection.ts), running (patching.ts).

import { type ControlMatch, type Intervention, PATCH_FORMS, type PatchForm } from "./causal-contract.ts";
import type { FiringStats } from "./firing-stats.ts";
import { CONTROL_SETTINGS, describeMatch, drawControls, isMatchable } from "./matched-controls.ts";
import type { LatentSet, Selection } from "./selection.ts";

export interface PlannedOutcome {
  name: string;
  kind: Intervention["kind"];
  form: PatchForm | null;
  nLatents: number;
  selection: string;
  controlOf: string;
  /** Into the plan's runs. */
  runs: number[];
}

export interface PatchingPlan {
  /** The first is None. */
  runs: Intervention[];
  outcomes: PlannedOutcome[];
  comparisons: { first: string; second: string }[];
  /** Without KL; runs: of each form, one a draw. */
  controls: (Omit<ControlMatch, "kl"> & { runs: Record<PatchForm, number[]> })[];
}

/** Interventions without a subset, by their names in results. */
export const WHOLE_INTERVENTIONS = [
  { name: "None", kind: "none" },
  { name: "All", kind: "all" },
  { name: "Error", kind: "error" },
  { name: "Template", kind: "template" },
  { name: "Finetuned", kind: "finetuned" },
] as const;

export const outcomeName = (selection: string, form: PatchForm): string => `${selection}, ${form}`;
export const controlName = (name: string): string => `${name} control`;

/**
 * The plan of a selection. Controls come from latents outside the pool and outside the controlled subsets that fired; a subset
 * for which no control is found in some draw has no control outcome, and its match says what is missing.
 */
export function planPatching({
  selection: { pool, sets, comparisons },
  stats,
  draws = CONTROL_SETTINGS.draws,
  seed,
}: {
  selection: Selection;
  stats: FiringStats;
  draws?: number | undefined;
  seed: number;
}): PatchingPlan {
  const runs = createRuns();
  const plan: PatchingPlan = { runs: runs.list, outcomes: [], comparisons: [], controls: [] };
  for (const whole of WHOLE_INTERVENTIONS) {
    const rest = { form: null, nLatents: 0, selection: "", controlOf: "" };
    plan.outcomes.push({ ...whole, ...rest, runs: [runs.add(whole)] });
  }
  for (const set of sets) addSubset(plan, { set, runs });
  for (const { first, second } of comparisons) {
    for (const form of PATCH_FORMS) {
      plan.comparisons.push({ first: outcomeName(first, form), second: outcomeName(second, form) });
    }
  }
  const controlled = sets.filter(({ isControlled }) => isControlled);
  const excluded = new Set([pool, ...controlled.map(({ latents }) => latents)].flatMap((list) => [...list]));
  const eligible = [...stats.rate.keys()].filter(
    (latent) => isMatchable(stats, latent) && !excluded.has(latent),
  );
  for (const set of controlled) addControls(plan, { set, runs, eligible, stats, draws, seed });
  return plan;
}

/** Interventions by what they do: the same one is run once. */
function createRuns() {
  const list: Intervention[] = [];
  const byKey = new Map<string, number>();
  return {
    list,
    add(intervention: Intervention): number {
      const key = keyOf(intervention);
      const known = byKey.get(key);
      if (known !== undefined) return known;
      byKey.set(key, list.length);
      return list.push(intervention) - 1;
    },
  };
}

function keyOf(intervention: Intervention): string {
  if (intervention.kind !== "subset") return intervention.kind;
  const { form, latents } = intervention;
  return latents.length === 0 ? "none" : `${form}:${latents.join()}`;
}

type Runs = ReturnType<typeof createRuns>;

function addSubset(plan: PatchingPlan, { set, runs }: { set: LatentSet; runs: Runs }): void {
  const { selection, latents } = set;
  for (const form of PATCH_FORMS) {
    const name = outcomeName(selection, form);
    const run = runs.add({ name, kind: "subset", form, latents });
    const nLatents = latents.length;
    plan.outcomes.push({ name, kind: "subset", form, nLatents, selection, controlOf: "", runs: [run] });
  }
}

interface ControlsOf {
  set: LatentSet;
  runs: Runs;
  eligible: number[];
  stats: FiringStats;
  draws: number;
  seed: number;
}

function addControls(plan: PatchingPlan, { set, runs, eligible, stats, draws, seed }: ControlsOf): void {
  const { selection, latents } = set;
  const drawn = drawControls({ candidates: latents, eligible, stats, perLatent: draws, seed });
  const controls = drawn.map((draw) =>
    Uint32Array.from(draw.filter((latent) => latent !== undefined)).sort(),
  );
  const isDrawn = controls.every((list) => list.length > 0);
  const match = {
    selection,
    ...describeMatch({ candidates: latents, stats }, drawn),
    runs: { additive: [] as number[], replacing: [] as number[] },
  };
  plan.controls.push(match);
  if (!isDrawn) return;
  for (const form of PATCH_FORMS) {
    const controlOf = outcomeName(selection, form);
    const name = controlName(controlOf);
    match.runs[form] = controls.map((list, draw) =>
      runs.add({ name: `${name}, draw ${draw + 1}`, kind: "subset", form, latents: list }),
    );
    const nLatents = Math.round(controls.reduce((sum, list) => sum + list.length, 0) / draws);
    const shape = { kind: "subset" as const, form, nLatents, selection, controlOf };
    plan.outcomes.push({ name, ...shape, runs: match.runs[form] });
    plan.comparisons.push({ first: controlOf, second: name });
  }
}
