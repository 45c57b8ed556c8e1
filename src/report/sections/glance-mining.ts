// Tokens that the fine-tune raises or lowers whatever the text, each beside what chance would give.

import type { MinedToken, MiningFindings } from "../../glance/glance-contract.ts";
import { formatCount, formatFixed, formatNumber, formatPercent, formatShare } from "../format.ts";
import { type Html, html } from "../html.ts";
import { termLink } from "../terms.ts";
import { numbersTable } from "./tables.ts";
import { tokenChip } from "./tokens.ts";

export function miningSection({ positions, topK, risen, fallen }: MiningFindings): Html {
  return html`<section id="mining"><h2>Tokens that rose and fell</h2><p class="prose">At each of ${formatNumber(
    positions,
    "position",
  )} the ${formatCount(topK)} tokens whose logit rose most against the base were counted, and the ${formatCount(topK)} that fell most: ${termLink(
    "mined",
  )}. A token that merely varies is counted on both sides; the chance column is what it would get with the sign drawn at random.</p>${minedTable(
    "More expected by the fine-tune",
    risen,
  )}${minedTable("Less expected by the fine-tune", fallen)}</section>`;
}

function minedTable(label: string, tokens: readonly MinedToken[]): Html {
  if (tokens.length === 0) return html`<p class="prose">${label}: none beyond chance.</p>`;
  return numbersTable(
    label,
    ["token", "positions", "by chance", "rose where possible", "mean change, logits", "in the text"],
    tokens.map(({ token, share, controlShare, fractionPositive, meanDifference, occurrences }) => [
      tokenChip(token),
      formatShare(share),
      formatShare(controlShare),
      formatPercent(fractionPositive, 0),
      formatFixed(meanDifference, 2),
      occurrences === 0 ? "never" : `${formatCount(occurrences)} ×`,
    ]),
  );
}
