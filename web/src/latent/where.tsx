// On which rows a latent fires: roles, datasets, template slots, tenths of the document; and the tokens at and before its peak.

import type { ReactNode } from "react";
import type { LatentPage } from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatPercent } from "../format.ts";
import { TokenChip } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";

const HEADINGS: Record<string, string> = {
  role: "By role",
  dataset: "By dataset",
  slot: "By template slot",
  positionDecile: "By tenth of the document",
};
const BAR = { width: 80, height: 8 } as const;

export function Where({ page }: { page: LatentPage }): ReactNode {
  return (
    <div className="tiles">
      {Object.entries(page.where).map(([kind, shares]) => (
        <Bars key={kind} kind={kind} shares={shares} />
      ))}
      <Tokens title="Token at its peak" tokens={page.tokensAtPeak} />
      <Tokens title="Token before its peak" tokens={page.tokensBeforePeak} />
    </div>
  );
}

function Bars({ kind, shares }: { kind: string; shares: LatentPage["where"][string] }): ReactNode {
  const most = Math.max(...shares.map(({ share }) => share), 0);
  // Tenths keep their order; the others stand by size, those in which it is silent in one line.
  const isTenths = kind === "positionDecile";
  const sorted = isTenths
    ? shares
    : shares.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
  const silent = isTenths
    ? []
    : shares.filter(({ share }) => share === 0).map(({ name }) => showInvisible(name));
  return (
    <table className="counts">
      <caption>{HEADINGS[kind] ?? kind}: share of its rows with the latent</caption>
      <tbody>
        {sorted.map(({ name, share, rows }) => (
          <tr key={name} title={`${formatCount(rows)} rows`}>
            <th scope="row">{isTenths ? `tenth ${Number(name) + 1}` : showInvisible(name)}</th>
            <td>{formatPercent(share, 2)}</td>
            <td>
              <svg className="share" viewBox={`0 0 ${BAR.width} ${BAR.height}`} aria-hidden="true">
                <rect width={most > 0 && share > 0 ? (share / most) * BAR.width : 0} height={BAR.height} />
              </svg>
            </td>
          </tr>
        ))}
        {(silent.length > 0 || sorted.length === 0) && (
          <tr>
            <td className="note words" colSpan={3}>
              {silent.length > 0 ? `silent: ${silent.join(", ")}` : "no rows"}
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function Tokens({ title, tokens }: { title: string; tokens: { token: string; count: number }[] }): ReactNode {
  return (
    <table className="counts">
      <caption>{title}, documents</caption>
      <tbody>
        {tokens.map(({ token, count }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two ids may have one string, and the list does not change
          <tr key={i}>
            <th scope="row">
              <TokenChip token={token} />
            </th>
            <td>{formatCount(count)}</td>
          </tr>
        ))}
        {tokens.length === 0 && (
          <tr>
            <td className="note">none counted</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}
