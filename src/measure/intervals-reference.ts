// Slow twin of intervals.ts: every draw scaled by itself, all ratios sorted, the limits read off.
//
// Written as the definition reads: weigh the groups as the draw says, add them up (totalSums), take both scalings
// (scalingOfLatent), and rank. For tests and for readers; never called by the product.

import { quantileOfSorted } from "../numerics/statistics.ts";
import { INTERVAL_DEFAULTS, type Resampling } from "./intervals.ts";
import {
  type LatentSums,
  N_SUMS,
  type RowGeometry,
  SUM,
  scalingOfLatent,
  totalSums,
} from "./latent-scaling.ts";
import type { LatentScaling } from "./measure-contract.ts";
import { type Interval, type LatentIntervals, NU_NAMES, type NuName } from "./measure-contract.ts";

type OwnBetas = Record<NuName, keyof LatentScaling>;

/** The beta that each nu divides by. */
const OWN_BETA: { finetuned: OwnBetas; base: OwnBetas } = {
  finetuned: {
    nuActivation: "betaActivationFinetuned",
    nuReconstruction: "betaReconstructionFinetuned",
    nuError: "betaErrorFinetuned",
  },
  base: {
    nuActivation: "betaActivationBase",
    nuReconstruction: "betaReconstructionBase",
    nuError: "betaErrorBase",
  },
};

/** Intervals of one latent of the sums. */
export function intervalsReference(
  sums: LatentSums,
  latent: number,
  { geometry, resampling }: { geometry: RowGeometry; resampling: Resampling },
): LatentIntervals {
  const { nDraws, nGroups, counts } = resampling;
  const nGroupsFired = Array.from({ length: nGroups }, (_, group) => group).filter(
    (group) => sums.values[(group * sums.nLatents + latent) * N_SUMS + SUM.fired] > 0,
  ).length;
  const draws = Array.from({ length: nDraws }, (_, draw) => {
    const totals = totalSums(sums, counts.subarray(draw * nGroups, (draw + 1) * nGroups));
    return scalingOfLatent(totals.subarray(latent * N_SUMS, (latent + 1) * N_SUMS), geometry);
  });
  const along = (direction: "finetuned" | "base"): Record<NuName, Interval> =>
    Object.fromEntries(
      NU_NAMES.map((nu): [NuName, Interval] => {
        if (nGroupsFired === 0) return [nu, { low: Number.NaN, high: Number.NaN }];
        const ratios = draws.map((scaling) => {
          const exists =
            scaling[direction][OWN_BETA[direction][nu]] > 0 && Number.isFinite(scaling[direction][nu]);
          return exists ? scaling[direction][nu] : undefined;
        });
        const tail = (1 - INTERVAL_DEFAULTS.level) / 2;
        return [
          nu,
          {
            low: limit(ratios, tail, Number.NEGATIVE_INFINITY),
            high: limit(ratios, 1 - tail, Number.POSITIVE_INFINITY),
          },
        ];
      }),
    ) as Record<NuName, Interval>;
  return { finetuned: along("finetuned"), base: along("base"), nGroupsFired };
}

/** Quantile q of the ratios with `absent` in the place of those that do not exist; infinite when it touches one. */
function limit(ratios: readonly (number | undefined)[], q: number, absent: number): number {
  const sorted = ratios.map((ratio) => ratio ?? absent).sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const touched = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return touched.includes(absent) ? absent : quantileOfSorted(sorted, q);
}
