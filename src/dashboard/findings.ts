// Up to ten findings of a comparison in plain words: only latents that qualify, most specific first; fewer when fewer do.
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
    const chosen = ranked((await candidates(table)).filter(await qualifies(view)), summary.thresholds);
    return Promise.all(
      chosen.slice(0, FINDING_RULES.most).map(async (candidate): Promise<Finding> => {
        const { latent, nuError, low, high, q, foundAgain } = candidate;
        return {
          text: await words(table, candidate, summary.nDocuments),
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

/** By the score of the q-values (false-discovery.ts), which both sides share: the larger nu in units of its threshold. */
function ranked(
  found: readonly Candidate[],
  { nuErrorBelow, nuReconstructionBelow }: ClaimThresholds,
): Candidate[] {
  const score = ({ nuError, nuReconstruction }: Candidate): number =>
    Math.max(nuError / nuErrorBelow, nuReconstruction / nuReconstructionBelow);
  return found.toSorted((a, b) => score(a) - score(b) || a.latent - b.latent);
}

async function words(
  table: HeldTable,
  { latent, side, nuError, documents }: Candidate,
  nDocuments: number,
): Promise<string> {
  const tokens = (JSON.parse(await table.stringAt("tokensAtPeak", latent)) as TokenCount[])
    .slice(0, FINDING_RULES.tokens)
    .map(({ token }) => JSON.stringify(token));
  const has = side === "finetuned" ? "The fine-tune has" : "The base has";
  const lacks = side === "finetuned" ? "the base lacks" : "the fine-tune lacks";
  const at = tokens.length === 0 ? "" : `, strongest on ${tokens.join(", ")}`;
  return (
    `${has} a concept that ${lacks}: latent ${latent}${at}. It fires in ${documents} of ${nDocuments} held-out documents; ` +
    `the other model's error holds ${nuError.toFixed(2)} of it (nuError).`
  );
}
