// The rows of tables/causal.parquet out of the sums of what each latent does: estimates with intervals, p-values against controls, lists.
//
// Every figure comes from one bootstrap over conversations, so a candidate and its controls meet the same draws. Where a latent did not
// fire its change is exactly 0. Not here: the sums (latent-effects.ts) and the file (effects-table.ts).

import { setImmediate as nextTurn } from "node:timers/promises";
import {
  BOOTSTRAP_SETTINGS,
  type ConversationBootstrap,
  combine,
  createConversationBootstrap,
  type Drawn,
  estimateOf,
  ratioOf,
  shareAtMost,
} from "./bootstrap.ts";
import type { Conversation, LatentEffect } from "./causal-contract.ts";
import type { EffectSums, LatentSums } from "./effects-parts.ts";
import { controlLatents, type EffectsPlan } from "./effects-plan.ts";
import type { FiringStats } from "./firing-stats.ts";
import { movedTexts, movedTokens, type TrackedTokens } from "./moved.ts";

/** Latents between two turns of the event loop. */
const LATENTS_PER_TURN = 32;

export interface EffectRowsOptions {
  sums: EffectSums;
  conversations: readonly Conversation[];
  plan: EffectsPlan;
  stats: FiringStats;
  tracked: TrackedTokens;
  tokenString: (id: number) => string;
  /** Of the bootstrap; defaults BOOTSTRAP_SETTINGS.draws and 0. */
  draws?: number;
  seed?: number;
}

/** What one latent does over all conversations and in each draw. */
interface DrawnEffect {
  gapClosed: Drawn;
  damage: Drawn;
}

/** Candidates in the order of the plan, then controls, ascending. */
export async function effectRows(options: EffectRowsOptions): Promise<LatentEffect[]> {
  const { sums, conversations, plan, draws = BOOTSTRAP_SETTINGS.draws, seed = 0 } = options;
  const bootstrap = createConversationBootstrap({ nConversations: conversations.length, draws, seed });
  const { tokens, klNone } = sums.conversations;
  const totals = { tokens: bootstrap.sum(tokens), klNone: bootstrap.sum(klNone) };
  let turns = 0;
  const measured = async (latent: number): Promise<{ drawn: DrawnEffect; described: Described }> => {
    turns += 1;
    if (turns % LATENTS_PER_TURN === 0) await nextTurn();
    const of = sums.latentSums(latent);
    const drawn = drawnEffect(of, { bootstrap, ...totals });
    return { drawn, described: describe(latent, { of, drawn, ...options }) };
  };

  const drawnControls = new Map<number, DrawnEffect>();
  const controls: LatentEffect[] = [];
  for (const latent of controlLatents(plan)) {
    const { drawn, described } = await measured(latent);
    drawnControls.set(latent, drawn);
    controls.push({ ...described, role: "control", ...WITHOUT_CONTROLS });
  }
  const candidates: LatentEffect[] = [];
  for (const latent of plan.candidates) {
    const { drawn, described } = await measured(latent);
    const own = plan.controls.get(latent) ?? [];
    const drawnOwn = own.map((control) => drawnControls.get(control) as DrawnEffect);
    candidates.push({ ...described, role: "candidate", ...againstControls(drawn, own, drawnOwn) });
  }
  return [...candidates, ...controls];
}

function drawnEffect(
  { conversation, change }: LatentSums,
  { bootstrap, tokens, klNone }: { bootstrap: ConversationBootstrap; tokens: Drawn; klNone: Drawn },
): DrawnEffect {
  return {
    gapClosed: ratioOf(bootstrap.sum(change.add, conversation), klNone),
    damage: ratioOf(bootstrap.sum(change.remove, conversation), tokens),
  };
}

type Controlled = Pick<
  LatentEffect,
  "controls" | "controlGapClosed" | "controlDamage" | "gapClosedP" | "damageP"
>;

type Described = Omit<LatentEffect, "role" | keyof Controlled>;

const WITHOUT_CONTROLS: Controlled = {
  controls: [],
  controlGapClosed: Number.NaN,
  controlDamage: Number.NaN,
  gapClosedP: Number.NaN,
  damageP: Number.NaN,
};

function againstControls(
  candidate: DrawnEffect,
  controls: number[],
  drawn: readonly DrawnEffect[],
): Controlled {
  if (controls.length === 0) return WITHOUT_CONTROLS;
  const gapClosed = meanOf(drawn.map((of) => of.gapClosed));
  const damage = meanOf(drawn.map((of) => of.damage));
  return {
    controls,
    controlGapClosed: gapClosed.value,
    controlDamage: damage.value,
    gapClosedP: shareAtMost(candidate.gapClosed, gapClosed),
    damageP: shareAtMost(candidate.damage, damage),
  };
}

function meanOf(drawn: readonly Drawn[]): Drawn {
  return combine(drawn, (...values) => values.reduce((sum, value) => sum + value, 0) / values.length);
}

function describe(
  latent: number,
  {
    of,
    drawn,
    stats,
    tracked,
    conversations,
    tokenString,
  }: EffectRowsOptions & {
    of: LatentSums;
    drawn: DrawnEffect;
  },
): Described {
  return {
    latent,
    conversationsFired: of.conversation.length,
    positionsReached: of.reached.reduce((sum, reached) => sum + reached, 0),
    firingRate: stats.rate[latent],
    energy: stats.energy[latent],
    gapClosed: estimateOf(drawn.gapClosed),
    damage: estimateOf(drawn.damage),
    movedTexts: movedTexts(of, conversations),
    movedTokens: movedTokens(of.tallies, { tracked, tokenString }),
  };
}
