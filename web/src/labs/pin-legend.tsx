// What the colours over the text mean: which pin shades it, which pins are strips, what the bars below are.

import type { ReactNode } from "react";
import type { ReadLatent } from "../../../src/dashboard/api-contract.ts";
import { formatFixed } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { SideMark } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { leaning, nameOf } from "./reading-layout.ts";

export function PinLegend(options: {
  pins: readonly number[];
  read: ReadonlyMap<number, ReadLatent>;
  shade: number | null;
  strips: readonly ReadLatent[];
  full: number;
  onShade: (latent: number | null) => void;
  onUnpin: (latent: number) => void;
  latentQuery: (latent: number) => URLSearchParams;
}): ReactNode {
  const { pins, read, shade, strips, full, onShade, onUnpin, latentQuery } = options;
  const stripAt = (latent: number): number => strips.findIndex((strip) => strip.latent === latent);
  return (
    <div className="pin-legend">
      {pins.length > 0 && (
        <fieldset>
          <legend>Pinned latents: one shades the text, the others are strips above it</legend>
          <ul>
            {pins.map((pin) => {
              const latent = read.get(pin);
              return (
                <li key={pin}>
                  <label>
                    <input
                      type="radio"
                      name="shade"
                      checked={pin === shade}
                      onChange={() => onShade(pin)}
                      aria-label={`Shade the text by latent ${pin}`}
                    />{" "}
                    {latent !== undefined && <SideMark side={leaning(latent)} />}
                  </label>{" "}
                  <Link to={latentQuery(pin)}>latent {pin}</Link>{" "}
                  {latent !== undefined && <bdi className="note">{showInvisible(nameOf(latent))}</bdi>}{" "}
                  <span className="note">
                    {latent === undefined
                      ? "not in this reading: read the text again"
                      : latent.max === 0
                        ? "silent in this text"
                        : pin === shade
                          ? "shades the text"
                          : stripAt(pin) >= 0
                            ? `strip ${stripAt(pin) + 1} from the top`
                            : "in the table below"}
                  </span>{" "}
                  <button
                    type="button"
                    className="quiet"
                    aria-label={`Unpin latent ${pin}`}
                    onClick={() => onUnpin(pin)}
                  >
                    ×
                  </button>
                </li>
              );
            })}
            <li>
              <label>
                <input type="radio" name="shade" checked={shade === null} onChange={() => onShade(null)} /> no
                shade
              </label>
            </li>
          </ul>
        </fieldset>
      )}
      <p className="note">
        The bar below a token is the KL of finetuned from base for the token after it, in nats: full height{" "}
        {formatFixed(full, 1)}, on a square-root scale.
      </p>
    </div>
  );
}
