// "What it does": latents put into and taken out of running models, and what that does to the answers.
//
// The paper's experiment stands in causal-patching.ts, single latents, behaviours and splice metrics in causal-latents.ts. What was
// not made is said with the command that makes it.

import type { PatchingResult } from "../../causal/causal-contract.ts";
import { formatCount, formatNumber } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { RankedClaim, Side } from "../rank-claims.ts";
import type { PerModel, ReportInput } from "../report-input.ts";
import { termLink } from "../terms.ts";
import { behaviourBlock, effectsBlock, spliceBlock } from "./causal-latents.ts";
import { patchingBlock } from "./causal-patching.ts";
import { linkToCards } from "./claims.ts";
import { missing } from "./tables.ts";

const COMMAND = "tunediff causal STUDY";

export function causalSection(input: ReportInput, claims: Record<Side, RankedClaim[]>): Html {
  return html`<section id="causal"><h2>What it does</h2>${body(input, claims)}</section>`;
}

function body({ causal, pair, truth }: ReportInput, claims: Record<Side, RankedClaim[]>): Html {
  if (causal.state === "absent" && typeof pair.dModel !== "number")
    return html`<p class="missing">The models differ in width, so no latent of one can be put into the other. Nothing was added to or removed from a running model.</p>`;
  if (causal.state === "absent")
    return missing(
      "Nothing was added to or removed from a running model: what the latents do is not known.",
      COMMAND,
    );
  if (causal.state === "outdated")
    return missing("The causal experiments were made of another dictionary or measurement.", COMMAND);
  const { record, effects } = causal.value;
  const { patching } = record;
  const link = linkToCards([...claims.finetuned, ...claims.base]);
  const concepts = new Map(
    truth?.claims.map((claim) => [claim.latent, claim.answersToConcept ? claim.concept : ""]),
  );
  return html`<p class="prose">So far latents were watched. Here they were put into running models: the base’s residual after block ${layerWords(
    pair.layer,
  )}, with something added, goes through the fine-tune’s later blocks. The ${termLink("kl")} then says how far the answers still are from the fine-tune’s own. ${
    patching !== null && conversationWords(patching)
  }</p>${
    patching === null
      ? missing("The paper’s experiment was not asked for.", `${COMMAND} --parts patching`)
      : patchingBlock(patching, { poolIsLeaning: record.asked.patching?.pool === "leaning" })
  }
<h3>One latent at a time</h3>${
    record.effects === null
      ? missing("Single latents were not measured.", `${COMMAND} --parts effects`)
      : effectsBlock({ summary: record.effects, effects, link, concepts })
  }
<h3>Behaviours in the answers</h3>${
    record.behaviours === null
      ? missing(
          "No behaviours were counted; that takes prompts and a pattern for each behaviour.",
          `${COMMAND} --behaviours FILE`,
        )
      : behaviourBlock(record.behaviours, link)
  }
<h3>What the dictionary costs each model</h3>${
    record.splice === null
      ? missing("The models were not run on their reconstructions.", `${COMMAND} --parts splice`)
      : spliceBlock(record.splice)
  }`;
}

/** Where the conversations come from, how many, and which were left out. */
export function conversationWords({
  conversations,
  outcomes,
}: Pick<PatchingResult, "conversations" | "outcomes">): string {
  const { source, answers, split, count, tokens, excluded, unedited } = conversations;
  const predicted = outcomes[0]?.sets.all.tokens ?? 0;
  const from = source === "file" ? "of a file" : `of the split ${split}`;
  const by = answers === "written" ? "answers as written there" : "answered anew by the fine-tune, greedily";
  const left = Object.entries(excluded).filter(([, number]) => number > 0);
  const outside =
    left.length === 0
      ? "None was left out."
      : `Left out: ${left.map(([reason, number]) => `${formatCount(number)} (${reason})`).join(", ")}.`;
  const kept = unedited > 0 ? ` The first ${formatNumber(unedited, "token")} of each stay unedited.` : "";
  return `${formatNumber(count, "conversation")} ${from}, ${by}, ${formatNumber(predicted, "predicted token")} of the assistant among ${formatNumber(tokens, "token")} read. ${outside}${kept}`;
}

function layerWords(layer: PerModel): string {
  return typeof layer === "number"
    ? String(layer)
    : `${layer.base} (block ${layer.finetuned} in the fine-tune)`;
}
