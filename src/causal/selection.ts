// Which latents the paper's experiment puts into the base: the candidates, their halves, and sets by threshold and by claim.
//
// Minder et al. 2025 (arXiv:2504.02922), §3.2 and App. G. The paper's candidates are the 3,176 latents of greatest deltaNorm; ours are
// by default those that lean to the fine-tune as claims do. Filters as in the published code: dead, NaN, nu outside [−0.1, 2].
// Two choices differ from it, where it leaves the matter to chance: equal values are ordered by latent (there: an unstable sort),
// and of an odd number the middle latent belongs to the worse half (there: to neither). Not here: random controls.

import { ConfigError } from "../errors.ts";
import { CLAIM_THRESHOLDS, type LatentMeasure } from "../measure/measure-contract.ts";
import type { PaperChoices, PoolCounts } from "./causal-contract.ts";

export const SELECTION_SETTINGS = {
  /** The paper's number of candidates, for `pool`. */
  publishedPool: 3176,
  /** Threshold sets, of the pool's live latents before the filters of nu. The published dec_norm_diff ≤ 0.3 is deltaNorm ≥ 0.7. */
  deltaNormAtLeast: 0.7,
  nuActivationAtMost: [0.6, 0.3],
} as const;

/** "leaning": deltaNorm above CLAIM_THRESHOLDS.candidateDeltaNorm. A number: so many, of greatest deltaNorm. */
export type CandidatePool = "leaning" | number;

export interface LatentSet {
  /** In words, as results name it. */
  selection: string;
  /** Ascending. */
  latents: Uint32Array;
  /** Whether random controls are drawn for it. */
  isControlled: boolean;
}

export interface Selection {
  /** Before any filter, ascending; controls are drawn from outside. */
  pool: Uint32Array;
  poolCounts: PoolCounts;
  sets: LatentSet[];
  /** Selections to hold against each other. */
  comparisons: { first: string; second: string }[];
}

/**
 * Chooses from the measurements of all latents.
 *
 * The order of the halves: rank(nuError) + rank(nuReconstruction), least first (equal values share their mean rank), and deltaNorm,
 * greatest first. Throws ConfigError for a pool of a number that the dictionary does not have.
 */
export function selectLatents(
  latents: readonly LatentMeasure[],
  { pool: asked = "leaning", nuRank }: { pool?: CandidatePool; nuRank: PaperChoices["nuRank"] },
): Selection {
  const pool = poolOf(latents, asked);
  const poolCounts: PoolCounts = {
    ...{ pool: pool.length, dead: 0, nuMissing: 0, nuReconstructionOutOfRange: 0, nuErrorOutOfRange: 0 },
    kept: 0,
  };
  const live = pool.filter(({ frequency }) => frequency > 0);
  poolCounts.dead = pool.length - live.length;
  const kept = live.filter(({ scalingFinetuned: { nuReconstruction, nuError } }) => {
    if (Number.isNaN(nuReconstruction) || Number.isNaN(nuError)) poolCounts.nuMissing += 1;
    else if (!isInRange(nuReconstruction)) poolCounts.nuReconstructionOutOfRange += 1;
    else if (!isInRange(nuError)) poolCounts.nuErrorOutOfRange += 1;
    else return true;
    return false;
  });
  poolCounts.kept = kept.length;

  const ranked = (of: (latent: LatentMeasure) => number): Float64Array =>
    meanRanks(kept.map((latent) => (nuRank === "absolute" ? Math.abs(of(latent)) : of(latent))));
  const rankOfError = ranked(({ scalingFinetuned }) => scalingFinetuned.nuError);
  const rankOfReconstruction = ranked(({ scalingFinetuned }) => scalingFinetuned.nuReconstruction);
  const { deltaNormAtLeast, nuActivationAtMost } = SELECTION_SETTINGS;
  const claims = latents.filter(({ claim }) => claim === "finetuned-specific");
  return {
    pool: indicesOf(pool),
    poolCounts,
    sets: [
      ...halves("latent-scaling", kept, (i) => rankOfError[i] + rankOfReconstruction[i]),
      ...halves("deltaNorm", kept, (i) => -kept[i].deltaNorm),
      setOf(
        `deltaNorm ≥ ${deltaNormAtLeast}`,
        live.filter(({ deltaNorm }) => deltaNorm >= deltaNormAtLeast),
      ),
      ...nuActivationAtMost.map((most) =>
        setOf(
          `|nuActivation| ≤ ${most}`,
          live.filter(({ scalingFinetuned }) => Math.abs(scalingFinetuned.nuActivation) <= most),
        ),
      ),
      { ...setOf("claims", claims), isControlled: true },
      setOf(
        "genuine claims",
        claims.filter(({ verdict }) => verdict === "genuine"),
      ),
    ],
    comparisons: [
      { first: "latent-scaling best half", second: "latent-scaling worst half" },
      { first: "deltaNorm best half", second: "deltaNorm worst half" },
      { first: "latent-scaling best half", second: "deltaNorm best half" },
    ],
  };
}

/** Ranks from 1, ascending; equal values share the mean of theirs. values: finite. */
export function meanRanks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let i = start; i < end; i += 1) ranks[order[i]] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

function poolOf(latents: readonly LatentMeasure[], asked: CandidatePool): readonly LatentMeasure[] {
  if (asked === "leaning") {
    return latents.filter(({ deltaNorm }) => deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm);
  }
  if (!Number.isSafeInteger(asked) || asked < 1 || asked > latents.length) {
    throw new ConfigError(`pool: expected a number of latents from 1 to ${latents.length}, got ${asked}`, {
      hint: 'give a smaller number, or "leaning" for all that lean to the fine-tune',
    });
  }
  return latents
    .filter(({ deltaNorm }) => !Number.isNaN(deltaNorm))
    .sort((a, b) => b.deltaNorm - a.deltaNorm || a.latent - b.latent)
    .slice(0, asked)
    .sort((a, b) => a.latent - b.latent);
}

function isInRange(nu: number): boolean {
  return nu >= CLAIM_THRESHOLDS.nuMinimum && nu <= CLAIM_THRESHOLDS.nuMaximum;
}

/** Best (least key) and worst half of the latents. */
function halves(
  name: string,
  latents: readonly LatentMeasure[],
  keyOf: (index: number) => number,
): LatentSet[] {
  const ordered = latents
    .map((latent, i) => ({ latent, key: keyOf(i) }))
    .sort((a, b) => a.key - b.key || a.latent.latent - b.latent.latent)
    .map(({ latent }) => latent);
  const half = Math.floor(ordered.length / 2);
  return [
    { ...setOf(`${name} best half`, ordered.slice(0, half)), isControlled: true },
    setOf(`${name} worst half`, ordered.slice(half)),
  ];
}

function setOf(selection: string, latents: readonly LatentMeasure[]): LatentSet {
  return { selection, latents: indicesOf(latents), isControlled: false };
}

function indicesOf(latents: readonly LatentMeasure[]): Uint32Array {
  return Uint32Array.from(latents, ({ latent }) => latent).sort();
}
