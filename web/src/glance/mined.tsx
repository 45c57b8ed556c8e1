// Tokens that the fine-tune raises or lowers whatever the text, each beside what chance would give.

import type { ReactNode } from "react";
import type { GlanceFindings, GlanceMined, Limited } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatFixed, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import { TokenChip } from "../parts/token.tsx";

/** Rows in the open; the rest are folded away. */
const OPEN = 10;

export function Mined({ mining }: { mining: GlanceFindings["mining"] }): ReactNode {
  const { positions, topK, risen, fallen } = mining;
  return (
    <>
      <p className="prose">
        At each of {formatAmount(positions, "position")} the {formatCount(topK)} tokens whose logit rose most
        against the base were counted, and the {formatCount(topK)} that fell most. A token that merely varies
        is counted on both sides; the chance column is what it would get with the sign drawn at random.
      </p>
      <div className="two">
        <Side title="More expected by the fine-tune" tokens={risen} />
        <Side title="Less expected by the fine-tune" tokens={fallen} />
      </div>
    </>
  );
}

function Side({ title, tokens }: { title: string; tokens: Limited<GlanceMined> }): ReactNode {
  const { items, total } = tokens;
  const folded = items.slice(OPEN);
  return (
    <div>
      <h3>{title}</h3>
      {items.length === 0 ? (
        <Empty>None beyond chance.</Empty>
      ) : (
        <>
          <Table title={title} tokens={items.slice(0, OPEN)} />
          {folded.length > 0 && (
            <details>
              <summary>{formatAmount(folded.length, "more token")}</summary>
              <Table title={`${title}, more`} tokens={folded} />
            </details>
          )}
          {items.length < total && (
            <p className="note">
              The first {items.length} of {total}; glance.json has all.
            </p>
          )}
        </>
      )}
    </div>
  );
}

function Table({ title, tokens }: { title: string; tokens: readonly GlanceMined[] }): ReactNode {
  const most = Math.max(...tokens.flatMap(({ share, controlShare }) => [share ?? 0, controlShare ?? 0]));
  return (
    <ScrollRegion className="scroll" label={title}>
      <table className="counts mined">
        <thead>
          <tr>
            <th scope="col">token</th>
            <th scope="col">positions</th>
            <th scope="col">by chance</th>
            <td />
            <th scope="col">rose where possible</th>
            <th scope="col">mean change, logits</th>
            <th scope="col">in the text</th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((one) => (
            <tr key={one.tokenId}>
              <th scope="row">
                <TokenChip token={one.token} />
              </th>
              <td>{percent(one.share, 1)}</td>
              <td>{percent(one.controlShare, 1)}</td>
              <td>
                <ShareBar share={one.share ?? 0} control={one.controlShare ?? 0} most={most} />
              </td>
              <td>{percent(one.fractionPositive, 0)}</td>
              <td>{formatFixed(one.meanDifference ?? Number.NaN, 2)}</td>
              <td>{one.occurrences === 0 ? "never" : `${formatCount(one.occurrences)} ×`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

/** The share as a bar, and a mark where chance would put its end. */
function ShareBar({ share, control, most }: { share: number; control: number; most: number }): ReactNode {
  const at = (value: number): number => (most > 0 ? (100 * value) / most : 0);
  return (
    <svg className="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect className="of" x="0" y="1" width={at(share)} height="8" />
      <rect className="by-chance" x={Math.max(0, at(control) - 1)} y="0" width="2" height="10" />
    </svg>
  );
}

function percent(value: number | null, decimals: number): string {
  return formatPercent(value ?? Number.NaN, decimals);
}
