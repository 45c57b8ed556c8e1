// The score of a comparison against rank-1 adapters: a pair whose truth is causal by construction.
//
// Every adapter writes B_i·(A_i·x) into the residual after the compared block and acts through nothing else, so that
// h_finetuned − h_base = Σ_i g_i·B_i there, exactly. Asked is whether some claim has the direction B_i and fires with the gate g_i.
// Gates come from the store alone, by least squares. The claim that stands for an adapter is chosen on heldout rows and
// scored on test rows, BOS left out of both. Not here: turns, spans and F1, which are truth.ts.

import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { denormaliseInPlace, normaliseInPlace } from "../dictionary/normaliser.ts";
import { MismatchError } from "../errors.ts";
import { assertBelongTogether, encodedRows } from "../measure/encoded-rows.ts";
import { ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { createGateReader, type GateReader } from "./adapter-gates.ts";

export const ADAPTER_THRESHOLDS = {
  /** An adapter is found when one claim reaches both. */
  cosine: 0.8,
  correlation: 0.7,
  /** A claim answers to no adapter when it is below both: |cosine| with span(B), and best correlation with any gate. */
  spanCosine: 0.8,
  spanCorrelation: 0.7,
  /** Largest share of Σ‖h_finetuned − h_base‖² that may lie outside span(B): storage in bf16 leaves less, other adapters more. */
  unexplainedShare: 0.01,
} as const;

const BOS = ROLES.indexOf("bos");
const BATCH_ROWS = 2048;
const CHOSEN_ON: Split = "heldout";
const SCORED_ON: Split = "test";

/** direction: [dModel] B_i in raw activation units, any length but 0. */
export interface AdapterDirection {
  name: string;
  direction: ArrayLike<number>;
}

export interface AdapterScore {
  name: string;
  /** The claim that stands for it: of those with enough cosine the one that follows the gate best on heldout; −1: no claims. */
  latent: number;
  /** |cosine| of its finetuned decoder row with B_i. */
  cosine: number;
  /** Of its code with the gate on test rows, the gate's sign taken so that the cosine is positive. */
  correlation: number;
  found: boolean;
  /** Claims whose |cosine| is enough. */
  claimsAlong: number;
}

export interface AdapterClaim {
  latent: number;
  /** Length of the unit decoder row's projection on span(B). */
  spanCosine: number;
  /** The adapter whose gate it follows best on test rows, and that correlation; "" and 0 when it never fired. */
  adapter: string;
  correlation: number;
  answers: boolean;
}

export interface AdapterTruth {
  planted: number;
  found: number;
  adapters: AdapterScore[];
  claims: AdapterClaim[];
  /** Claims that answer to no adapter, and their share of all claims (0 of none). */
  strayClaims: number;
  strayShare: number;
  /** Share of the pair's difference outside span(B), over the rows used. */
  unexplainedShare: number;
  thresholds: typeof ADAPTER_THRESHOLDS;
}

export interface AdapterScoreOptions {
  store: Store;
  dictionary: Dictionary;
  adapters: readonly AdapterDirection[];
  /** Latents claimed to be finetuned-specific. */
  claims: readonly number[];
  threads?: number;
  /** Used instead of an encoder made here, and not disposed. */
  encoder?: Encoder;
  signal?: AbortSignal;
}

/**
 * Throws MismatchError when store and dictionary do not belong together or when the pair's difference is not the adapters',
 * ShapeError and NumericsError for directions of another width, of length 0 or dependent ones, InterruptedError.
 */
export async function scoreAdapters(options: AdapterScoreOptions): Promise<AdapterTruth> {
  const { store, dictionary, adapters, claims } = options;
  assertBelongTogether(store, dictionary);
  const reader = createGateReader(
    adapters.map(({ direction }) => direction),
    dictionary.sites[1].width,
  );
  const directions = claims.map((latent) => finetunedRow(dictionary, latent));
  const sums = await correlate({ ...options, reader });
  if (sums.unexplainedShare > ADAPTER_THRESHOLDS.unexplainedShare) {
    throw new MismatchError(
      `${store.folder}: expected h_finetuned − h_base along the adapters' directions, got ${sums.unexplainedShare.toPrecision(3)} of it outside`,
      { hint: "harvest the pair that these adapters made, at the block they write into" },
    );
  }

  /** [adapter][claim], signed. */
  const cosines = adapters.map(({ direction }) => directions.map((row) => cosine(row, direction)));
  const along = (adapter: number, split: Split, claim: number): number =>
    Math.sign(cosines[adapter][claim]) * correlationOf(sums[split], claim, adapter);

  const scores = adapters.map(({ name }, adapter): AdapterScore => {
    const size = (claim: number): number => Math.abs(cosines[adapter][claim]);
    const all = [...claims.keys()];
    const close = all.filter((claim) => size(claim) >= ADAPTER_THRESHOLDS.cosine);
    const best =
      close.length > 0
        ? largest(close, (claim) => along(adapter, CHOSEN_ON, claim))
        : largest(all, (claim) => size(claim));
    if (best === undefined) {
      return { name, latent: -1, cosine: 0, correlation: 0, found: false, claimsAlong: 0 };
    }
    const correlation = along(adapter, SCORED_ON, best);
    const found = close.length > 0 && correlation >= ADAPTER_THRESHOLDS.correlation;
    return {
      name,
      latent: claims[best],
      cosine: size(best),
      correlation,
      found,
      claimsAlong: close.length,
    };
  });

  const answers = claims.map((latent, claim): AdapterClaim => {
    const spanCosine = reader.spanCosine(directions[claim]);
    const best = largest([...adapters.keys()], (adapter) => along(adapter, SCORED_ON, claim));
    const correlation = best === undefined ? 0 : along(best, SCORED_ON, claim);
    return {
      latent,
      spanCosine,
      adapter: best === undefined || correlation === 0 ? "" : adapters[best].name,
      correlation,
      answers:
        spanCosine >= ADAPTER_THRESHOLDS.spanCosine || correlation >= ADAPTER_THRESHOLDS.spanCorrelation,
    };
  });
  const strayClaims = answers.filter((claim) => !claim.answers).length;
  return {
    planted: adapters.length,
    found: scores.filter((score) => score.found).length,
    adapters: scores,
    claims: answers,
    strayClaims,
    strayShare: claims.length === 0 ? 0 : strayClaims / claims.length,
    unexplainedShare: sums.unexplainedShare,
    thresholds: ADAPTER_THRESHOLDS,
  };
}

/** Row of a latent's decoder in the fine-tune's space. A normaliser has one scale a site: directions are the raw ones. */
function finetunedRow({ width, sites, decoderWeight }: Dictionary, latent: number): Float32Array {
  return decoderWeight.subarray(latent * width + sites[0].width, (latent + 1) * width);
}

/** Pooled sums of one split; codes of claims against gates of adapters. */
interface CrossSums {
  nRows: number;
  /** [nClaims] Σf, Σf². */
  code: Float64Array;
  codeSquared: Float64Array;
  /** [nAdapters] Σg, Σg². */
  gate: Float64Array;
  gateSquared: Float64Array;
  /** [nClaims, nAdapters] Σfg. */
  product: Float64Array;
}

const emptySums = (nClaims: number, nAdapters: number): CrossSums => ({
  nRows: 0,
  code: new Float64Array(nClaims),
  codeSquared: new Float64Array(nClaims),
  gate: new Float64Array(nAdapters),
  gateSquared: new Float64Array(nAdapters),
  product: new Float64Array(nClaims * nAdapters),
});

/** Pearson's r of a claim's code with an adapter's gate; 0 where either does not vary. */
function correlationOf(sums: CrossSums, claim: number, adapter: number): number {
  const { nRows, code, codeSquared, gate, gateSquared, product } = sums;
  const varianceCode = codeSquared[claim] - code[claim] ** 2 / nRows;
  const varianceGate = gateSquared[adapter] - gate[adapter] ** 2 / nRows;
  if (!(varianceCode > 0 && varianceGate > 0)) return 0;
  const covariance = product[claim * gate.length + adapter] - (code[claim] * gate[adapter]) / nRows;
  return covariance / Math.sqrt(varianceCode * varianceGate);
}

type Sums = Record<Split, CrossSums> & { unexplainedShare: number };

/** One pass over heldout and test rows. */
async function correlate(options: AdapterScoreOptions & { reader: GateReader }): Promise<Sums> {
  const { store, dictionary, claims, adapters, reader, signal } = options;
  const { sites, width } = dictionary;
  const claimOf = new Int32Array(dictionary.nLatents).fill(-1);
  for (const [claim, latent] of claims.entries()) claimOf[latent] = claim;
  const sums = Object.fromEntries(
    (["train", "heldout", "test"] as const).map((split) => [
      split,
      emptySums(claims.length, adapters.length),
    ]),
  ) as Record<Split, CrossSums>;
  const gates = new Float64Array(adapters.length);
  const difference = new Float64Array(sites[1].width);
  let [total, unexplained] = [0, 0];
  const encoder =
    options.encoder ?? (await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads: options.threads }));
  try {
    const batches = encodedRows({
      store,
      splits: [CHOSEN_ON, SCORED_ON],
      encoder,
      normalise: (x, nRows) => normaliseInPlace(x, nRows, dictionary),
      signal,
    });
    for await (const { nRows, rows, x, codes } of batches) {
      const raw = denormaliseInPlace(x.slice(), nRows, dictionary);
      for (let i = 0; i < nRows; i += 1) {
        if (store.rows.role[rows[i]] === BOS) continue;
        for (let c = 0; c < difference.length; c += 1) {
          difference[c] = raw[i * width + sites[0].width + c] - raw[i * width + c];
        }
        const { squaredNorm, squaredResidual } = reader.read(difference, gates);
        total += squaredNorm;
        unexplained += squaredResidual;
        const into = sums[store.documents[store.rows.document[rows[i]]].split];
        addGates(into, gates);
        for (let entry = codes.rowStart[i]; entry < codes.rowStart[i + 1]; entry += 1) {
          const claim = claimOf[codes.latent[entry]];
          if (claim >= 0) addCode(into, { claim, code: codes.code[entry], gates });
        }
      }
    }
  } finally {
    if (options.encoder === undefined) await encoder.dispose();
  }
  return { ...sums, unexplainedShare: total === 0 ? 0 : unexplained / total };
}

function addGates(into: CrossSums, gates: Float64Array): void {
  into.nRows += 1;
  for (let adapter = 0; adapter < gates.length; adapter += 1) {
    into.gate[adapter] += gates[adapter];
    into.gateSquared[adapter] += gates[adapter] ** 2;
  }
}

function addCode(
  into: CrossSums,
  { claim, code, gates }: { claim: number; code: number; gates: Float64Array },
): void {
  into.code[claim] += code;
  into.codeSquared[claim] += code * code;
  for (let adapter = 0; adapter < gates.length; adapter += 1) {
    into.product[claim * gates.length + adapter] += code * gates[adapter];
  }
}

/** 0 where either has no length. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** The first item with the largest value; undefined of none. */
function largest(items: readonly number[], value: (item: number) => number): number | undefined {
  let best: number | undefined;
  for (const item of items) if (best === undefined || value(item) > value(best)) best = item;
  return best;
}
