// The reading as a table, the twin of the shaded text: KL, both models' next tokens and the pins' activations, token by token.

import { type ReactNode, useState } from "react";
import type { PromptReading, ReadLatent } from "../../../src/dashboard/api-contract.ts";
import { formatFixed, formatNumber, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { TokenChip } from "../parts/token.tsx";

interface ReadingTableProps {
  reading: PromptReading;
  /** A column each. */
  pinned: readonly ReadLatent[];
}

/** Its rows are made when it is opened: a long text has many. */
export function ReadingTable({ reading, pinned }: ReadingTableProps): ReactNode {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>The same as a table</summary>
      {isOpen && <Rows {...{ reading, pinned }} />}
    </details>
  );
}

function Rows({ reading, pinned }: ReadingTableProps): ReactNode {
  return (
    <ScrollRegion className="scroll short" label="The reading, token by token">
      <table className="counts">
        <thead>
          <tr>
            <th scope="col">token</th>
            <th scope="col" className="words">
              role
            </th>
            <th scope="col">KL, nats</th>
            <th scope="col" className="words">
              base expects
            </th>
            <th scope="col" className="words">
              finetuned expects
            </th>
            {pinned.map(({ latent }) => (
              <th scope="col" key={latent}>
                latent {latent}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {reading.tokens.map((token, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a token's place is what it is
            <tr key={i}>
              <th scope="row">
                {i + 1} <TokenChip token={token} />
              </th>
              <td className="words">{reading.roles[i]}</td>
              <td>{formatFixed(reading.kl[i], 3)}</td>
              <First scores={reading.nextBase[i]} />
              <First scores={reading.nextFinetuned[i]} />
              {pinned.map(({ latent, activations }) => (
                <td key={latent}>{activations[i] > 0 ? formatNumber(activations[i]) : "0"}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function First({ scores }: { scores: { token: string; probability: number }[] }): ReactNode {
  const first = scores[0];
  return (
    <td className="words">
      {first !== undefined && (
        <>
          <TokenChip token={first.token} /> <span className="note">{formatPercent(first.probability)}</span>
        </>
      )}
    </td>
  );
}
