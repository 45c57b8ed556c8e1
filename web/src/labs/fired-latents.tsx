// The latents that fire anywhere in a text, claims first: what they are, how strongly here and in the measured rows, to be pinned.

import { type ReactNode, useState } from "react";
import type { PromptReading } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatFixed, formatNumber } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import { SidedWords } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { LAB_FIGURES } from "./lab-limits.ts";
import { nameOf } from "./reading-layout.ts";
import { isClaim } from "./suggest-latents.ts";
import { PinButton } from "./token-panel.tsx";

export function FiredLatents(options: {
  reading: PromptReading;
  pins: readonly number[];
  onPin: (latent: number) => void;
  onAt: (token: number) => void;
  latentQuery: (latent: number) => URLSearchParams;
}): ReactNode {
  const { reading, pins, onPin, onAt, latentQuery } = options;
  const [isAll, setIsAll] = useState(false);
  const { latents, nFiring } = reading;
  const shown = isAll ? latents : latents.slice(0, LAB_FIGURES.firstLatents);
  const nClaims = latents.filter(({ claim }) => isClaim(claim)).length;
  if (latents.length === 0) return <Empty>No latent fires in this text.</Empty>;
  return (
    <>
      <p className="note">
        {formatAmount(nFiring, "latent")} at work in this text, {formatAmount(nClaims, "claim")} among those
        listed. Claims first, then by greatest activation. A pinned latent’s activations shade the text.
      </p>
      <ScrollRegion className="scroll" label="Latents that fire in this text">
        <table className="counts fired">
          <thead>
            <tr>
              <th scope="col">latent</th>
              <td />
              <th scope="col" className="words">
                label, or promoted tokens
              </th>
              <th scope="col" className="words">
                claim
              </th>
              <th scope="col">deltaNorm</th>
              <th scope="col">greatest here</th>
              <th scope="col">greatest measured</th>
              <th scope="col">at</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((latent) => {
              const peak = latent.activations.indexOf(Math.max(...latent.activations));
              return (
                <tr key={latent.latent}>
                  <th scope="row">
                    <Link to={latentQuery(latent.latent)}>{latent.latent}</Link>
                  </th>
                  <td>
                    <PinButton latent={latent.latent} isPinned={pins.includes(latent.latent)} onPin={onPin} />
                  </td>
                  <td className="words name">
                    <bdi className={latent.label === "" ? "note" : undefined}>
                      {showInvisible(nameOf(latent))}
                    </bdi>
                  </td>
                  <td className="words">{isClaim(latent.claim) && <SidedWords words={latent.claim} />}</td>
                  <td>{formatFixed(latent.deltaNorm, 2)}</td>
                  <td>{latent.max > 0 ? formatNumber(latent.max) : "silent"}</td>
                  <td>{formatNumber(latent.maxMeasured)}</td>
                  <td>
                    {latent.max > 0 && (
                      <button type="button" className="quiet" onClick={() => onAt(peak)}>
                        <span className="hidden">
                          latent {latent.latent} is strongest at token {peak + 1},{" "}
                        </span>
                        {showInvisible(reading.tokens[peak]).trim() || "␣"}
                      </button>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </ScrollRegion>
      {latents.length > shown.length && (
        <button type="button" onClick={() => setIsAll(true)}>
          Show all {formatCount(latents.length)}
        </button>
      )}
      {isAll && nFiring > latents.length && (
        <p className="note">The weakest of the {formatCount(nFiring)} are not listed.</p>
      )}
    </>
  );
}
