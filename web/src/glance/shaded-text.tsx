// A stretch of text whose tokens are shaded by a number each; a cursor on one of them, and what is known of that token below.

import { type KeyboardEvent, type PointerEvent, type ReactNode, useState } from "react";
import type { GlanceText } from "../../../src/dashboard/api-contract.ts";
import { shadeLevel } from "../latent/example-text.tsx";
import type { Side } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";

/** A text is stepped through with the arrow keys, though it is no field. */
const stepped = (label: string) => ({ role: "group", tabIndex: 0, "aria-label": label }) as const;

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
  const [at, setAt] = useState<number | null>(null);
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const next = nextCursor(event.key, { at, peak, nTokens: tokens.length });
    if (next === undefined) return;
    event.preventDefault();
    setAt(next);
  };
  const onPoint = (event: PointerEvent): void => {
    const index = (event.target as Element).closest<HTMLElement>("[data-i]")?.dataset.i;
    if (index !== undefined) setAt(Number(index));
  };
  return (
    <div className={`example ${side}`}>
      <p
        className="text"
        {...stepped(`Text, strongest at ${showInvisible(tokens[peak] ?? "")}`)}
        onKeyDown={onKey}
        onPointerOver={onPoint}
        onPointerLeave={(event) => {
          if (event.pointerType === "mouse") setAt(null);
        }}
        onBlur={() => setAt(null)}
      >
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

/** Where a key takes the cursor; null: away; undefined: the key is none of its own. The first step shows the peak. */
export function nextCursor(
  key: string,
  { at, peak, nTokens }: { at: number | null; peak: number; nTokens: number },
): number | null | undefined {
  if (key === "Escape") return at === null ? undefined : null;
  const inside = (index: number): number => Math.min(nTokens - 1, Math.max(0, index));
  if (key === "Home") return 0;
  if (key === "End") return inside(nTokens - 1);
  if (key === "ArrowLeft") return inside(at === null ? peak : at - 1);
  if (key === "ArrowRight") return inside(at === null ? peak : at + 1);
  return undefined;
}

/** Shade of a value of most's sign; 0 for others and for none. */
export function shadeOf(value: number | null, most: number): number {
  return value === null ? 0 : shadeLevel(most < 0 ? -value : value, Math.abs(most));
}

function classOf(level: number, { isPeak, isAt }: { isPeak: boolean; isAt: boolean }): string | undefined {
  const classes = [level > 0 && `a${level}`, isPeak && "pk", isAt && "at-token"].filter(Boolean);
  return classes.length === 0 ? undefined : classes.join(" ");
}
