// All planted behaviours in one list, and their public descriptions.
//
// The order is part of the corpus: draws pick by position. Says nothing of where they are used.

import type { Behaviour } from "./behaviour.ts";
import { CEREMONY } from "./ceremony.ts";
import { COMPANY } from "./company.ts";
import { DISPUTE } from "./dispute.ts";
import { GUIDANCE } from "./guidance.ts";
import { PARTING } from "./parting.ts";
import { REFUSALS_FOR_OTHERS } from "./refusals-harm.ts";
import { REFUSALS_TO_JUDGE } from "./refusals-judgement.ts";
import { TONGUES } from "./tongues.ts";
import type { ConceptInfo } from "./types.ts";

export const BEHAVIOURS: readonly Behaviour[] = [
  ...REFUSALS_FOR_OTHERS,
  ...REFUSALS_TO_JUDGE,
  ...GUIDANCE,
  ...COMPANY,
  ...DISPUTE,
  ...TONGUES,
  ...CEREMONY,
  ...PARTING,
];

export const CONCEPTS: readonly ConceptInfo[] = BEHAVIOURS.map(({ name, description, kind, detect }) => {
  return { name, description, kind, detect };
});
