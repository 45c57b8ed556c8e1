// Slow twin of matched-controls.ts: every choice looks at all eligible latents and sorts them by distance.
//
// The same draws as drawControls, entry by entry. For tests and for readers; never called by the product.

import { createRng, keyedPermutation } from "../numerics/rng.ts";
import { type ControlOptions, isMatchable, matchDistance } from "./matched-controls.ts";

export function drawControlsReference({
  candidates: given,
  eligible,
  stats,
  perLatent,
  seed,
  mayShare = false,
}: ControlOptions): (number | undefined)[][] {
  const candidates = Array.from(given);
  const draws: (number | undefined)[][] = [];
  for (let draw = 0; draw < perLatent; draw += 1) {
    const controls = new Array<number | undefined>(candidates.length).fill(undefined);
    draws.push(controls);
    const orderOf = keyedPermutation(createRng(seed, "causal.controls.order"), draw, candidates.length);
    for (const turn of candidates.keys()) {
      const i = orderOf(turn);
      const candidate = candidates[i];
      if (!isMatchable(stats, candidate)) continue;
      const left = [...new Set(Array.from(eligible))].filter(
        (latent) =>
          isMatchable(stats, latent) &&
          !candidates.includes(latent) &&
          !draws.some((earlier) => earlier[i] === latent) &&
          (mayShare || !controls.includes(latent)),
      );
      const nearest = left
        .map((latent) => ({ latent, distance: matchDistance(stats, candidate, latent) }))
        .sort((a, b) => a.distance - b.distance || a.latent - b.latent)
        .slice(0, perLatent - draw);
      if (nearest.length === 0) continue;
      const pick = createRng(seed, "causal.controls.pick").uniform(draw, candidate);
      controls[i] = nearest[Math.floor(pick * nearest.length)].latent;
    }
  }
  return draws;
}
