// What one claim does to the answers, for its card: a line of numbers, or why there is none.

import { formatCount } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { LateTables } from "../late-tables.ts";
import type { Side } from "../rank-claims.ts";
import { term } from "../terms.ts";
import { intervalWords, nats, pWords, share } from "./estimates.ts";

/** What is missing stands in the section, with its command. */
const WITHOUT = {
  absent: "not measured",
  outdated: "measured for another dictionary or measurement",
} as const;

/** One sentence. Latents of the base side are not put into the fine-tune: their cards have none. */
export function causeLine({ causal }: Pick<LateTables, "causal">, latent: number, side: Side): Html | false {
  const said = (words: Html | string): Html =>
    html`<p class="judgement cause"><b><a href="#causal">What it does</a>.</b> ${words}</p>`;
  if (causal.state !== "made") return side === "finetuned" && said(`${capital(WITHOUT[causal.state])}.`);
  const { record, effects } = causal.value;
  const row = effects.find((effect) => effect.latent === latent && effect.role === "candidate");
  if (record.effects === null) return side === "finetuned" && said("Not measured.");
  if (row === undefined) {
    const { candidates } = record.effects;
    return (
      side === "finetuned" && said(`Not among the ${formatCount(candidates)} latents that were measured.`)
    );
  }
  if (row.conversationsFired === 0)
    return said(
      `Nothing in these ${formatCount(record.effects.conversations)} conversations: it is silent in all.`,
    );
  const { gapClosed, damage, controls, controlGapClosed, controlDamage, gapClosedP, damageP } = row;
  const { draws } = record.effects.bootstrap;
  const against = (mean: string, p: number): string =>
    controls.length === 0 ? "; no controls" : `; ${mean}, ${pWords(p, draws)}`;
  return said(
    html`Added to the base it closes ${share(gapClosed.mean)} of the gap (95 %: ${intervalWords(gapClosed.interval, share)}${against(
      `matched controls ${share(controlGapClosed)}`,
      gapClosedP,
    )}). Taken out of the fine-tune it does ${nats(damage.mean)} nats of ${term("damage")} (95 %: ${intervalWords(damage.interval, nats)}${against(
      `controls ${nats(controlDamage)}`,
      damageP,
    )}).`,
  );
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
