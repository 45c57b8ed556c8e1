// The paper's causal figure: KL to the fine-tune that is left after each edit, with its 95 % interval, a panel a set of tokens.

import { type ReactNode, useCallback } from "react";
import type { CausalBar, CausalSummary } from "../../../src/dashboard/api-contract.ts";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatAmount, formatCount, formatFixed, formatPercent } from "../format.ts";
import { Empty } from "../parts/states.tsx";

export function CausalBars({ causal }: { causal: CausalSummary }): ReactNode {
  const sets = [...new Set(causal.bars.map(({ tokenSet }) => tokenSet))];
  if (sets.length === 0)
    return <Empty>The experiment of the paper was not asked for: single latents alone were measured.</Empty>;
  return (
    <>
      {sets.map((tokenSet) => (
        <Bars
          key={tokenSet}
          tokenSet={tokenSet}
          bars={causal.bars.filter((bar) => bar.tokenSet === tokenSet)}
        />
      ))}
      <p className="note">
        {formatAmount(causal.conversations, "conversation")}, {formatAmount(causal.tokens, "token")}. Lower is
        closer to the fine-tune.
      </p>
    </>
  );
}

function Bars({ tokenSet, bars }: { tokenSet: string; bars: CausalBar[] }): ReactNode {
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      height: 40 + 26 * bars.length,
      marginLeft: 150,
      marginRight: 20,
      x: { label: "KL, nats a token", grid: true },
      y: { label: null, domain: bars.map(({ name }) => name) },
      marks: [
        plot.barX(bars, { x: "kl", y: "name", fill: "var(--finetuned)", insetTop: 4, insetBottom: 4 }),
        plot.ruleY(bars, { x1: "low", x2: "high", y: "name", stroke: "var(--ink)" }),
        plot.ruleX([0], { stroke: "var(--ink)" }),
      ],
    }),
    [bars],
  );
  return (
    <>
      <PlotFigure
        label={`KL to the fine-tune after each edit, ${tokenSet} tokens`}
        draw={draw}
        name={`causal-${tokenSet}`}
      >
        {tokenSet} tokens
      </PlotFigure>
      <details>
        <summary>As a table</summary>
        <table className="counts">
          <thead>
            <tr>
              <th scope="col">edit</th>
              <th scope="col">KL</th>
              <th scope="col">95 % limits</th>
              <th scope="col">gap closed</th>
            </tr>
          </thead>
          <tbody>
            {bars.map(({ name, kl, low, high, gapClosed }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{formatFixed(kl, 3)}</td>
                <td>
                  {formatFixed(low, 3)} to {formatFixed(high, 3)}
                </td>
                <td>{gapClosed === null ? formatCount(Number.NaN) : formatPercent(gapClosed)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}
