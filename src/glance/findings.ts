// What a glance found, as plain sentences with their numbers and where to look. At most ten, strongest first.
//
// Words only: every number is one of the tables beside it. A part that found nothing says nothing; models that do not differ get none.

import type { Glance, ReadToken, TokenChance } from "./glance-contract.ts";

export const FINDING_LIMITS = {
  most: 10,
  /** A mean KL below this, in nats, is rounding. */
  leastKl: 1e-6,
  /** A group is named when its mean KL is this many times that of the least one, and it holds that many tokens. */
  groupRatio: 2,
  groupTokens: 20,
  /** Share of all KL in the top percent of tokens that is called concentrated. */
  concentrated: 0.1,
  /** Tokens and peaks named in a sentence. */
  namedTokens: 6,
  namedPeaks: 2,
  /** Tokens of text shown before a peak. */
  peakTokens: 8,
  /** Characters shown of a steered answer. */
  steeredChars: 120,
  /** The mean difference is named when it holds that share of the mean norm at a position, or of the squared difference. */
  relativeNorm: 0.02,
  meanShare: 0.05,
  componentShare: 0.05,
} as const;

type Tables = Pick<Glance, "kl" | "lens" | "pca" | "mining">;

/** Pure. */
export function findingsOf(glance: Tables): string[] {
  const { leastKl, most } = FINDING_LIMITS;
  if (!(glance.kl.quantiles.max > leastKl) && !(glance.pca.changeRatio > 0)) return [];
  return [
    klSentence(glance),
    ...peakSentences(glance),
    groupSentence(
      glance.kl.byRole.map(({ role, ...rest }) => ({ name: role, ...rest })),
      "role",
    ),
    groupSentence(
      glance.kl.byDataset.map(({ dataset, ...rest }) => ({ name: dataset, ...rest })),
      "dataset",
    ),
    minedSentence(glance, "risen"),
    minedSentence(glance, "fallen"),
    lensSentence(glance),
    componentSentence(glance),
    steeringSentence(glance),
  ]
    .filter((sentence) => sentence !== undefined)
    .slice(0, most);
}

function klSentence({ kl }: Tables): string {
  const { mean, quantiles, shareOfTopPercent, tokens } = kl;
  const first =
    `The fine-tune's predictions differ from the base's by ${nats(mean)} a token in the mean (KL over ${tokens} tokens; half are below ` +
    `${nats(quantiles.p50)}, 1 % above ${nats(quantiles.p99)}, the greatest is ${nats(quantiles.max)})`;
  if (shareOfTopPercent < FINDING_LIMITS.concentrated) return `${first}.`;
  return `${first}; that 1 % of the tokens hold ${percent(shareOfTopPercent)} of it: the change is concentrated, look at the peaks.`;
}

function peakSentences({ kl }: Tables): string[] {
  return kl.peaks.slice(0, FINDING_LIMITS.namedPeaks).map((peak) => {
    const before = peak.tokens.slice(Math.max(0, peak.peak + 1 - FINDING_LIMITS.peakTokens), peak.peak + 1);
    return (
      `After ${quote(before.join(""))} (${peak.document}) the base expects ${chanceWords(peak.nextBase)}, ` +
      `the fine-tune ${chanceWords(peak.nextFinetuned)}: KL ${nats(peak.kl[peak.peak])}.`
    );
  });
}

function chanceWords([first]: readonly TokenChance[]): string {
  return first === undefined ? "nothing" : `${quote(first.token)} (${percent(first.probability)})`;
}

function groupSentence(
  groups: readonly { name: string; tokens: number; mean: number }[],
  kind: "role" | "dataset",
): string | undefined {
  const { groupRatio, groupTokens, leastKl } = FINDING_LIMITS;
  const large = groups
    .filter(({ tokens, name }) => tokens >= groupTokens && name !== "bos")
    .toSorted((a, b) => b.mean - a.mean);
  const [greatest, least] = [large[0], large.at(-1)];
  if (greatest === undefined || least === undefined || greatest === least) return undefined;
  if (!(greatest.mean > leastKl && greatest.mean >= groupRatio * least.mean)) return undefined;
  const name = (group: string): string => (kind === "role" ? `${group} tokens` : quote(group));
  return `By ${kind} they differ most at ${name(greatest.name)} (${nats(greatest.mean)} in the mean) and least at ${name(least.name)} (${nats(least.mean)}).`;
}

function minedSentence({ mining }: Tables, direction: "risen" | "fallen"): string | undefined {
  const tokens = mining[direction].slice(0, FINDING_LIMITS.namedTokens);
  const [first] = tokens;
  if (first === undefined) return undefined;
  const words = tokens.map(({ token }) => quote(token)).join(", ");
  const [verb, rest] = direction === "risen" ? ["more", "raised"] : ["less", "lowered"];
  return (
    `Over all the text the fine-tune expects these ${verb}: ${words} (${quote(first.token)} is among the ${mining.topK} most ${rest} at ` +
    `${percent(first.share)} of positions, ${percent(first.controlShare)} by chance).`
  );
}

function lensSentence({ lens }: Tables): string | undefined {
  const strongest = lens.positions.find(({ position }) => position === lens.mainPosition);
  if (strongest === undefined || !((strongest.relativeNorm ?? 0) >= FINDING_LIMITS.relativeNorm)) {
    return undefined;
  }
  const { position, relativeNorm, consistency, read } = strongest;
  const reading =
    read.find(({ model, by }) => model === "finetuned" && by === "patchscope") ??
    read.find(({ model }) => model === "finetuned");
  const says =
    reading === undefined ? "" : `; read as tokens (${reading.by}) it says ${tokenWords(reading.promoted)}`;
  return (
    `On unrelated text the residual after layer ${lens.layer} moves at position ${position} by ${percent(relativeNorm ?? 0)} of its norm in one common ` +
    `direction (consistency ${consistency.toFixed(2)} of 1)${says}.`
  );
}

function componentSentence({ pca }: Tables): string | undefined {
  const [first] = pca.components;
  if (first === undefined || first.share < FINDING_LIMITS.componentShare) return undefined;
  const reading = first.read.find(({ model }) => model === "finetuned");
  const says =
    reading === undefined
      ? ""
      : `: towards ${tokenWords(reading.promoted)}, away from ${tokenWords(reading.suppressed)}`;
  const mean = pca.meanShare >= FINDING_LIMITS.meanShare ? ` (its mean holds ${percent(pca.meanShare)})` : "";
  return `The residuals differ by ${percent(pca.changeRatio)} of their square${mean}; one component holds ${percent(first.share)} of the rest${says}.`;
}

function steeringSentence({ lens }: Tables): string | undefined {
  const shown = lens.steering.find(
    ({ model, sign, degenerate, steered, unsteered }) =>
      model === "base" && sign === 1 && degenerate === "" && steered !== unsteered,
  );
  if (shown === undefined) return undefined;
  const { prompt, steered, strength, position } = shown;
  const { steeredChars } = FINDING_LIMITS;
  return `Adding ${strength.toPrecision(2)} × the mean difference of position ${position} to the base's residuals makes it continue ${quote(prompt)} with ${quote(steered.length > steeredChars ? `${steered.slice(0, steeredChars)}…` : steered)}.`;
}

function tokenWords(tokens: readonly ReadToken[]): string {
  return tokens
    .slice(0, FINDING_LIMITS.namedTokens)
    .map(({ token }) => quote(token))
    .join(", ");
}

/** "0.031 nats". */
export function nats(value: number): string {
  return `${Number(value.toPrecision(2))} nats`;
}

export function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

/** In quotes, with line breaks and control characters visible. */
export function quote(text: string): string {
  return JSON.stringify(text);
}
