// The latents that are pushed, each with a slider and an exact number in units of its greatest activation or code.

import type { ReactNode } from "react";
import { formatFixed, formatNumber } from "../format.ts";
import { queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { NumberField } from "./field-number.tsx";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";
import { LatentName, LatentSearch } from "./latent-search.tsx";
import { boundedNumber, plainNumber } from "./parse-numbers.ts";
import { FACTOR_BOUNDS, FIRST_FACTOR, type SteerState } from "./steer-state.ts";
import type { LatentFacts } from "./suggest-latents.ts";

const parseFactor = (text: string): number | null => boundedNumber(text, FACTOR_BOUNDS);
const { factorMost, factorStep } = LAB_FIGURES;

export function SteerLatents(options: {
  state: SteerState;
  change: (part: Partial<SteerState>) => void;
  facts: LatentFacts;
  query: URLSearchParams;
}): ReactNode {
  const { state, change, facts, query } = options;
  const { latents, unit } = state;
  const set = (latent: number, factor: number): void =>
    change({ latents: latents.map((entry) => (entry.latent === latent ? { latent, factor } : entry)) });
  return (
    <fieldset className="steer-latents">
      <legend>Latents, each times its greatest {unit}</legend>
      <ul>
        {latents.map(({ latent, factor }) => {
          const greatest = (unit === "code" ? facts.maxCode : facts.maxActivation)?.[latent];
          return (
            <li key={latent}>
              <span className="who">
                <Link to={queryOf(query, "latent", { latent: String(latent) })}>latent {latent}</Link>{" "}
                <LatentName facts={facts} latent={latent} />
              </span>
              <span className="slide">
                <span aria-hidden="true" className="note">
                  {formatFixed(-factorMost, 0)}
                </span>
                <input
                  type="range"
                  aria-label={`Factor of latent ${latent}`}
                  min={-factorMost}
                  max={factorMost}
                  step={factorStep}
                  value={Math.min(factorMost, Math.max(-factorMost, factor))}
                  aria-valuetext={`${formatFixed(factor, 2)} times its greatest ${unit}`}
                  onChange={(event) => set(latent, Number(event.target.value))}
                />
                <span aria-hidden="true" className="note">
                  {factorMost}
                </span>
              </span>
              <NumberField
                label={`Exact factor of latent ${latent}`}
                isLabelHidden
                value={factor}
                parse={parseFactor}
                write={plainNumber}
                onChange={(value) => set(latent, value)}
              />
              <span className="note amount">
                {greatest !== undefined && Number.isFinite(greatest)
                  ? `× ${formatNumber(greatest)} = ${formatNumber(factor * greatest)}`
                  : ""}
              </span>
              <span>
                <button
                  type="button"
                  className="quiet"
                  disabled={factor === FIRST_FACTOR}
                  aria-label={`Reset latent ${latent} to ${FIRST_FACTOR}`}
                  onClick={() => set(latent, FIRST_FACTOR)}
                >
                  reset
                </button>
                <button
                  type="button"
                  className="quiet"
                  aria-label={`Remove latent ${latent}`}
                  onClick={() => change({ latents: latents.filter((entry) => entry.latent !== latent) })}
                >
                  ×
                </button>
              </span>
            </li>
          );
        })}
      </ul>
      <LatentSearch
        label="Add a latent"
        facts={facts}
        without={new Set(latents.map(({ latent }) => latent))}
        isFull={latents.length >= LAB_LIMITS.labLatents}
        onPick={(latent) => change({ latents: [...latents, { latent, factor: FIRST_FACTOR }] })}
      />
    </fieldset>
  );
}
