// Which latents are added and removed one by one: the candidates, and a pool of controls that they share.
//
// Candidates lean to the fine-tune (deltaNorm above the candidate threshold); claims come first, then the greatest deltaNorm. Controls
// come from the latents that do not lean so, matched as in matched-controls.ts; a candidate's p-value needs controls, and those are
// measured like candidates, so they are shared and their number is bounded.

import { ConfigError } from "../errors.ts";
import { CLAIM_THRESHOLDS, type LatentMeasure } from "../measure/measure-contract.ts";
import type { FiringStats } from "./firing-stats.ts";
import { requireLatent } from "./hybrids.ts";
import { matchedControls } from "./matched-controls.ts";

export const PLAN_SETTINGS = {
  mostCandidates: 500,
  controlsPerLatent: 5,
  /** Most controls in all. */
  mostControls: 200,
} as const;

export interface EffectsPlan {
  /** Each once, in the order in which they are listed. */
  candidates: number[];
  /** Of each candidate; none for one that never fired in the conversations. */
  controls: Map<number, number[]>;
}

export interface PlanOptions {
  latents: readonly LatentMeasure[];
  stats: FiringStats;
  /** Instead of those that lean to the fine-tune. */
  candidates?: readonly number[];
  /** Default PLAN_SETTINGS.mostCandidates. */
  mostCandidates?: number;
  controlsPerLatent?: number;
  mostControls?: number;
  /** Of the draw of controls; default 0. */
  seed?: number;
}

/** Of all candidates, each once, ascending. */
export function controlLatents({ controls }: Pick<EffectsPlan, "controls">): number[] {
  return [...new Set([...controls.values()].flat())].sort((a, b) => a - b);
}

/** Claims first, then by deltaNorm, greatest first; of equal ones the lowest. Latents that never fired are left out. */
export function effectCandidates(
  latents: readonly LatentMeasure[],
  most: number = PLAN_SETTINGS.mostCandidates,
): number[] {
  const isClaim = ({ claim }: LatentMeasure): number => Number(claim === "finetuned-specific");
  return latents
    .filter((latent) => latent.frequency > 0 && (isClaim(latent) === 1 || leans(latent)))
    .sort((a, b) => isClaim(b) - isClaim(a) || b.deltaNorm - a.deltaNorm || a.latent - b.latent)
    .slice(0, most)
    .map(({ latent }) => latent);
}

/**
 * The pool of controls are the latents that are most often among the nearest of a candidate; each candidate then keeps its nearest of
 * these. Throws ConfigError for candidates that do not exist or stand twice, and for a pool smaller than one candidate needs.
 */
export function planEffects({
  latents,
  stats,
  candidates: asked,
  mostCandidates,
  controlsPerLatent: perLatent = PLAN_SETTINGS.controlsPerLatent,
  mostControls = PLAN_SETTINGS.mostControls,
  seed = 0,
}: PlanOptions): EffectsPlan {
  if (mostControls < perLatent) {
    throw new ConfigError(
      `mostControls: expected at least the ${perLatent} of one candidate, got ${mostControls}`,
    );
  }
  const candidates = [...(asked ?? effectCandidates(latents, mostCandidates))];
  for (const [at, latent] of candidates.entries()) {
    requireLatent(latent, latents.length);
    if (candidates.indexOf(latent) === at) continue;
    throw new ConfigError(`candidates: expected each latent once, got ${latent} twice`);
  }
  const match = (eligible: readonly number[]): Map<number, number[]> =>
    matchedControls({ candidates, eligible, stats, perLatent, seed, mayShare: true });
  const nearest = match(latents.filter((latent) => !leans(latent)).map(({ latent }) => latent));
  const mentions = new Map<number, number>();
  for (const control of [...nearest.values()].flat()) mentions.set(control, (mentions.get(control) ?? 0) + 1);
  if (mentions.size <= mostControls) return { candidates, controls: nearest };
  const pool = [...mentions].sort(([a, timesA], [b, timesB]) => timesB - timesA || a - b);
  return { candidates, controls: match(pool.slice(0, mostControls).map(([latent]) => latent)) };
}

function leans({ deltaNorm }: LatentMeasure): boolean {
  return deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm;
}
