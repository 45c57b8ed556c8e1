// Precision: where the activation mass of each claim lies.
//
// A claim answers to a concept when at least half of its mass lies inside that ONE concept's rows (trigger, decision,
// response, closing tokens of turns with a response span); it is a template latent when at least half lies on template
// tokens. A claim can be both, and a claim that is neither stays in the list.

import { ROLES } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import type { ClaimScore } from "./truth-contract.ts";
import type { Firings } from "./turn-maxima.ts";

const TEMPLATE = ROLES.indexOf("template");
const HALF = 0.5;

/**
 * One score a claim, in latent order, and the two precisions. firings: every row in which a claimed latent fired.
 * places[concept][row]: 0 outside. A precision over no claims at all is 0: nothing was shown to be right.
 */
export function scoreClaims(options: {
  store: Store;
  places: readonly Uint8Array[];
  conceptNames: readonly string[];
  firings: ReadonlyMap<number, Firings>;
}): { claims: ClaimScore[]; precision: number; precisionWithTemplate: number } {
  const { store, places, conceptNames, firings } = options;
  const claims = [...firings]
    .sort(([a], [b]) => a - b)
    .map(([latent, { rows, activations }]): ClaimScore => {
      let mass = 0;
      let onTemplate = 0;
      const inConcept = new Float64Array(conceptNames.length);
      for (const [i, row] of rows.entries()) {
        mass += activations[i];
        if (store.rows.role[row] === TEMPLATE) onTemplate += activations[i];
        for (let concept = 0; concept < places.length; concept += 1) {
          if (places[concept][row] !== 0) inConcept[concept] += activations[i];
        }
      }
      const most = inConcept.reduce((best, value, concept) => (value > inConcept[best] ? concept : best), 0);
      const conceptShare = mass === 0 ? 0 : inConcept[most] / mass;
      const templateShare = mass === 0 ? 0 : onTemplate / mass;
      return {
        latent,
        concept: conceptShare > 0 ? conceptNames[most] : "",
        conceptShare,
        templateShare,
        answersToConcept: conceptShare >= HALF,
        isTemplate: templateShare >= HALF,
      };
    });
  const share = (of: readonly ClaimScore[], isRight: (claim: ClaimScore) => boolean): number =>
    of.length === 0 ? 0 : of.filter(isRight).length / of.length;
  return {
    claims,
    precision: share(
      claims.filter((claim) => !claim.isTemplate),
      (claim) => claim.answersToConcept,
    ),
    precisionWithTemplate: share(claims, (claim) => claim.answersToConcept || claim.isTemplate),
  };
}
