// How strongly a latent fires: the histogram of its activations and the figures beside it.

import { type ReactNode, useCallback, useMemo } from "react";
import type { LatentPage } from "../../../src/dashboard/api-contract.ts";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatCount, formatNumber, formatPercent, toNumber } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import type { Side } from "../parts/token.tsx";

/** Above it bins are drawn without gaps. */
const FEW_BINS = 10;

export function Strength({ page, side }: { page: LatentPage; side: Side }): ReactNode {
  const number = (name: string): number => toNumber(page.numbers[name]);
  const facts: [string, string][] = [
    [
      "fires at",
      `${formatPercent(number("frequency"), 3)} of tokens, in ${formatCount(number("documents"))} documents`,
    ],
    ["activation, greatest", formatNumber(number("maxActivation"))],
    ["activation, mean", formatNumber(number("meanActivation"))],
    ["code, greatest", formatNumber(number("maxCode"))],
    ["on template tokens", `${formatPercent(number("templateShare"))} of its activation`],
  ];
  return (
    <>
      {page.histogram === null ? (
        <Empty>No histogram: it never fired.</Empty>
      ) : (
        <Histogram histogram={page.histogram} side={side} latent={page.latent} />
      )}
      <table className="counts">
        <tbody>
          {facts.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Histogram(options: {
  histogram: NonNullable<LatentPage["histogram"]>;
  side: Side;
  latent: number;
}): ReactNode {
  const { histogram, side, latent } = options;
  // Bins are of unequal width: their areas are the counts, not their heights.
  const bins = useMemo(
    () =>
      histogram.counts
        .map((count, i) => ({ from: histogram.edges[i], to: histogram.edges[i + 1], count }))
        .filter(({ from, to }) => to > from)
        .map((bin) => ({ ...bin, density: bin.count / (bin.to - bin.from) })),
    [histogram],
  );
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      height: 180,
      marginLeft: 48,
      x: { label: "activation" },
      y: { label: "tokens a unit of activation", type: "sqrt" as const, grid: true, ticks: 4 },
      marks: [
        plot.rectY(bins, {
          x1: "from",
          x2: "to",
          y: "density",
          inset: bins.length > FEW_BINS ? 0 : 0.5,
          fill: `var(--${side})`,
        }),
        plot.ruleY([0], { stroke: "var(--ink)" }),
      ],
    }),
    [bins, side],
  );
  const isCounted = histogram.from === "counted";
  return (
    <>
      <PlotFigure
        label={`Histogram of the activations of latent ${latent}`}
        draw={draw}
        name={`latent-${latent}-activations`}
      >
        {isCounted
          ? "Square-root axis; bins are narrower where activations are small."
          : "Square-root axis. Estimated from four quantiles: this measurement counted no bins."}
      </PlotFigure>
      {!isCounted && (
        <p className="note">
          <code>tunediff measure STUDY</code> counts them.
        </p>
      )}
      <details>
        <summary>As a table</summary>
        <ScrollRegion className="scroll short" label={`Bins of the activations of latent ${latent}`}>
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">activation</th>
                <th scope="col">{isCounted ? "tokens" : "tokens, about"}</th>
              </tr>
            </thead>
            <tbody>
              {bins.map(({ from, to, count }) => (
                <tr key={from}>
                  <th scope="row">
                    {formatNumber(from)} to {formatNumber(to)}
                  </th>
                  <td>{formatCount(isCounted ? count : Math.round(count))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      </details>
    </>
  );
}
