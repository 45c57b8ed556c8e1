// Latent Scaling of all latents in both directions, from sums that one sparse pass over the rows collects.
//
// Minder et al. 2025 (arXiv:2504.02922, §2.3). For direction d and target y the best multiple of f·d has the closed
// form β = Σ f<d, y> / (Σf²·‖d‖²); the error target needs no pass of its own:
//     β_error(m) = β_activation(m) − β_reconstruction(m) + <d, d_m>/‖d‖²      d_m: model m's own decoder row.
// Models of different width have no direction in common. There, d stands in the other model as that model's own row d_m
// brought to the length of d: d ↦ ‖d‖·d_m/‖d_m‖. Where both rows point the same way this is the published quantity; what
// the other model holds along another direction than d_m stays unseen, so a low nu is weaker evidence. The slow twin, latent-scaling-reference.ts, solves every least-squares problem by itself.

import type { LatentScaling } from "./measure-contract.ts";

/**
 * What is summed for a latent over the rows of one document group; index into the innermost axis of LatentSums.
 *
 * ALONG_<direction>_<target>_<model> is Σ_i f_i <d_direction, target_model_i>, over rows where the latent fired.
 */
export const SUM = {
  fired: 0,
  code: 1,
  codeSquared: 2,
  codeOnTemplate: 3,
  alongFinetunedActivationBase: 4,
  alongFinetunedActivationFinetuned: 5,
  alongFinetunedReconstructionBase: 6,
  alongFinetunedReconstructionFinetuned: 7,
  alongBaseActivationBase: 8,
  alongBaseActivationFinetuned: 9,
  alongBaseReconstructionBase: 10,
  alongBaseReconstructionFinetuned: 11,
  /** Σ over documents of m·log m and of m, m the sum of the latent's activations in a document. */
  documentMassLogMass: 12,
  documentMass: 13,
} as const;
export const N_SUMS = 14;

/**
 * Sums kept apart by document group, so that intervals can come from resampling groups and the order of addition is
 * fixed: rows within a group in store order, groups in index order.
 */
export interface LatentSums {
  nGroups: number;
  nLatents: number;
  /** [nGroups, nLatents, N_SUMS] f64. */
  values: Float64Array;
}

export function createLatentSums(nGroups: number, nLatents: number): LatentSums {
  return { nGroups, nLatents, values: new Float64Array(nGroups * nLatents * N_SUMS) };
}

/** dModel of the two models. */
export interface ModelWidths {
  base: number;
  finetuned: number;
}

/** One row's codes and targets. Activations and reconstructions: [base + finetuned width] f64, base first. */
export interface ScalingRow {
  group: number;
  onTemplate: boolean;
  activation: Float64Array;
  reconstruction: Float64Array;
  latent: Uint32Array;
  code: Float32Array;
  /** Entries [from, to) of latent and code belong to this row. */
  from: number;
  to: number;
}

/**
 * Adds one row: costs 8·dModel multiply-adds for each latent that fired, nothing for the others. With models of different
 * width only the sums of a direction in its own model exist; the others stay 0.
 */
export function addRow(
  sums: LatentSums,
  decoderWeight: Float32Array,
  widths: ModelWidths,
  row: ScalingRow,
): void {
  if (widths.base === widths.finetuned) addRowOfOneWidth(sums, decoderWeight, widths.base, row);
  else addRowOfTwoWidths(sums, decoderWeight, widths, row);
}

function addRowOfTwoWidths(
  sums: LatentSums,
  decoderWeight: Float32Array,
  { base, finetuned }: ModelWidths,
  row: ScalingRow,
): void {
  const { activation, reconstruction, latent, code } = row;
  const { values } = sums;
  const width = base + finetuned;
  const along = (target: Float64Array, j: number, from: number, to: number): number => {
    let inner = 0;
    for (let c = from; c < to; c += 1) inner += decoderWeight[j * width + c] * target[c];
    return inner;
  };
  for (let entry = row.from; entry < row.to; entry += 1) {
    const j = latent[entry];
    const f = code[entry];
    const at = (row.group * sums.nLatents + j) * N_SUMS;
    values[at + SUM.fired] += 1;
    values[at + SUM.code] += f;
    values[at + SUM.codeSquared] += f * f;
    if (row.onTemplate) values[at + SUM.codeOnTemplate] += f;
    values[at + SUM.alongBaseActivationBase] += f * along(activation, j, 0, base);
    values[at + SUM.alongBaseReconstructionBase] += f * along(reconstruction, j, 0, base);
    values[at + SUM.alongFinetunedActivationFinetuned] += f * along(activation, j, base, width);
    values[at + SUM.alongFinetunedReconstructionFinetuned] += f * along(reconstruction, j, base, width);
  }
}

function addRowOfOneWidth(
  sums: LatentSums,
  decoderWeight: Float32Array,
  dModel: number,
  row: ScalingRow,
): void {
  const { activation, reconstruction, latent, code } = row;
  const { values } = sums;
  const groupStart = row.group * sums.nLatents;
  for (let entry = row.from; entry < row.to; entry += 1) {
    const j = latent[entry];
    const f = code[entry];
    let finetunedActivationBase = 0;
    let finetunedActivationFinetuned = 0;
    let finetunedReconstructionBase = 0;
    let finetunedReconstructionFinetuned = 0;
    let baseActivationBase = 0;
    let baseActivationFinetuned = 0;
    let baseReconstructionBase = 0;
    let baseReconstructionFinetuned = 0;
    for (let c = 0, at = j * 2 * dModel; c < dModel; c += 1, at += 1) {
      const directionBase = decoderWeight[at];
      const directionFinetuned = decoderWeight[at + dModel];
      const hBase = activation[c];
      const hFinetuned = activation[c + dModel];
      const rBase = reconstruction[c];
      const rFinetuned = reconstruction[c + dModel];
      finetunedActivationBase += directionFinetuned * hBase;
      finetunedActivationFinetuned += directionFinetuned * hFinetuned;
      finetunedReconstructionBase += directionFinetuned * rBase;
      finetunedReconstructionFinetuned += directionFinetuned * rFinetuned;
      baseActivationBase += directionBase * hBase;
      baseActivationFinetuned += directionBase * hFinetuned;
      baseReconstructionBase += directionBase * rBase;
      baseReconstructionFinetuned += directionBase * rFinetuned;
    }
    const at = (groupStart + j) * N_SUMS;
    values[at] += 1;
    values[at + 1] += f;
    values[at + 2] += f * f;
    if (row.onTemplate) values[at + 3] += f;
    values[at + 4] += f * finetunedActivationBase;
    values[at + 5] += f * finetunedActivationFinetuned;
    values[at + 6] += f * finetunedReconstructionBase;
    values[at + 7] += f * finetunedReconstructionFinetuned;
    values[at + 8] += f * baseActivationBase;
    values[at + 9] += f * baseActivationFinetuned;
    values[at + 10] += f * baseReconstructionBase;
    values[at + 11] += f * baseReconstructionFinetuned;
  }
}

/**
 * Sums over groups: [nLatents, N_SUMS] f64. weights (optional, [nGroups]): how often each group counts, as a
 * resampling of groups draws them.
 */
export function totalSums(sums: LatentSums, weights?: ArrayLike<number>): Float64Array {
  const size = sums.nLatents * N_SUMS;
  const total = new Float64Array(size);
  for (let group = 0; group < sums.nGroups; group += 1) {
    const weight = weights === undefined ? 1 : weights[group];
    if (weight === 0) continue;
    for (let i = 0, at = group * size; i < size; i += 1, at += 1) total[i] += weight * sums.values[at];
  }
  return total;
}

/** The sums of latents [from, from + size), copied: [nGroups, size, N_SUMS]. */
export function sliceOfSums(
  { nGroups, nLatents, values }: LatentSums,
  from: number,
  size: number,
): LatentSums {
  const slice = createLatentSums(nGroups, size);
  for (let group = 0; group < nGroups; group += 1) {
    const start = (group * nLatents + from) * N_SUMS;
    slice.values.set(values.subarray(start, start + size * N_SUMS), group * size * N_SUMS);
  }
  return slice;
}

/** Squared norms of a latent's two rows and their inner product. */
export interface RowGeometry {
  squaredBase: number;
  squaredFinetuned: number;
  /** null: the models differ in width, so that there is none. */
  inner: number | null;
}

/** weight: [nLatents, base + finetuned width] f32, encoder or decoder. */
export function rowGeometry(
  weight: Float32Array,
  { base, finetuned }: ModelWidths,
  latent: number,
): RowGeometry {
  const start = latent * (base + finetuned);
  let squaredBase = 0;
  let squaredFinetuned = 0;
  for (let at = start; at < start + base; at += 1) squaredBase += weight[at] * weight[at];
  for (let at = start + base; at < start + base + finetuned; at += 1)
    squaredFinetuned += weight[at] * weight[at];
  if (base !== finetuned) return { squaredBase, squaredFinetuned, inner: null };
  let inner = 0;
  for (let at = start; at < start + base; at += 1) inner += weight[at] * weight[at + base];
  return { squaredBase, squaredFinetuned, inner };
}

/**
 * Both scalings of one latent. sums: [N_SUMS] of that latent.
 *
 * NaN where the quantity does not exist: a latent that never fired, or a decoder row of norm 0 along its direction.
 */
export function scalingOfLatent(
  sums: ArrayLike<number>,
  geometry: RowGeometry,
): { finetuned: LatentScaling; base: LatentScaling } {
  const { squaredBase, squaredFinetuned } = geometry;
  const energy = sums[SUM.codeSquared];
  const inner = geometry.inner ?? Math.sqrt(squaredBase * squaredFinetuned);
  if (geometry.inner === null) sums = withTransportedSums(sums, Math.sqrt(squaredFinetuned / squaredBase));
  const finetuned = betas({
    denominator: energy * squaredFinetuned,
    activation: [sums[SUM.alongFinetunedActivationBase], sums[SUM.alongFinetunedActivationFinetuned]],
    reconstruction: [
      sums[SUM.alongFinetunedReconstructionBase],
      sums[SUM.alongFinetunedReconstructionFinetuned],
    ],
    ownShare: [inner / squaredFinetuned, 1],
  });
  const base = betas({
    denominator: energy * squaredBase,
    activation: [sums[SUM.alongBaseActivationBase], sums[SUM.alongBaseActivationFinetuned]],
    reconstruction: [sums[SUM.alongBaseReconstructionBase], sums[SUM.alongBaseReconstructionFinetuned]],
    ownShare: [1, inner / squaredBase],
  });
  return {
    finetuned: {
      ...finetuned,
      nuActivation: finetuned.betaActivationBase / finetuned.betaActivationFinetuned,
      nuReconstruction: finetuned.betaReconstructionBase / finetuned.betaReconstructionFinetuned,
      nuError: finetuned.betaErrorBase / finetuned.betaErrorFinetuned,
    },
    base: {
      ...base,
      nuActivation: base.betaActivationFinetuned / base.betaActivationBase,
      nuReconstruction: base.betaReconstructionFinetuned / base.betaReconstructionBase,
      nuError: base.betaErrorFinetuned / base.betaErrorBase,
    },
  };
}

/** Fills in the sums of either direction in the other model: its own row's, times the ratio of the lengths. */
function withTransportedSums(own: ArrayLike<number>, finetunedOverBase: number): ArrayLike<number> {
  const sums = Float64Array.from(own);
  for (const [ofBase, ofFinetuned, acrossBase, acrossFinetuned] of [
    [
      SUM.alongBaseActivationBase,
      SUM.alongFinetunedActivationFinetuned,
      SUM.alongFinetunedActivationBase,
      SUM.alongBaseActivationFinetuned,
    ],
    [
      SUM.alongBaseReconstructionBase,
      SUM.alongFinetunedReconstructionFinetuned,
      SUM.alongFinetunedReconstructionBase,
      SUM.alongBaseReconstructionFinetuned,
    ],
  ]) {
    sums[acrossBase] = sums[ofBase] * finetunedOverBase;
    sums[acrossFinetuned] = sums[ofFinetuned] / finetunedOverBase;
  }
  return sums;
}

/** Pairs are [base, finetuned]. ownShare: <d, d_m>/‖d‖² of model m's own decoder row. */
interface Numerators {
  denominator: number;
  activation: [number, number];
  reconstruction: [number, number];
  ownShare: [number, number];
}

type Betas = Omit<LatentScaling, "nuActivation" | "nuReconstruction" | "nuError">;

function betas({ denominator, activation, reconstruction, ownShare }: Numerators): Betas {
  const betaActivationBase = activation[0] / denominator;
  const betaActivationFinetuned = activation[1] / denominator;
  const betaReconstructionBase = reconstruction[0] / denominator;
  const betaReconstructionFinetuned = reconstruction[1] / denominator;
  return {
    betaActivationBase,
    betaActivationFinetuned,
    betaReconstructionBase,
    betaReconstructionFinetuned,
    betaErrorBase: betaActivationBase - betaReconstructionBase + ownShare[0],
    betaErrorFinetuned: betaActivationFinetuned - betaReconstructionFinetuned + ownShare[1],
  };
}
