// Where the predictions part: texts around the greatest KL, and what each model expected there.

import type { ReactNode } from "react";
import type { GlanceFindings, GlancePeak } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatNumber, formatPercent, NO_VALUE } from "../format.ts";
import { Empty } from "../parts/states.tsx";
import { SideMark, TokenChip } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { ShadedText } from "./shaded-text.tsx";

/** As in the report: peaks in the open; tokens shown of what each model expects, the first and others from a share on. */
const LIMITS = { open: 8, chances: 4, leastChance: 0.005 } as const;

export function Peaks({ kl }: { kl: GlanceFindings["kl"] }): ReactNode {
  const { items, total } = kl.peaks;
  if (items.length === 0) return <Empty>Nowhere: no prediction differs.</Empty>;
  const most = Math.max(...items.map(({ values, peak }) => values[peak] ?? 0));
  const list = (peaks: readonly GlancePeak[], start: number): ReactNode => (
    <ol className="examples" start={start}>
      {peaks.map((peak) => (
        <Peak key={`${peak.dataset} ${peak.document}`} peak={peak} most={most} />
      ))}
    </ol>
  );
  const folded = items.slice(LIMITS.open);
  return (
    <>
      <p className="prose">
        The texts with the greatest KL of the fine-tune to the base, one a document. Each token is shaded by
        the KL of the prediction made after it; the underlined one is the peak, its KL in nats stands before
        the text, and what each model expected next stands below it.
        {kl.quantiles.p50 !== null && ` Half of all tokens are below ${formatNumber(kl.quantiles.p50)} nats.`}{" "}
        Point at a token, or step through a text with the arrow keys.
      </p>
      {list(items.slice(0, LIMITS.open), 1)}
      {folded.length > 0 && (
        <details>
          <summary>{formatAmount(folded.length, "more text")}</summary>
          {list(folded, LIMITS.open + 1)}
        </details>
      )}
      {items.length < total && (
        <p className="note">
          The first {items.length} of {total}; glance.json has all.
        </p>
      )}
    </>
  );
}

function Peak({ peak, most }: { peak: GlancePeak; most: number }): ReactNode {
  const { values, tokens, document, dataset, nextBase, nextFinetuned } = peak;
  return (
    <li>
      <span className="at">{nats(values[peak.peak])}</span>
      <div>
        <ShadedText
          text={peak}
          most={most}
          side="finetuned"
          describe={(i) => (
            <p>
              <TokenChip token={tokens[i]} /> KL of the prediction after it <b>{nats(values[i])}</b> nats
              {i === peak.peak && " · the peak"}
            </p>
          )}
        />
        <Expected side="base" chances={nextBase} />
        <Expected side="finetuned" chances={nextFinetuned} />
      </div>
      <span className="source">
        <bdi>{showInvisible(`${dataset} · ${document}`)}</bdi>
      </span>
    </li>
  );
}

function Expected(options: { side: "base" | "finetuned"; chances: GlancePeak["nextBase"] }): ReactNode {
  const { side, chances } = options;
  const shown = chances
    .filter(({ probability }, i) => i === 0 || probability >= LIMITS.leastChance)
    .slice(0, LIMITS.chances);
  return (
    <p className="next">
      <SideMark side={side} /> {side} expects {shown.length === 0 && <span className="note">nothing</span>}
      {shown.map(({ token, probability }, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two ids may have one string, and the list does not change
        <span key={i} className="score">
          <TokenChip token={token} /> <span className="note">{formatPercent(probability, 0)}</span>
        </span>
      ))}
    </p>
  );
}

function nats(value: number | null): string {
  return value === null ? NO_VALUE : formatNumber(value);
}
