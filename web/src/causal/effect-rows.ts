// The rows of single latents: columns, filters, order. Pure; shown by effects-table.tsx and effects-scatter.tsx.

import type { CausalEffectRow } from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatFixed, formatNumber, formatPercent, NO_VALUE } from "../format.ts";
import { isInside } from "../table/select-latents.ts";
import type { CausalState } from "./causal-state.ts";

type Value = number | string | null;

export interface EffectColumn {
  name: string;
  title: string;
  description: string;
  value: (row: CausalEffectRow) => Value;
  show: (row: CausalEffectRow, draws: number) => string;
}

const share = (value: number | null): string => (value === null ? NO_VALUE : formatPercent(value, 2));
const nats = (value: number | null): string => (value === null ? NO_VALUE : formatNumber(value));
const limits = (low: number | null, high: number | null, show: (value: number) => string): string =>
  low === null || high === null ? "not known" : `${show(low)} to ${show(high)}`;

/** None of the draws: "< 0.001". */
export function showP(p: number | null, draws: number): string {
  if (p === null) return NO_VALUE;
  if (p === 0 && draws > 0) return `< ${1 / draws}`;
  return formatFixed(p, p < 0.1 ? 3 : 2);
}

export const EFFECT_COLUMNS: readonly EffectColumn[] = [
  {
    ...{
      name: "gapClosed",
      title: "gap closed",
      description: "Added to the base: share of the gap it closes.",
    },
    value: ({ gapClosed }) => gapClosed.mean,
    show: ({ gapClosed }) => share(gapClosed.mean),
  },
  {
    ...{ name: "gapClosedLow", title: "95 % limits", description: "Of the gap closed; sorts by the lower." },
    value: ({ gapClosed }) => gapClosed.low,
    show: ({ gapClosed: { low, high } }) => limits(low, high, share),
  },
  {
    ...{
      name: "controlGapClosed",
      title: "controls",
      description: "Mean gap closed by its matched controls.",
    },
    value: ({ controlGapClosed }) => controlGapClosed,
    show: ({ controlGapClosed }) => share(controlGapClosed),
  },
  {
    ...{ name: "gapClosedP", title: "p" },
    description: "Share of bootstrap draws in which it closes no more of the gap than its controls.",
    value: ({ gapClosedP }) => gapClosedP,
    show: ({ gapClosedP }, draws) => showP(gapClosedP, draws),
  },
  {
    ...{
      name: "damage",
      title: "damage, nats",
      description: "Removed from the fine-tune: mean KL it makes.",
    },
    value: ({ damage }) => damage.mean,
    show: ({ damage }) => nats(damage.mean),
  },
  {
    ...{ name: "damageLow", title: "95 % limits", description: "Of the damage; sorts by the lower." },
    value: ({ damage }) => damage.low,
    show: ({ damage: { low, high } }) => limits(low, high, formatNumber),
  },
  {
    ...{ name: "controlDamage", title: "controls", description: "Mean damage by its matched controls." },
    value: ({ controlDamage }) => controlDamage,
    show: ({ controlDamage }) => nats(controlDamage),
  },
  {
    ...{ name: "damageP", title: "p" },
    description: "Share of bootstrap draws in which removing it does no more damage than its controls.",
    value: ({ damageP }) => damageP,
    show: ({ damageP }, draws) => showP(damageP, draws),
  },
  {
    ...{
      name: "conversationsFired",
      title: "conversations",
      description: "Conversations in which it fired.",
    },
    value: ({ conversationsFired }) => conversationsFired,
    show: ({ conversationsFired }) => formatCount(conversationsFired),
  },
  {
    ...{ name: "positionsReached", title: "positions" },
    description: "Predicted positions at or after its first firing.",
    value: ({ positionsReached }) => positionsReached,
    show: ({ positionsReached }) => formatCount(positionsReached),
  },
  {
    ...{ name: "firingRate", title: "firing rate", description: "Share of the conversations’ rows." },
    value: ({ firingRate }) => firingRate,
    show: ({ firingRate }) => share(firingRate),
  },
  {
    ...{
      name: "energy",
      title: "energy",
      description: "Σ f²‖d‖² of the finetuned direction over those rows.",
    },
    value: ({ energy }) => energy,
    show: ({ energy }) => nats(energy),
  },
  {
    ...{ name: "role", title: "role", description: "Candidate, or a control of one." },
    value: ({ role }) => role,
    show: ({ role }) => role,
  },
];

const LATENT: Pick<EffectColumn, "value"> = { value: ({ latent }) => latent };

/** Rows of the role, inside the lasso, in the order asked for; what has no value comes last, equal ones by latent. */
export function selectEffects(
  rows: readonly CausalEffectRow[],
  { role, lasso, sort }: Pick<CausalState, "role" | "lasso" | "sort">,
): CausalEffectRow[] {
  const kept = rows.filter((row) => {
    if (role !== "all" && row.role !== role) return false;
    if (lasso.length === 0) return true;
    const [x, y] = [row.gapClosed.mean, row.damage.mean];
    return x !== null && y !== null && isInside(lasso, x, y);
  });
  const { value } = EFFECT_COLUMNS.find(({ name }) => name === sort.column) ?? LATENT;
  const sign = sort.descending ? -1 : 1;
  return kept.sort((a, b) => {
    const [of, other] = [value(a), value(b)];
    if (of === other) return a.latent - b.latent;
    if (of === null) return 1;
    if (other === null) return -1;
    return (of < other ? -1 : 1) * sign;
  });
}

/** Whether it has a place in the plot. */
export function isPoint({ gapClosed, damage }: CausalEffectRow): boolean {
  return gapClosed.mean !== null && damage.mean !== null;
}
