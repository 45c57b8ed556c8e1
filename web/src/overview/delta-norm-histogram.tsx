// How many latents lean to which model: deltaNorm of all of them, in bins that lead to the table.
//
// Counts stand on a square-root axis: most latents are shared, and the few that are not are the subject.

import { type ReactNode, useCallback, useMemo } from "react";
import type { ColumnInfo } from "../../../src/dashboard/api-contract.ts";
import { binValues } from "../charts/bin-values.ts";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatCount, formatFixed } from "../format.ts";
import { joinParts, queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { useColumns } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";

const COLUMN = "deltaNorm";
const RANGE = { from: 0, to: 1, nBins: 40 } as const;

export function DeltaNormHistogram(
  props: ScreenProps & { list: readonly ColumnInfo[]; isListed: boolean },
): ReactNode {
  const { columns, isLoading, error } = useColumns(props.place, props.list, [COLUMN]);
  const column = columns.get(COLUMN);
  if (error !== null) return <Failure error={error} />;
  if (isLoading || !props.isListed) return <Loading what="deltaNorm" />;
  if (column?.kind !== "number") return <Empty>Not measured yet: `tunediff measure` makes it.</Empty>;
  return <Histogram values={column.values} query={props.query} />;
}

function Histogram({ values, query }: { values: Float64Array; query: URLSearchParams }): ReactNode {
  const bins = useMemo(() => binValues(values, RANGE), [values]);
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      height: 240,
      marginLeft: 48,
      x: { label: "deltaNorm (0 base-only, 1 finetuned-only)", domain: [RANGE.from, RANGE.to] },
      y: { label: "latents", type: "sqrt" as const, grid: true, ticks: 5 },
      marks: [
        plot.rectY(bins, {
          x1: "from",
          x2: "to",
          y: "count",
          inset: 0.5,
          fill: (bin: { from: number; to: number }) => fillOf((bin.from + bin.to) / 2),
        }),
        plot.ruleY([0], { stroke: "var(--ink)" }),
      ],
    }),
    [bins],
  );
  return (
    <>
      <PlotFigure label="Histogram of deltaNorm over all latents" draw={draw} name="delta-norm">
        Square-root axis.
      </PlotFigure>
      <details>
        <summary>As a table, each bin a link to its latents</summary>
        <ScrollRegion className="scroll short" label="Bins of deltaNorm">
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">deltaNorm</th>
                <th scope="col">latents</th>
              </tr>
            </thead>
            <tbody>
              {bins.map(({ from, to, count }) => (
                <tr key={from}>
                  <th scope="row">
                    {formatFixed(from, 3)} to {formatFixed(to, 3)}
                  </th>
                  <td>
                    {count === 0 ? (
                      "0"
                    ) : (
                      <Link
                        to={queryOf(query, "latents", { range: joinParts([COLUMN, from, to]), sort: COLUMN })}
                      >
                        {formatCount(count)}
                      </Link>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      </details>
    </>
  );
}

/** Thirds of the axis: which way a latent leans. */
function fillOf(deltaNorm: number): string {
  if (deltaNorm < 1 / 3) return "var(--base)";
  return deltaNorm > 2 / 3 ? "var(--finetuned)" : "var(--neutral)";
}
