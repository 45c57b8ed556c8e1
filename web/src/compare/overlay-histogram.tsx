// deltaNorm of two dictionaries over one another: shares of latents, because their numbers may differ. A filled, B as a line.

import { type ReactNode, useCallback, useMemo } from "react";
import { type Bin, binValues } from "../charts/bin-values.ts";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatCount, formatFixed, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";

const RANGE = { from: 0, to: 1, nBins: 40 } as const;

interface Shares {
  bins: (Bin & { share: number })[];
  /** Corners of the outline, left to right. */
  line: { at: number; share: number }[];
}

export function OverlayHistogram({ a, b }: { a: Float64Array; b: Float64Array }): ReactNode {
  const [ofA, ofB] = useMemo(() => [sharesOf(a), sharesOf(b)], [a, b]);
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      height: 260,
      marginLeft: 52,
      x: { label: "deltaNorm (0 base-only, 1 finetuned-only)", domain: [RANGE.from, RANGE.to] },
      y: { label: "latents, %", type: "sqrt" as const, grid: true, ticks: 5, percent: true },
      marks: [
        plot.rectY(ofA.bins, { x1: "from", x2: "to", y: "share", inset: 0.5, fill: "var(--neutral)" }),
        plot.lineY(ofB.line, {
          x: "at",
          y: "share",
          stroke: "var(--ink)",
          strokeWidth: 1.8,
          curve: "step-after" as const,
        }),
        plot.ruleY([0], { stroke: "var(--ink)" }),
      ],
    }),
    [ofA, ofB],
  );
  return (
    <>
      <PlotFigure label="Histograms of deltaNorm of both dictionaries" draw={draw} name="compare-delta-norm">
        <Legend shape="filled" /> A <Legend shape="line" /> B. Shares of each one's latents on a square-root
        axis.
      </PlotFigure>
      <details>
        <summary>As a table</summary>
        <ScrollRegion className="scroll short" label="Bins of deltaNorm of both">
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">deltaNorm</th>
                <th scope="col">A</th>
                <th scope="col">share</th>
                <th scope="col">B</th>
                <th scope="col">share</th>
              </tr>
            </thead>
            <tbody>
              {ofA.bins.map(({ from, to, count, share }, i) => (
                <tr key={from}>
                  <th scope="row">
                    {formatFixed(from, 3)} to {formatFixed(to, 3)}
                  </th>
                  <td>{formatCount(count)}</td>
                  <td>{formatPercent(share)}</td>
                  <td>{formatCount(ofB.bins[i].count)}</td>
                  <td>{formatPercent(ofB.bins[i].share)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      </details>
    </>
  );
}

function sharesOf(values: Float64Array): Shares {
  const counted = binValues(values, RANGE);
  const total = Math.max(1, values.length);
  const bins = counted.map((bin) => ({ ...bin, share: bin.count / total }));
  const line = bins.map(({ from, share }) => ({ at: from, share }));
  line.push({ at: RANGE.to, share: bins[bins.length - 1].share });
  return { bins, line };
}

export function Legend({ shape }: { shape: "filled" | "line" | "dot-a" | "dot-b" }): ReactNode {
  return (
    <svg className={`legend-mark ${shape}`} viewBox="0 0 16 10" aria-hidden="true">
      {shape === "filled" && <rect x="1" y="1" width="14" height="9" />}
      {shape === "line" && <path d="M1 6h14" />}
      {shape.startsWith("dot") && <circle cx="8" cy="5" r="3.5" />}
    </svg>
  );
}
