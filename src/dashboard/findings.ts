// Up to ten findings of a comparison in plain words: only latents that qualify; fewer when fewer do. Those that do most to the answers come
// first where the causal experiment was made, else the most specific.
//
// A latent qualifies that is claimed, whose verdict is genuine, whose q-value is at most 0.1 where null pairs were made, and which was found
// again where other dictionaries were compared. A null pair has none. Words over the tables' numbers: nothing is measured here.

import type { ClaimThresholds, TokenCount } from "../measure/measure-contract.ts";
import type { Finding } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import type { HeldTable } from "./held-table.ts";

export const FINDING_RULES = {
  most: 10,
  qAtMost: 0.1,
  /** Of the other dictionaries compared, in which it must have been found. */
  foundShareAtLeast: 0.5,
  /** Tokens named in a sentence. */
  tokens: 3,
} as const;

interface Candidate {
  latent: number;
  side: "finetuned" | "base";
  nuError: number;
  nuReconstruction: number;
  low: number;
  high: number;
  documents: number;
  q: number | null;
  foundAgain: { n: number; m: number } | null;
}

/** None for a dictionary that is not measured. */
export async function findingsOf(view: DictionaryView): Promise<Finding[]> {
  const { isNullPair } = await view.study.facts();
  if (isNullPair || (await isNullDraw(view))) return [];
  const part = await view.part("measure", async ({ table, summary }) => {
    const extras = await extrasOf(view);
    const qualified = (await candidates(table)).filter(await qualifies(view));
    const chosen = ranked(qualified, { ...extras, thresholds: summary.thresholds });
    return Promise.all(
      chosen.slice(0, FINDING_RULES.most).map(async (candidate): Promise<Finding> => {
        const { latent, nuError, low, high, q, foundAgain } = candidate;
        return {
          text: await words(table, candidate, { ...extras, nDocuments: summary.nDocuments }),
          latent,
          effect: { name: "nuError", value: nuError },
          interval: { low, high },
          ...{ q, foundAgain },
        };
      }),
    );
  });
  return part.state === "made" ? part.value : [];
}

/** Whether this dictionary is a null draw of another one of the study: nothing that is claimed of it was learned. */
async function isNullDraw(view: DictionaryView): Promise<boolean> {
  const { entry } = await view.study.facts();
  return entry.dictionaries.some(({ name }) => {
    const rest = view.name.startsWith(`${name}-null-`) ? view.name.slice(name.length + 6) : "";
    return /^\d+$/.test(rest);
  });
}

async function candidates(table: HeldTable): Promise<Candidate[]> {
  const [claims, verdicts, documents] = [
    await table.words("claim"),
    await table.words("verdict"),
    await table.numbers("documents"),
  ];
  const numbers = async (side: "Finetuned" | "Base") => ({
    nuError: await table.numbers(`scaling${side}_nuError`),
    nuReconstruction: await table.numbers(`scaling${side}_nuReconstruction`),
    low: await table.numbers(`intervals${side}_nuErrorLow`),
    high: await table.numbers(`intervals${side}_nuErrorHigh`),
  });
  const of = { finetuned: await numbers("Finetuned"), base: await numbers("Base") };
  const found: Candidate[] = [];
  for (let latent = 0; latent < claims.codes.length; latent += 1) {
    const claim = claims.words[claims.codes[latent]];
    if (claim === "none" || verdicts.words[verdicts.codes[latent]] !== "genuine") continue;
    const side = claim === "base-specific" ? "base" : "finetuned";
    const { nuError, nuReconstruction, low, high } = of[side];
    found.push({
      ...{ latent, side, documents: documents[latent], q: null, foundAgain: null },
      nuError: nuError[latent],
      nuReconstruction: nuReconstruction[latent],
      low: low[latent],
      high: high[latent],
    });
  }
  return found;
}

/** Fills in q and foundAgain as it goes. */
async function qualifies(view: DictionaryView): Promise<(candidate: Candidate) => boolean> {
  const nulls = await view.part("nulls", ({ table }) => table.numbers("q"));
  const stability = await view.part("stability", async ({ table }) => ({
    n: await table.numbers("directionFound"),
    m: await table.numbers("nCompared"),
  }));
  return (candidate) => {
    const { latent } = candidate;
    if (nulls.state === "made") {
      const q = nulls.value[latent];
      if (!(q <= FINDING_RULES.qAtMost)) return false;
      candidate.q = q;
    }
    if (stability.state === "made") {
      const [n, m] = [stability.value.n[latent], stability.value.m[latent]];
      if (!(m > 0 && n / m >= FINDING_RULES.foundShareAtLeast)) return false;
      candidate.foundAgain = { n, m };
    }
    return true;
  };
}

/**
 * By the gap that each closes when it is put into the base, where that was measured; the others after them, by the score of the q-values
 * (false-discovery.ts), which both sides share: the larger nu in units of its threshold.
 */
export function ranked<C extends Pick<Candidate, "latent" | "nuError" | "nuReconstruction">>(
  found: readonly C[],
  { gapClosed, thresholds }: Pick<Extras, "gapClosed"> & { thresholds: ClaimThresholds },
): C[] {
  const { nuErrorBelow, nuReconstructionBelow } = thresholds;
  const gap = ({ latent }: C): number => gapClosed.get(latent) ?? Number.NEGATIVE_INFINITY;
  const score = ({ nuError, nuReconstruction }: C): number =>
    Math.max(nuError / nuErrorBelow, nuReconstruction / nuReconstructionBelow);
  const byGap = (a: C, b: C): number => (gap(a) === gap(b) ? 0 : gap(b) - gap(a));
  return found.toSorted((a, b) => byGap(a, b) || score(a) - score(b) || a.latent - b.latent);
}

/** What else is known of a latent: its behaviour where the truth is planted, and what it does to the answers. */
interface Extras {
  concepts: ReadonlyMap<number, string>;
  gapClosed: ReadonlyMap<number, number>;
}

async function extrasOf(view: DictionaryView): Promise<Extras> {
  const concepts = await view.part("truth", ({ claims }) =>
    claims
      .filter(({ answersToConcept }) => answersToConcept)
      .map(({ latent, concept }) => [latent, concept] as const),
  );
  const gaps = await view.part("causal", ({ effects }) =>
    effects
      .filter(({ role }) => role === "candidate")
      .map(({ latent, gapClosed }) => [latent, gapClosed.mean] as const),
  );
  return {
    concepts: new Map(concepts.state === "made" ? concepts.value : []),
    gapClosed: new Map(gaps.state === "made" ? gaps.value : []),
  };
}

async function words(
  table: HeldTable,
  { latent, side, documents }: Candidate,
  { nDocuments, concepts, gapClosed }: Extras & { nDocuments: number },
): Promise<string> {
  const tokens = (JSON.parse(await table.stringAt("tokensAtPeak", latent)) as TokenCount[])
    .slice(0, FINDING_RULES.tokens)
    .map(({ token }) => JSON.stringify(token));
  const only = side === "finetuned" ? "Only in the fine-tune" : "Only in the base";
  const what = tokens.length === 0 ? `latent ${latent}` : `what is strongest on ${tokens.join(", ")}`;
  const concept = concepts.get(latent);
  const gap = gapClosed.get(latent);
  return [
    `${only}: ${what}, in ${documents} of ${nDocuments} held-out documents.`,
    concept === undefined ? "" : `Planted behaviour: ${concept}.`,
    gap === undefined
      ? ""
      : `Put into the base it closes ${(100 * gap).toFixed(1)} % of the gap between the answers.`,
  ]
    .filter((sentence) => sentence !== "")
    .join(" ");
}
