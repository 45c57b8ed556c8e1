// A stretch of text whose tokens are shaded by a number each; a cursor on one of them, and what is known of that token below.

import type { ReactNode } from "react";
import type { GlanceText } from "../../../src/dashboard/api-contract.ts";
import { shadeLevel } from "../latent/example-text.tsx";
import type { Side } from "../parts/token.tsx";
import { useTokenCursor } from "../parts/token-cursor.ts";
import { showInvisible } from "../visible-text.ts";

export function ShadedText(options: {
  text: GlanceText;
  /** Value of the darkest shade; negative values are shaded where it is below 0. */
  most: number;
  side: Side;
  /** Said of the token under the cursor. */
  describe: (index: number) => ReactNode;
}): ReactNode {
  const { text, most, side, describe } = options;
  const { tokens, values, peak } = text;
  const { at, textProps } = useTokenCursor({ nTokens: tokens.length, first: peak });
  return (
    <div className={`example ${side}`}>
      <p className="text" {...textProps(`Text, strongest at ${showInvisible(tokens[peak] ?? "")}`)}>
        {tokens.map((token, i) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a token's place is what it is
            key={i}
            data-i={i}
            className={classOf(shadeOf(values[i], most), { isPeak: i === peak, isAt: i === at })}
          >
            {token === "" ? "∅" : showInvisible(token)}
          </span>
        ))}
      </p>
      <div className="inspector" aria-live="polite">
        {at !== null && describe(at)}
      </div>
    </div>
  );
}

/** Shade of a value of most's sign; 0 for others and for none. */
export function shadeOf(value: number | null, most: number): number {
  return value === null ? 0 : shadeLevel(most < 0 ? -value : value, Math.abs(most));
}

function classOf(level: number, { isPeak, isAt }: { isPeak: boolean; isAt: boolean }): string | undefined {
  const classes = [level > 0 && `a${level}`, isPeak && "pk", isAt && "at-token"].filter(Boolean);
  return classes.length === 0 ? undefined : classes.join(" ");
}
