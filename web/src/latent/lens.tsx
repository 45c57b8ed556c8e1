// Tokens that each model's decoder direction promotes and suppresses, side by side.

import type { ReactNode } from "react";
import type { LatentPage, TokenScore } from "../../../src/dashboard/api-contract.ts";
import { formatFixed } from "../format.ts";
import { PartOf } from "../parts/states.tsx";
import { type Side, SideMark, TokenChip } from "../parts/token.tsx";

export function Lens({ lens }: { lens: LatentPage["lens"] }): ReactNode {
  return (
    <PartOf part={lens}>
      {({ promotedBase, suppressedBase, promotedFinetuned, suppressedFinetuned }) => (
        <div className="two">
          <SideOfLens side="base" promoted={promotedBase} suppressed={suppressedBase} />
          <SideOfLens side="finetuned" promoted={promotedFinetuned} suppressed={suppressedFinetuned} />
        </div>
      )}
    </PartOf>
  );
}

function SideOfLens(options: { side: Side; promoted: TokenScore[]; suppressed: TokenScore[] }): ReactNode {
  const { side, promoted, suppressed } = options;
  return (
    <div>
      <h3>
        <SideMark side={side} /> {side}
      </h3>
      <Scores title="promoted" scores={promoted} />
      <Scores title="suppressed" scores={suppressed} />
    </div>
  );
}

function Scores({ title, scores }: { title: string; scores: TokenScore[] }): ReactNode {
  return (
    <p className="scores">
      <span className="note">{title}</span>{" "}
      {scores.length === 0 && <span className="note">none: the direction has no length</span>}
      {scores.map(({ token, tokenId, score }) => (
        <span key={tokenId} className="score">
          <TokenChip token={token} /> <span className="note">{formatFixed(score, 2)}</span>
        </span>
      ))}
    </p>
  );
}
