// A direction as each model reads it: tokens promoted (+) and suppressed (−), a pair of rows for each way of reading.

import type { ReactNode } from "react";
import type { GlanceRead, TokenScore } from "../../../src/dashboard/api-contract.ts";
import { formatNumber } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import { SideMark, TokenChip } from "../parts/token.tsx";

const MODELS = ["base", "finetuned"] as const;
const SIGNS = [
  ["promoted", "+"],
  ["suppressed", "−"],
] as const;

export function ReadTable({ read, label }: { read: readonly GlanceRead[]; label: string }): ReactNode {
  if (read.length === 0) return <Empty>It has no direction to read.</Empty>;
  const ways = [...new Set(read.map(({ by }) => by))];
  return (
    <ScrollRegion className="scroll" label={label}>
      <table className="counts read">
        <thead>
          <tr>
            <th scope="col">tokens</th>
            {MODELS.map((model) => (
              <th key={model} scope="col" className="words">
                <SideMark side={model} /> {model}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ways.flatMap((by) =>
            SIGNS.map(([name, sign]) => (
              <tr key={`${by} ${name}`}>
                <th scope="row">
                  {sign} {by}
                </th>
                {MODELS.map((model) => (
                  <td key={model} className="words">
                    <Scores scores={read.find((one) => one.by === by && one.model === model)?.[name]} />
                  </td>
                ))}
              </tr>
            )),
          )}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Scores({ scores }: { scores: readonly TokenScore[] | undefined }): ReactNode {
  if (scores === undefined) return <span className="note">not read</span>;
  if (scores.length === 0) return <span className="note">none</span>;
  return (
    <span className="scores">
      {scores.map(({ token, tokenId, score }) => (
        <span key={tokenId} className="score">
          <TokenChip token={token} /> <span className="note">{formatNumber(score)}</span>
        </span>
      ))}
    </span>
  );
}
