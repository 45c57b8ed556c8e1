// A cursor on one token of a text, moved by the pointer and by the arrow keys; the text's element gets the handlers, its tokens data-i.

import { type KeyboardEvent, type PointerEvent, useState } from "react";

export interface TokenCursor {
  /** Index of a token; null: on none. */
  at: number | null;
  /** Of the text's element: a text is stepped through with the arrow keys, though it is no field. */
  textProps: (label: string) => {
    role: "group";
    tabIndex: 0;
    "aria-label": string;
    onKeyDown: (event: KeyboardEvent) => void;
    onPointerOver: (event: PointerEvent) => void;
    onPointerLeave: ((event: PointerEvent) => void) | undefined;
    onBlur: () => void;
  };
}

/** first: where the first step of an arrow goes. staysOnLeave: the cursor stays when a mouse leaves the text. */
export function useTokenCursor(options: {
  nTokens: number;
  first: number;
  staysOnLeave?: boolean;
}): TokenCursor {
  const { nTokens, first, staysOnLeave = false } = options;
  const [at, setAt] = useState<number | null>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const next = nextCursor(event.key, { at, first, nTokens });
    if (next === undefined) return;
    event.preventDefault();
    setAt(next);
  };
  const onPointerOver = (event: PointerEvent): void => {
    const index = (event.target as Element).closest<HTMLElement>("[data-i]")?.dataset.i;
    if (index !== undefined) setAt(Number(index));
  };
  const leave = (event: PointerEvent): void => {
    if (event.pointerType === "mouse") setAt(null);
  };
  return {
    at,
    textProps: (label) => ({
      ...{ role: "group", tabIndex: 0, "aria-label": label, onKeyDown, onPointerOver },
      onPointerLeave: staysOnLeave ? undefined : leave,
      onBlur: () => setAt(null),
    }),
  };
}

/** Where a key takes the cursor; null: away; undefined: the key is none of its own. The first step of an arrow shows `first`. */
export function nextCursor(
  key: string,
  { at, first, nTokens }: { at: number | null; first: number; nTokens: number },
): number | null | undefined {
  if (key === "Escape") return at === null ? undefined : null;
  const inside = (index: number): number => Math.min(nTokens - 1, Math.max(0, index));
  if (key === "Home") return 0;
  if (key === "End") return inside(nTokens - 1);
  if (key === "ArrowLeft") return inside(at === null ? first : at - 1);
  if (key === "ArrowRight") return inside(at === null ? first : at + 1);
  return undefined;
}
