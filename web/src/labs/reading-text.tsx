// The tokens of a reading as flowing text, one stretch a role: shaded by the chosen pin, other pins as strips above, KL as bars below.
//
// A cursor stands on one token; arrow keys, Home and End move it, a click sets it. Strips and bars are backgrounds, so the text breaks
// as text does; every number stands in the table below (reading-table.tsx).

import {
  type CSSProperties,
  Fragment,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
  useEffect,
  useMemo,
  useRef,
} from "react";
import type { PromptReading, ReadLatent } from "../../../src/dashboard/api-contract.ts";
import { shadeLevel } from "../latent/example-text.tsx";
import { showInvisible } from "../visible-text.ts";
import { fullKl, isTemplate, klLevel, leaning, type Stretch, stretchesOf } from "./reading-layout.ts";

/** px. */
const STRIP = { height: 3, gap: 1, barArea: 9 } as const;

export interface ReadingTextProps {
  reading: PromptReading;
  at: number | null;
  onAt: (token: number | null) => void;
  shade: ReadLatent | undefined;
  strips: readonly ReadLatent[];
}

export function ReadingText({ reading, at, onAt, shade, strips }: ReadingTextProps): ReactNode {
  const box = useRef<HTMLElement>(null);
  const stretches = useMemo(() => stretchesOf(reading), [reading]);
  const last = reading.tokens.length - 1;
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key === "Escape") onAt(null);
    const move = MOVES[event.key];
    if (move === undefined || box.current === null) return;
    const next = move({ at, last, box: box.current });
    event.preventDefault();
    onAt(Math.min(last, Math.max(0, next)));
  };
  const onClick = (event: MouseEvent): void => {
    const index = (event.target as Element).closest<HTMLElement>("[data-i]")?.dataset.i;
    if (index !== undefined) onAt(Number(index));
  };
  useEffect(() => {
    if (at === null || document.activeElement !== box.current) return;
    box.current?.querySelector(`[data-i="${at}"]`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const styles = useMemo(() => tokenStyles(reading, shade, strips), [reading, shade, strips]);
  const lines = { lineHeight: `${2.1 + strips.length * 0.3}` };
  return (
    <section
      className="reading-text"
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a text that is stepped through with the arrow keys, though it is no field
      tabIndex={0}
      aria-label="Tokens of the text: step through them with the arrow keys"
      style={lines}
      onKeyDown={onKey}
      onClick={onClick}
    >
      {stretches.map((stretch) => (
        <div key={stretch.start} className={`stretch ${isTemplate(stretch.role) ? "template" : "content"}`}>
          <span className="role">{roleWords(stretch)}</span>
          <p>
            {reading.tokens.slice(stretch.start, stretch.end).map((token, k) => {
              const i = stretch.start + k;
              return (
                <Fragment key={i}>
                  <span data-i={i} className={i === at ? "at-token" : undefined} style={styles[i]}>
                    {token === "" ? "∅" : showInvisible(token)}
                  </span>
                  {!isTemplate(stretch.role) && /\n$/.test(token) && <br />}
                </Fragment>
              );
            })}
          </p>
        </div>
      ))}
    </section>
  );
}

function roleWords({ role, isAnswer }: Stretch): string {
  const words = role === "bos" ? "start" : role;
  return isAnswer ? `${words}, generated` : words;
}

/** What a key does with the cursor; without one the first key sets it. */
const MOVES: Record<string, (from: { at: number | null; last: number; box: HTMLElement }) => number> = {
  ArrowLeft: ({ at }) => (at ?? 1) - 1,
  ArrowRight: ({ at }) => (at ?? -1) + 1,
  ArrowUp: ({ at, box }) => lineNeighbour(box, at ?? 0, -1),
  ArrowDown: ({ at, box }) => lineNeighbour(box, at ?? 0, 1),
  Home: () => 0,
  End: ({ last }) => last,
};

/** The token above or below: of the nearest line, the one whose middle is nearest. */
function lineNeighbour(box: HTMLElement, from: number, step: 1 | -1): number {
  const start = box.querySelector(`[data-i="${from}"]`)?.getClientRects()[0];
  if (start === undefined) return from;
  let best = from;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const token of box.querySelectorAll<HTMLElement>("[data-i]")) {
    const place = token.getClientRects()[0];
    const down = step * (place.top - start.top);
    if (down < start.height / 2) continue;
    const cost = down * 1000 + Math.abs(place.left + place.width / 2 - start.left - start.width / 2);
    if (cost < bestCost) [best, bestCost] = [Number(token.dataset.i), cost];
  }
  return best;
}

/** One style a token: layers of plain colour, strips on top, the bar at the bottom, the shade between. */
function tokenStyles(
  { tokens, kl }: PromptReading,
  shade: ReadLatent | undefined,
  strips: readonly ReadLatent[],
): CSSProperties[] {
  const full = fullKl(kl);
  const top = strips.length * (STRIP.height + STRIP.gap);
  return tokens.map((_, i) => {
    const layers: { colour: string; size: string; position: string }[] = [];
    for (const [k, latent] of strips.entries()) {
      const colour = shadeColour(latent, i);
      if (colour !== null)
        layers.push({
          colour,
          size: `100% ${STRIP.height}px`,
          position: `0 ${k * (STRIP.height + STRIP.gap)}px`,
        });
    }
    const level = klLevel(kl[i], full);
    if (level > 0) layers.push({ colour: "var(--kl)", size: `100% ${level}px`, position: "0 100%" });
    const colour = shade === undefined ? null : shadeColour(shade, i);
    if (colour !== null)
      layers.push({ colour, size: `100% calc(100% - ${top + STRIP.barArea}px)`, position: `0 ${top}px` });
    return {
      paddingTop: `${top}px`,
      paddingBottom: `${STRIP.barArea}px`,
      backgroundImage:
        layers.map(({ colour: of }) => `linear-gradient(${of}, ${of})`).join(", ") || undefined,
      backgroundSize: layers.map(({ size }) => size).join(", ") || undefined,
      backgroundPosition: layers.map(({ position }) => position).join(", ") || undefined,
    };
  });
}

/** Shaded against the greatest activation that was measured, or this text's own where that is greater. */
function shadeColour(latent: ReadLatent, token: number): string | null {
  const level = shadeLevel(latent.activations[token], Math.max(latent.maxMeasured, latent.max));
  return level === 0 ? null : `var(--${leaning(latent)}-${level})`;
}
