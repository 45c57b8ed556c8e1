// The two decoders of a latent and its Latent Scaling in both directions, with 95 % limits drawn on one axis.

import type { ReactNode } from "react";
import type { LatentPage } from "../../../src/dashboard/api-contract.ts";
import { formatFixed, formatLimits, formatNumber, toNumber } from "../format.ts";
import { SideMark } from "../parts/token.tsx";

/** The part of the nu axis that is drawn; what lies outside stands at its end, with the number beside it. */
const AXIS = { from: -0.25, to: 1.5, width: 140, height: 14 } as const;
const NU_NAMES = ["nuActivation", "nuReconstruction", "nuError"] as const;

export function Decoders({ numbers }: { numbers: LatentPage["numbers"] }): ReactNode {
  const number = (name: string): number => toNumber(numbers[name]);
  return (
    <>
      <table className="counts sides">
        <thead>
          <tr>
            <td />
            <th scope="col">
              <SideMark side="base" /> base
            </th>
            <th scope="col">
              <SideMark side="finetuned" /> finetuned
            </th>
          </tr>
        </thead>
        <tbody>
          {["decoderNorm", "encoderNorm"].map((name) => (
            <tr key={name}>
              <th scope="row">{name === "decoderNorm" ? "decoder norm" : "encoder norm"}</th>
              <td>{formatNumber(number(`${name}Base`))}</td>
              <td>{formatNumber(number(`${name}Finetuned`))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        deltaNorm <b>{formatFixed(number("deltaNorm"), 3)}</b> (0 base-only, 1 finetuned-only), cosine of the
        decoders <b>{formatFixed(number("decoderCosine"), 3)}</b>
      </p>
      {(["Finetuned", "Base"] as const).map((side) => (
        <table key={side} className="counts nus">
          <caption>
            Along the {side.toLowerCase()} decoder direction,{" "}
            {side === "Finetuned" ? "base / finetuned" : "finetuned / base"}
          </caption>
          <tbody>
            {NU_NAMES.map((nu) => {
              const value = number(`scaling${side}_${nu}`);
              const low = number(`intervals${side}_${nu}Low`);
              const high = number(`intervals${side}_${nu}High`);
              return (
                <tr key={nu}>
                  <th scope="row">{nu}</th>
                  <td>{formatFixed(value, 3)}</td>
                  <td>
                    <Strip value={value} low={low} high={high} />
                  </td>
                  <td className="words note">{formatLimits(low, high, 3)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      ))}
    </>
  );
}

/** A value and its limits on an axis from −0.25 to 1.5, ticks at 0 and 1; the numbers stand beside it. */
function Strip({ value, low, high }: { value: number; low: number; high: number }): ReactNode {
  if (Number.isNaN(value) && Number.isNaN(low)) return null;
  const at = (x: number): number =>
    Math.min(AXIS.width, Math.max(0, ((x - AXIS.from) / (AXIS.to - AXIS.from)) * AXIS.width));
  const middle = AXIS.height / 2;
  return (
    <svg className="strip" viewBox={`0 0 ${AXIS.width} ${AXIS.height}`} aria-hidden="true">
      <path
        className="axis"
        d={`M0 ${middle}H${AXIS.width}M${at(0)} 2V${AXIS.height - 2}M${at(1)} 2V${AXIS.height - 2}`}
      />
      {!Number.isNaN(low) && !Number.isNaN(high) && (
        <path className="limits" d={`M${at(low)} ${middle}H${at(high)}`} />
      )}
      {Number.isFinite(value) && <circle cx={at(value)} cy={middle} r="3.5" />}
    </svg>
  );
}
