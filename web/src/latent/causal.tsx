// What adding or removing a latent does to the fine-tune's answers, beside its matched controls.

import type { ReactNode } from "react";
import type { Estimate, LatentPage } from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatFixed, formatLimits, formatNumber, formatPercent } from "../format.ts";
import { PartOf } from "../parts/states.tsx";
import { TokenChip } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";

const percent = (value: number): string => formatPercent(value, 2);

export function Causal({ part }: { part: LatentPage["causal"] }): ReactNode {
  return (
    <PartOf part={part}>
      {(causal) => (
        <>
          <table className="counts">
            <thead>
              <tr>
                <td />
                <th scope="col">this latent</th>
                <th scope="col">95 % limits</th>
                <th scope="col">controls</th>
              </tr>
            </thead>
            <tbody>
              <Row
                name="gap closed"
                estimate={causal.gapClosed}
                control={causal.controlGapClosed}
                format={percent}
              />
              <Row
                name="damage, nats"
                estimate={causal.damage}
                control={causal.controlDamage}
                format={formatNumber}
              />
            </tbody>
          </table>
          <h3>Tokens it moves most</h3>
          <p className="scores">
            {causal.movedTokens.map(({ token, change, count }, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: one token may stand twice, and the list does not change
              <span key={i} className="score">
                <TokenChip token={token} />{" "}
                <span className="note">
                  {formatNumber(change)} × {formatCount(count)}
                </span>
              </span>
            ))}
            {causal.movedTokens.length === 0 && <span className="note">none</span>}
          </p>
          <h3>Conversations it moves most</h3>
          <ul>
            {causal.movedTexts.map(({ conversation, change }, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: as above
              <li key={i}>
                <bdi>{showInvisible(conversation)}</bdi> <span className="note">{formatNumber(change)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </PartOf>
  );
}

function Row(options: {
  name: string;
  estimate: Estimate;
  control: number;
  format: (value: number) => string;
}): ReactNode {
  const { name, estimate, control, format } = options;
  const hasLimits = Number.isFinite(estimate.low) && Number.isFinite(estimate.high);
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{format(estimate.mean)}</td>
      <td>
        {hasLimits
          ? `${format(estimate.low)} to ${format(estimate.high)}`
          : formatLimits(estimate.low, estimate.high)}
      </td>
      <td>{Number.isFinite(control) ? format(control) : formatFixed(control)}</td>
    </tr>
  );
}
