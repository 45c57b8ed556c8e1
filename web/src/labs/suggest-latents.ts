// Which latents a few typed letters may mean: by number, by a person's label, by promoted tokens. Pure.

/** What is known of all latents; a column that the study lacks is null. */
export interface LatentFacts {
  nLatents: number;
  /** People's, by latent. */
  labels: ReadonlyMap<number, string>;
  /** Strongest promoted tokens, as one text. [nLatents]. */
  promoted: readonly string[] | null;
  /** "finetuned-specific", "base-specific" or "none". */
  claimOf: (latent: number) => string;
  deltaNorm: ArrayLike<number> | null;
  maxActivation: ArrayLike<number> | null;
  maxCode: ArrayLike<number> | null;
}

export interface Suggestion {
  latent: number;
  /** What matched, best first: its number, its label, its tokens; or that it is claimed, when nothing was typed. */
  reason: "number" | "label" | "tokens" | "claim";
}

/** At most `most` latents, those in `without` left out; claims before others of their kind; for no text labelled ones and then claims. */
export function suggestLatents(
  text: string,
  facts: LatentFacts,
  { most, without }: { most: number; without: ReadonlySet<number> },
): Suggestion[] {
  const found = new Map<number, Suggestion["reason"]>();
  const add = (latent: number, reason: Suggestion["reason"]): void => {
    if (found.size < most && latent < facts.nLatents && !without.has(latent) && !found.has(latent))
      found.set(latent, reason);
  };
  const wanted = text.trim().toLowerCase();
  if (/^\d+$/.test(wanted)) {
    const number = Number(wanted);
    add(number, "number");
    // 13 → 130 … 139, 1300 …: numbers that begin so.
    for (let step = 10; number > 0 && number * step < facts.nLatents && found.size < most; step *= 10) {
      const end = Math.min((number + 1) * step, facts.nLatents);
      for (let latent = number * step; latent < end && found.size < most; latent += 1) add(latent, "number");
    }
  }
  for (const [latent, label] of [...facts.labels].sort(([a], [b]) => a - b))
    if (label !== "" && label.toLowerCase().includes(wanted)) add(latent, "label");
  if (wanted === "") {
    for (const latent of claims(facts)) add(latent, "claim");
  } else if (facts.promoted !== null) {
    const matching = facts.promoted.flatMap((tokens, latent) =>
      tokens.toLowerCase().includes(wanted) ? [latent] : [],
    );
    for (const latent of matching.filter((one) => isClaim(facts.claimOf(one)))) add(latent, "tokens");
    for (const latent of matching) add(latent, "tokens");
  }
  return [...found].map(([latent, reason]) => ({ latent, reason }));
}

/** Claimed ones, the most one-sided first. */
function claims({ nLatents, claimOf, deltaNorm }: LatentFacts): number[] {
  const lean = (latent: number): number => Math.abs((deltaNorm?.[latent] ?? 0.5) - 0.5);
  return Array.from({ length: nLatents }, (_, latent) => latent)
    .filter((latent) => isClaim(claimOf(latent)))
    .sort((a, b) => lean(b) - lean(a) || a - b);
}

export const isClaim = (claim: string): boolean => claim !== "" && claim !== "none";
