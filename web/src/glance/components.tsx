// The components along which the difference varies: how much each holds, its tokens, and the texts at either end.

import { type ReactNode, useMemo } from "react";
import type { GlanceComponent, GlanceFindings, GlanceText } from "../../../src/dashboard/api-contract.ts";
import { BandBars } from "../charts/band-bars.tsx";
import { formatAmount, formatNumber, formatPercent, NO_VALUE } from "../format.ts";
import { Choice } from "../parts/choice.tsx";
import { Empty } from "../parts/states.tsx";
import { TokenChip } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { ReadTable } from "./read-table.tsx";
import { ShadedText } from "./shaded-text.tsx";

const percent = (value: number): string => formatPercent(value, 0);
const ENDS = [
  ["highest", "Where it is highest", 1],
  ["lowest", "Where it is lowest", -1],
] as const;

export function Components(options: {
  pca: GlanceFindings["pca"];
  /** As the address says it, from 1. */
  asked: string | null;
  onPick: (component: string) => void;
}): ReactNode {
  const { pca, asked, onPick } = options;
  const { items } = pca.components;
  const bands = useMemo(
    () =>
      items.map(({ share }, i) => ({
        ...{ key: String(i + 1), label: `component ${i + 1}`, words: shareWords(share) },
        main: { value: share, low: null, high: null },
        ...{ thin: null, fill: "finetuned" as const },
      })),
    [items],
  );
  if (items.length === 0) return <Empty>None: the residuals do not differ, or cannot be subtracted.</Empty>;
  const at = Math.max(
    0,
    items.findIndex((_, i) => String(i + 1) === asked),
  );
  return (
    <>
      <p className="prose">
        Over {formatAmount(pca.rows, "token")} the residuals differ by {shareWords(pca.changeRatio)} of their
        square; the mean holds {shareWords(pca.meanShare)} of that. Of the rest, each component holds the
        share that stands beside it; its sign means nothing by itself.
      </p>
      <div className="shares">
        <BandBars
          bands={bands}
          label="Share of the difference that each component holds"
          name="difference-components"
          axis="share of the difference about its mean"
          format={percent}
          reference={null}
          caption={null}
          table={{
            columns: ["component", "share"],
            rows: items.map(({ share }, i) => ({
              key: String(i),
              cells: [String(i + 1), formatPercent(share ?? Number.NaN)],
            })),
          }}
        />
      </div>
      <div className="filters">
        <Choice
          label="Component"
          value={String(at + 1)}
          choices={items.map(({ share }, i) => [String(i + 1), `${i + 1}: ${shareWords(share)}`])}
          onPick={onPick}
        />
      </div>
      <Component component={items[at]} />
    </>
  );
}

function Component({ component }: { component: GlanceComponent }): ReactNode {
  return (
    <>
      <ReadTable read={component.read} label="The component as tokens" />
      <div className="two">
        {ENDS.map(([name, words, sign]) => (
          <div key={name}>
            <h3>{words}</h3>
            <Ends texts={component[name]} sign={sign} />
          </div>
        ))}
      </div>
    </>
  );
}

function Ends({ texts, sign }: { texts: readonly GlanceText[]; sign: 1 | -1 }): ReactNode {
  if (texts.length === 0) return <Empty>nowhere</Empty>;
  const most = sign * Math.max(0, ...texts.map(({ values, peak }) => sign * (values[peak] ?? 0)));
  return (
    <ol className="examples ends">
      {texts.map((text, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a document may stand twice, and the list does not change
        <li key={i}>
          <span className="at">{number(text.values[text.peak])}</span>
          <div>
            <ShadedText
              text={text}
              most={most}
              side={sign > 0 ? "finetuned" : "base"}
              describe={(at) => (
                <p>
                  <TokenChip token={text.tokens[at]} /> projection <b>{number(text.values[at])}</b>
                </p>
              )}
            />
            <span className="source">
              <bdi>{showInvisible(text.document)}</bdi>
            </span>
          </div>
        </li>
      ))}
    </ol>
  );
}

function shareWords(share: number | null): string {
  return share === null ? "an unknown share" : formatPercent(share, share < 0.1 ? 1 : 0);
}

function number(value: number | null): string {
  return value === null ? NO_VALUE : formatNumber(value);
}
