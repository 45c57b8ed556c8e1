// The score of a comparison against planted truth: which concepts were found, and which claims are right.
//
// Unit: the assistant turn. A latent's score on a turn is its largest activation over the turn's region; latent and
// threshold are chosen on heldout and scored on test; a claim must be specific and predict. Labels permuted across
// documents are the control. Labels come from the generator's spans and are never fitted to latents.
//
// Here "claims" are the finetuned-specific ones: planted behaviours are what the fine-tune added. Their activation
// mass is taken over all heldout and test rows without BOS.

import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { MismatchError } from "../errors.ts";
import { assertBelongTogether, countRows } from "../measure/encoded-rows.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import type { ReportProgress } from "../progress.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { scoreClaims } from "./claim-scores.ts";
import { scoreProbes } from "./linear-probes.ts";
import { tokenF1 } from "./token-score.ts";
import type { ConceptScore, TruthScore } from "./truth-contract.ts";
import { turnPass } from "./turn-maxima.ts";
import { chooseLatents, permuteLabels, rankTurns, recallAt } from "./turn-selection.ts";
import { assistantTurns, conceptPlaces, turnLabels } from "./turns.ts";

export { readTruth, writeTruth } from "./truth-file.ts";

/** F1 on test turns from which a concept counts as found. */
export const FOUND_AT = 0.7;
/** Draws of the permuted control that are averaged. */
export const PERMUTATIONS = 5;

const SPLITS: readonly Split[] = ["heldout", "test"];
const BATCH_ROWS = 2048;

export interface TruthOptions {
  store: Store;
  dictionary: Dictionary;
  /** The measured table, in latent order. */
  latents: LatentMeasure[];
  /** Names of all planted concepts, found or not. */
  conceptNames: string[];
  /** Of the permuted control and of the probes' sample. Default 0. */
  seed?: number;
  threads?: number;
  /** Used instead of an encoder made here, and not disposed. */
  encoder?: Encoder;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * Scores the claims of a measured dictionary on a store whose documents carry spans.
 *
 * Throws MismatchError when store, dictionary and table do not belong together, when there is no concept or no
 * assistant turn in either split, InterruptedError.
 */
export async function scoreTruth(options: TruthOptions): Promise<TruthScore> {
  const { store, dictionary, latents, conceptNames, seed = 0, reportProgress, signal } = options;
  assertBelongTogether(store, dictionary);
  if (latents.length !== dictionary.nLatents) {
    throw new MismatchError(
      `latents: expected ${dictionary.nLatents} rows as the dictionary, got ${latents.length}`,
      {
        hint: "measure this dictionary again",
      },
    );
  }
  const turns = assistantTurns(store, SPLITS);
  const missing = SPLITS.filter((split) => !turns.some((turn) => turn.split === split));
  if (conceptNames.length === 0 || missing.length > 0) {
    throw new MismatchError(
      `${store.folder}: expected planted concepts and assistant turns in splits heldout and test, ` +
        `got ${conceptNames.length} concepts and no turn in ${missing.join(" and ") || "neither"}`,
      { hint: "score only stores of data with known truth, with chats in every split" },
    );
  }

  const claimed = latents
    .filter((latent) => latent.claim === "finetuned-specific")
    .map(({ latent }) => latent);
  const encoder =
    options.encoder ?? (await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads: options.threads }));
  const total = countRows(store, SPLITS);
  const pass = await turnPass({
    store,
    encoder,
    normalise: (x, nRows) => normaliseInPlace(x, nRows, dictionary),
    nLatents: dictionary.nLatents,
    activationWeight: latentWeights(dictionary),
    splits: SPLITS,
    turns,
    claimed,
    onRows: (done) => reportProgress?.({ stage: "truth", done, total, unit: "rows" }),
    signal,
  }).finally(() => (options.encoder === undefined ? encoder.dispose() : undefined));

  const labels = turnLabels(store, turns, conceptNames);
  const places = conceptPlaces(store, SPLITS, conceptNames);
  const rankings = rankTurns(turns, pass.maxima);
  const choices = chooseLatents({ rankings, turns, labels, pool: claimed });
  const anyChoices = chooseLatents({ rankings, turns, labels, pool: latents.map(({ latent }) => latent) });
  const permuted = Array.from({ length: PERMUTATIONS }, (_, draw) =>
    recallAt(
      chooseLatents({
        rankings,
        turns,
        labels: permuteLabels({ turns, labels, seed, draw }),
        pool: claimed,
      }),
      FOUND_AT,
    ),
  );
  const probes = await scoreProbes({
    store,
    conceptNames,
    seed,
    onFit: (done, fits) => reportProgress?.({ stage: "truth probes", done, total: fits, unit: "fits" }),
    signal,
  });

  const concepts = conceptNames.map((name, concept): ConceptScore => {
    const { latent, testF1, testAuroc } = choices[concept];
    const row: LatentMeasure | undefined = latents[latent];
    const firings = pass.firings.get(latent);
    return {
      name,
      latent,
      turnF1: testF1,
      turnAuroc: testAuroc,
      tokenF1: firings === undefined ? 0 : tokenF1({ store, places: places[concept], firings }),
      deltaNorm: row?.deltaNorm ?? Number.NaN,
      nuReconstruction: row?.scalingFinetuned.nuReconstruction ?? Number.NaN,
      nuError: row?.scalingFinetuned.nuError ?? Number.NaN,
      probeBase: probes.base[concept],
      probeFinetuned: probes.finetuned[concept],
      found: testF1 >= FOUND_AT,
      anyLatent: anyChoices[concept].latent,
      anyLatentTurnF1: anyChoices[concept].testF1,
    };
  });
  const claims = scoreClaims({ store, places, conceptNames, firings: pass.firings });
  return {
    conceptsPlanted: conceptNames.length,
    conceptsFound: concepts.filter((concept) => concept.found).length,
    recall: recallAt(choices, FOUND_AT),
    recallAt06: recallAt(choices, 0.6),
    recallAt08: recallAt(choices, 0.8),
    recallAnyLatent: recallAt(anyChoices, FOUND_AT),
    precision: claims.precision,
    precisionWithTemplate: claims.precisionWithTemplate,
    permutedRecall: permuted.reduce((sum, recall) => sum + recall, 0) / permuted.length,
    concepts,
    claims: claims.claims,
  };
}
