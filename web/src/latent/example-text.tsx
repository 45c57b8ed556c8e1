// One example: its tokens as text nodes, shaded; a cursor on one of them, and the numbers of that token below.

import type { ReactNode } from "react";
import type { Example } from "../../../src/dashboard/api-contract.ts";
import { formatFixed, formatNumber, formatPercent } from "../format.ts";
import { SideMark, TokenChip } from "../parts/token.tsx";
import { useTokenCursor } from "../parts/token-cursor.ts";
import { showInvisible } from "../visible-text.ts";

/** Classes a1 … a9 of the palette. */
const N_SHADES = 9;

export function ExampleText({ example, most }: { example: Example; most: number }): ReactNode {
  const { tokens, activations, peak } = example;
  const { at, textProps } = useTokenCursor({ nTokens: tokens.length, first: peak });
  return (
    <div className="example">
      <p className="text" {...textProps(`Example, strongest at ${showInvisible(tokens[peak] ?? "")}`)}>
        {tokens.map((token, i) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a token's place is what it is
            key={i}
            data-i={i}
            className={classOf({
              level: shadeLevel(activations[i], most),
              isPeak: i === peak,
              isAt: i === at,
            })}
          >
            {token === "" ? "∅" : showInvisible(token)}
          </span>
        ))}
      </p>
      <div className="inspector" aria-live="polite">
        {at !== null && <TokenNumbers example={example} at={at} />}
      </div>
    </div>
  );
}

function TokenNumbers({ example, at }: { example: Example; at: number }): ReactNode {
  const { tokens, activations, contributions, outputs } = example;
  const output = outputs?.[at];
  return (
    <>
      <p>
        <TokenChip token={tokens[at]} /> activation <b>{formatNumber(activations[at])}</b>
        {contributions !== null && (
          <>
            {" "}
            · encoder: <SideMark side="base" /> {formatFixed(contributions.base[at], 2)} +{" "}
            <SideMark side="finetuned" /> {formatFixed(contributions.finetuned[at], 2)} + bias{" "}
            {formatFixed(contributions.bias, 2)}
          </>
        )}
        {output !== undefined && <> · KL {formatFixed(output.kl, 3)} nats</>}
      </p>
      {output !== undefined &&
        (["base", "finetuned"] as const).map((side) => (
          <p key={side}>
            <SideMark side={side} /> expects{" "}
            {output[side].map(({ token, probability }, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: two ids may have one string
              <span key={i} className="score">
                <TokenChip token={token} /> <span className="note">{formatPercent(probability)}</span>
              </span>
            ))}
          </p>
        ))}
    </>
  );
}

/** 0 silent, 1 … 9 by equal steps of the greatest, as in the report. */
export function shadeLevel(activation: number, most: number): number {
  if (!(activation > 0) || !(most > 0)) return 0;
  return Math.min(N_SHADES, Math.max(1, Math.ceil((activation / most) * N_SHADES)));
}

function classOf({
  level,
  isPeak,
  isAt,
}: {
  level: number;
  isPeak: boolean;
  isAt: boolean;
}): string | undefined {
  return (
    [level > 0 && `a${level}`, isPeak && "pk", isAt && "at-token"].filter(Boolean).join(" ") || undefined
  );
}
