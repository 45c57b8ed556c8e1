// What the dictionary costs each model: the loss of its next token with the residual replaced by its reconstruction.

import type { ReactNode } from "react";
import type { CausalSplice } from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatFixed } from "../format.ts";
import { SideMark } from "../parts/token.tsx";

const ROWS: readonly [string, (splice: CausalSplice) => string][] = [
  ["the model as it is", ({ model }) => fixed(model)],
  ["with its reconstruction", ({ spliced }) => fixed(spliced)],
  ["with the mean residual", ({ mean }) => fixed(mean)],
  ["with zeros", ({ zero }) => fixed(zero)],
  ["KL of its reconstruction", ({ kl }) => fixed(kl)],
  ["loss recovered, against zeros", ({ lossRecoveredZero }) => fixed(lossRecoveredZero)],
  ["loss recovered, against the mean", ({ lossRecoveredMean }) => fixed(lossRecoveredMean)],
  ["tokens", ({ tokens }) => formatCount(tokens)],
];
const SIDES = ["base", "finetuned"] as const;

export function Splice({ splice }: { splice: Record<"base" | "finetuned", CausalSplice> }): ReactNode {
  return (
    <>
      <p className="prose">
        Each model was run with its residual replaced by the dictionary’s reconstruction of it. What the
        dictionary leaves out, no experiment here can show.
      </p>
      <table className="counts">
        <caption>Loss of the next token, nats</caption>
        <thead>
          <tr>
            <td />
            {SIDES.map((side) => (
              <th key={side} scope="col">
                <SideMark side={side} /> {side}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ROWS.map(([name, show]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {SIDES.map((side) => (
                <td key={side}>{show(splice[side])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="note">Loss recovered: 1 is a reconstruction as good as the residual itself.</p>
    </>
  );
}

function fixed(value: number | null): string {
  return formatFixed(value ?? Number.NaN, 3);
}
