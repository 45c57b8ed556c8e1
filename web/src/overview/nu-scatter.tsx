// nuError against nuReconstruction of every latent, along either decoder direction; a lasso leads to the table of what it encloses.

import { type ReactNode, useMemo } from "react";
import type { ColumnInfo, Overview } from "../../../src/dashboard/api-contract.ts";
import { Scatter } from "../charts/scatter.tsx";
import type { Points, View } from "../charts/scatter-raster.ts";
import { formatAmount, formatFixed } from "../format.ts";
import { goTo, joinParts, queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { SideMark } from "../parts/token.tsx";
import { useColumns } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import type { ColumnValues } from "../table/select-latents.ts";

/** Where the two nu of a latent with a meaning lie; the rest is reached by zooming out. */
const HOME: View = { x0: -0.1, x1: 1.5, y0: -0.1, y1: 1.5 };
const COLOURS = ["neutral", "base", "finetuned"] as const;
const CLAIM = "claim";

export function NuScatter(
  props: ScreenProps & { list: readonly ColumnInfo[]; thresholds: Overview["thresholds"] | null },
): ReactNode {
  const { query, thresholds } = props;
  const direction = query.get("direction") === "base" ? "Base" : "Finetuned";
  const [xName, yName] = [`scaling${direction}_nuReconstruction`, `scaling${direction}_nuError`];
  const { columns, isLoading, error } = useColumns(props.place, props.list, [xName, yName, CLAIM]);
  const points = useMemo(
    () => toPoints(columns.get(xName), columns.get(yName), columns.get(CLAIM)),
    [columns, xName, yName],
  );
  if (error !== null) return <Failure error={error} />;
  if (isLoading) return <Loading what="the plot" />;
  if (points === null) return <Empty>Not measured yet: `tunediff measure` makes it.</Empty>;
  const { nKnown, nSeen } = countPoints(points);
  const other = new URLSearchParams(query);
  other.set("direction", direction === "Base" ? "finetuned" : "base");
  return (
    <>
      <p className="note">
        Along the {direction === "Base" ? "base" : "finetuned"} decoder direction (
        <Link to={other}>show the {direction === "Base" ? "finetuned" : "base"} one</Link>). Low on both axes:
        the other model has nothing of it. {formatAmount(nKnown, "latent")} with both values,{" "}
        {formatAmount(nSeen, "latent")} in view at the start. <SideMark side="finetuned" /> finetuned-specific{" "}
        <SideMark side="base" /> base-specific.
      </p>
      <Scatter
        points={points}
        colours={COLOURS}
        home={HOME}
        xLabel="nuReconstruction"
        yLabel="nuError"
        lines={{ x: thresholds?.nuReconstructionBelow ?? null, y: thresholds?.nuErrorBelow ?? null }}
        label={`Scatter plot of nuError against nuReconstruction, ${nKnown} latents. Arrows move it, plus and minus zoom, 0 shows all.`}
        describe={(latent) =>
          `latent ${latent}: ${formatFixed(points.x[latent], 3)}, ${formatFixed(points.y[latent], 3)}`
        }
        onOpen={(latent) => goTo(queryOf(query, "latent", { latent: String(latent) }))}
        onLasso={(polygon) =>
          goTo(queryOf(query, "latents", { lasso: joinParts([xName, yName, ...polygon]) }))
        }
      />
      <p className="note">
        Without a pointer:{" "}
        <Link
          to={rangesQuery(query, [
            [xName, HOME.x0, thresholds?.nuReconstructionBelow ?? HOME.x1],
            [yName, HOME.y0, thresholds?.nuErrorBelow ?? HOME.y1],
          ])}
        >
          the latents of the lower left corner as a table
        </Link>
        , whose ranges can be changed there.
      </p>
    </>
  );
}

function rangesQuery(query: URLSearchParams, ranges: (string | number)[][]): URLSearchParams {
  const next = queryOf(query, "latents");
  for (const range of ranges) next.append("range", joinParts(range));
  return next;
}

function toPoints(
  x: ColumnValues | undefined,
  y: ColumnValues | undefined,
  claim: ColumnValues | undefined,
): Points | null {
  if (x?.kind !== "number" || y?.kind !== "number") return null;
  const group = new Uint8Array(x.values.length);
  if (claim?.kind === "category") {
    const ofCode = claim.words.map((word) =>
      word.startsWith("finetuned") ? 2 : word.startsWith("base") ? 1 : 0,
    );
    for (let i = 0; i < group.length; i += 1) group[i] = ofCode[claim.codes[i]];
  }
  return { x: x.values, y: y.values, group };
}

function countPoints({ x, y }: Points): { nKnown: number; nSeen: number } {
  let [nKnown, nSeen] = [0, 0];
  for (let i = 0; i < x.length; i += 1) {
    if (!Number.isFinite(x[i]) || !Number.isFinite(y[i])) continue;
    nKnown += 1;
    if (x[i] >= HOME.x0 && x[i] <= HOME.x1 && y[i] >= HOME.y0 && y[i] <= HOME.y1) nSeen += 1;
  }
  return { nKnown, nSeen };
}
