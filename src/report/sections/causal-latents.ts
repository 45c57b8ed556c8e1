// What single latents do: the ten that close most of the gap, behaviours in steered answers, and what reconstructions cost.

import {
  BEHAVIOUR_ARMS,
  type BehaviourArm,
  type BehaviourRate,
  type LatentEffect,
  type MovedToken,
  type SpliceOutcome,
} from "../../causal/causal-contract.ts";
import type { EffectsSummary } from "../../causal/causal-file.ts";
import { strongestEffects } from "../causes.ts";
import { formatCount, formatFixed, formatNumber, formatPercent } from "../format.ts";
import { type Html, type HtmlValue, html, joinHtml } from "../html.ts";
import { termLink } from "../terms.ts";
import { estimateCell, nats, pWords, share } from "./estimates.ts";
import { numbersTable } from "./tables.ts";
import { tokenChip } from "./tokens.ts";

/** How much is shown; tables/causal.parquet has all. */
export const EFFECT_LIMITS = { latents: 10, tokens: 4, texts: 2 } as const;

export interface EffectsBlock {
  summary: EffectsSummary;
  effects: readonly LatentEffect[];
  /** A latent's number, linked where it has a card. */
  link: (latent: number) => Html;
  /** Concept that a claim answers to, "" for none; empty without planted truth. */
  concepts: ReadonlyMap<number, string>;
}

export function effectsBlock({ summary, effects, link, concepts }: EffectsBlock): Html {
  const { candidates, conversations, tokens, silent, controlsEach, bootstrap } = summary;
  const strongest = strongestEffects(effects, "gapClosed", EFFECT_LIMITS.latents);
  const damaging = strongestEffects(effects, "damage", EFFECT_LIMITS.latents).filter(
    (row) => !strongest.includes(row),
  );
  const intro = html`<p class="prose">${formatNumber(candidates, "latent")} that lean to the fine-tune, each by itself: added to the base (how much of the ${termLink(
    "gapClosed",
    "gap it closes",
  )}), and taken out of the fine-tune (how much ${termLink("damage")} it does), over ${formatNumber(tokens, "predicted token")} of ${formatNumber(
    conversations,
    "conversation",
  )}. ${formatCount(silent)} ${silent === 1 ? "is" : "are"} silent in these. Beside each, up to ${formatCount(controlsEach)} ${termLink("matchedControl")}.</p>`;
  if (strongest.length === 0) return html`${intro}<p class="prose">None of them fired.</p>`;
  return html`${intro}${numbersTable(
    `The ${formatCount(strongest.length)} that close most of the gap`,
    [
      termLink("latent"),
      termLink("gapClosed", "gap closed, added"),
      termLink("matchedControl", "controls"),
      termLink("damage", "damage, removed"),
      "controls",
      "conversations",
      "tokens it moves",
      "prompts it moves",
    ],
    strongest.map((row) => effectRow(row, { link, concepts, draws: bootstrap.draws })),
    [6, 7],
  )}${
    damaging.length > 0 &&
    html`<p class="note">Not among these, but among the ${formatCount(EFFECT_LIMITS.latents)} whose removal does most damage: ${joinHtml(
      damaging.map(({ latent, damage }) => html`${link(latent)} (${nats(damage.mean)} nats)`),
      ", ",
    )}.</p>`
  }<p class="note">Tokens: change of log-probability where the token is the next one (+ with the latent added, − with it removed), in nats. Prompts: change of KL summed over the conversation, nats. p: share of ${formatCount(
    bootstrap.draws,
  )} draws over conversations in which it does no more than its controls; of many latents some are small by chance. All rows: tables/causal.parquet.</p>`;
}

function effectRow(
  row: LatentEffect,
  { link, concepts, draws }: Pick<EffectsBlock, "link" | "concepts"> & { draws: number },
): HtmlValue[] {
  const { latent, gapClosed, damage, controls, controlGapClosed, controlDamage, gapClosedP, damageP } = row;
  const concept = concepts.get(latent);
  const control = (mean: string, p: number): HtmlValue =>
    controls.length === 0 ? "none" : html`${mean}<span class="under">${pWords(p, draws)}</span>`;
  return [
    html`${link(latent)}${concept !== undefined && concept !== "" && html`<span class="under">${concept}</span>`}`,
    estimateCell(gapClosed, share),
    control(share(controlGapClosed), gapClosedP),
    estimateCell(damage, nats),
    control(nats(controlDamage), damageP),
    formatCount(row.conversationsFired),
    movedTokens(row.movedTokens),
    movedTexts(row),
  ];
}

const EDIT_SIGN = { add: "+", remove: "−" } as const;

function movedTokens(tokens: readonly MovedToken[]): HtmlValue {
  const lines = (["add", "remove"] as const).flatMap((edit) => {
    const own = tokens.filter((token) => token.edit === edit).slice(0, EFFECT_LIMITS.tokens);
    return own.length === 0
      ? []
      : html`<span class="moved">${EDIT_SIGN[edit]} ${joinHtml(
          own.map(({ token, change, count }) =>
            tokenChip(token, `${signed(change)} nats over ${formatNumber(count, "position")}`),
          ),
          " ",
        )} <span class="n">${signed(own[0].change)} … ${signed(own[own.length - 1].change)}</span></span>`;
  });
  return lines.length === 0 ? "none" : lines;
}

function movedTexts({ movedTexts: texts }: LatentEffect): HtmlValue {
  const lines = (["add", "remove"] as const).flatMap((edit) => {
    const own = texts.filter((text) => text.edit === edit).slice(0, EFFECT_LIMITS.texts);
    return own.length === 0
      ? []
      : html`<span class="moved">${EDIT_SIGN[edit]} ${own
          .map(({ conversation, change }) => `${conversation} (${signed(change)})`)
          .join(", ")}</span>`;
  });
  return lines.length === 0 ? "none" : lines;
}

export function behaviourBlock(rates: readonly BehaviourRate[], link: (latent: number) => Html): Html {
  if (rates.length === 0) return html`<p class="prose">No behaviour had a latent.</p>`;
  const meanOf = (arm: BehaviourArm): HtmlValue => {
    const shares = rates.flatMap((rate) => armOf(rate, arm) ?? []).map(sharesOf);
    return shareLines({
      asked: meanFinite(shares.map(({ asked }) => asked)),
      unasked: meanFinite(shares.map(({ unasked }) => unasked)),
      degenerate: meanFinite(shares.map(({ degenerate }) => degenerate)),
    });
  };
  return html`<p class="prose">${termLink("steered", "Answers with a latent pushed")}: how many show the behaviour where the prompt asks for it, and where it does not (unasked). Controls are random latents pushed as hard. ${formatNumber(
    rates.length,
    "behaviour",
  )}.</p>${numbersTable(
    "Share of answers that show the behaviour",
    ["behaviour", termLink("latent"), "strengths", ...BEHAVIOUR_ARMS],
    [
      ...rates.map((rate): HtmlValue[] => [
        html`${rate.behaviour}${promptCounts(rate)}`,
        link(rate.latent),
        strengths(rate),
        ...BEHAVIOUR_ARMS.map((name) => {
          const arm = armOf(rate, name);
          return arm === undefined ? "not run" : shareLines(sharesOf(arm));
        }),
      ]),
      ...(rates.length > 1 ? [["mean", "", "", ...BEHAVIOUR_ARMS.map(meanOf)]] : []),
    ],
  )}`;
}

type Arm = BehaviourRate["arms"][number];
/** Of answers to prompts that ask for the behaviour, to others, and of all. NaN where there are none. */
interface Shares {
  asked: number;
  unasked: number;
  degenerate: number;
}

function armOf({ arms }: BehaviourRate, name: BehaviourArm): Arm | undefined {
  return arms.find(({ arm }) => arm === name);
}

function sharesOf({ called, notCalled, degenerate }: Arm): Shares {
  const part = (count: number, all: number): number => (all === 0 ? Number.NaN : count / all);
  return {
    asked: part(called.shown, called.prompts),
    unasked: part(notCalled.shown, notCalled.prompts),
    degenerate: part(degenerate, called.prompts + notCalled.prompts),
  };
}

function shareLines({ asked, unasked, degenerate }: Shares): HtmlValue {
  const percent = (value: number): string => (Number.isFinite(value) ? formatPercent(value, 0) : "none");
  return html`<b class="asked">${percent(asked)}</b><span class="line">unasked ${percent(unasked)}</span>${
    degenerate > 0 && html`<span class="under">${formatPercent(degenerate, 0)} degenerate</span>`
  }`;
}

/** Of the models as they are; an arm of controls has each prompt once a control. */
function promptCounts(rate: BehaviourRate): Html | false {
  const plain = rate.arms.find(({ controls }) => controls === 0);
  if (plain === undefined) return false;
  const { called, notCalled } = plain;
  return html`<span class="under">${formatNumber(called.prompts, "prompt")}, ${formatCount(notCalled.prompts)} others</span>`;
}

/** Factors of base +, finetuned − and finetuned +. */
function strengths({ factor, removalFactor, pushFactor }: BehaviourRate): HtmlValue {
  const lines = [`base +${factor}`, `finetuned −${removalFactor}`, `finetuned +${pushFactor}`];
  return lines.map((words) => html`<span class="under">${words}</span>`);
}

function meanFinite(values: readonly number[]): number {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? Number.NaN : finite.reduce((sum, value) => sum + value, 0) / finite.length;
}

export function spliceBlock(outcomes: Record<"base" | "finetuned", SpliceOutcome>): Html {
  const row = (name: string, of: (outcome: SpliceOutcome) => string): HtmlValue[] => [
    name,
    of(outcomes.base),
    of(outcomes.finetuned),
  ];
  return html`<p class="prose">Each model was run with its residual replaced by the dictionary’s reconstruction of it. What the dictionary leaves out, no experiment here can show.</p>${numbersTable(
    "Loss of the next token, nats",
    ["figure", "base", "finetuned"],
    [
      row("the model as it is", ({ ce }) => formatFixed(ce.model, 3)),
      row("with its reconstruction", ({ ce }) => formatFixed(ce.spliced, 3)),
      row("with the mean residual", ({ ce }) => formatFixed(ce.mean, 3)),
      row("with zeros", ({ ce }) => formatFixed(ce.zero, 3)),
      row("KL of its reconstruction", ({ kl }) => formatFixed(kl, 3)),
      ["loss recovered, against zeros", ...recovered(outcomes, "lossRecoveredZero")],
      ["loss recovered, against the mean", ...recovered(outcomes, "lossRecoveredMean")],
      row("tokens", ({ tokens }) => formatCount(tokens)),
    ],
  )}<p class="note">${termLink("lossRecovered", "Loss recovered")}: 1 is a reconstruction as good as the residual itself.</p>`;
}

function recovered(
  { base, finetuned }: Record<"base" | "finetuned", SpliceOutcome>,
  name: "lossRecoveredZero" | "lossRecoveredMean",
): string[] {
  return [base[name], finetuned[name]].map((value) => formatFixed(value, 3));
}

function signed(value: number): string {
  return value > 0 ? `+${formatFixed(value, 2)}` : formatFixed(value, 2);
}
