// How a comparison scored against planted truth; the `truth` object of `tunediff demo --json`.

export interface ConceptScore {
  name: string;
  /** Best claimed latent for the concept (by F1 on heldout), or best of all latents in anyLatent; −1 if none. */
  latent: number;
  /** All on `test`, latent and threshold chosen on `heldout`. */
  turnF1: number;
  turnAuroc: number;
  tokenF1: number;
  deltaNorm: number;
  nuReconstruction: number;
  nuError: number;
  /** AUROC on `test` of a linear probe on the mean residual over the turn's region. */
  probeBase: number;
  probeFinetuned: number;
  found: boolean;
  /** Best latent when specificity is not asked for. */
  anyLatent: number;
  anyLatentTurnF1: number;
}

export interface ClaimScore {
  latent: number;
  /** Concept inside whose spans most of the activation mass lies, and that share; "" and 0 when none. */
  concept: string;
  conceptShare: number;
  templateShare: number;
  /** At least half of the mass inside one concept's spans. */
  answersToConcept: boolean;
  /** At least half of the mass on template tokens. */
  isTemplate: boolean;
}

export interface TruthScore {
  conceptsPlanted: number;
  conceptsFound: number;
  recall: number;
  recallAt06: number;
  recallAt08: number;
  recallAnyLatent: number;
  /** answersToConcept over the claims that are not template latents. */
  precision: number;
  /** (answersToConcept or isTemplate) over all claims. */
  precisionWithTemplate: number;
  /** Recall with turn labels permuted across documents. */
  permutedRecall: number;
  concepts: ConceptScore[];
  claims: ClaimScore[];
}
