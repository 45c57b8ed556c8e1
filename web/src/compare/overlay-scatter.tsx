// nuError against nuReconstruction of two dictionaries in one plot, along either decoder direction; a point opens its latent, in its dictionary.

import { type ReactNode, useMemo } from "react";
import type { ColumnInfo } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { Scatter } from "../charts/scatter.tsx";
import type { Points, View } from "../charts/scatter-raster.ts";
import { formatAmount, formatFixed } from "../format.ts";
import { goTo, joinParts } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { useColumns } from "../queries.ts";
import type { ColumnValues } from "../table/select-latents.ts";
import { type CompareState, withCompareState } from "./compare-state.ts";
import { Legend } from "./overlay-histogram.tsx";
import { queryOfPlace } from "./places.ts";

/** As on the overview. */
const HOME: View = { x0: -0.1, x1: 1.5, y0: -0.1, y1: 1.5 };
const COLOURS = ["neutral", "ink"] as const;
const NO_POINTS = new Float64Array(0);

export interface TwoColumnLists {
  a: { place: DictionaryPlace; list: readonly ColumnInfo[] };
  b: { place: DictionaryPlace; list: readonly ColumnInfo[] };
}

export function OverlayScatter({
  a,
  b,
  state,
  query,
}: TwoColumnLists & { state: CompareState; query: URLSearchParams }): ReactNode {
  const side = state.direction === "base" ? "Base" : "Finetuned";
  const [xName, yName] = [`scaling${side}_nuReconstruction`, `scaling${side}_nuError`];
  const ofA = useColumns(a.place, a.list, [xName, yName]);
  const ofB = useColumns(b.place, b.list, [xName, yName]);
  const { points, nA } = useMemo(
    () => joined({ a: ofA.columns, b: ofB.columns, xName, yName, shown: state.points }),
    [ofA.columns, ofB.columns, xName, yName, state.points],
  );
  if (ofA.error !== null || ofB.error !== null) return <Failure error={ofA.error ?? ofB.error} />;
  if (ofA.isLoading || ofB.isLoading) return <Loading what="the plot" />;
  if (points.x.length === 0) return <Empty>Not measured yet: `tunediff measure` makes it.</Empty>;
  const placeOf = (point: number): { place: DictionaryPlace; latent: number; name: string } =>
    point < nA
      ? { place: a.place, latent: point, name: "A" }
      : { place: b.place, latent: point - nA, name: "B" };
  const other = state.direction === "base" ? "finetuned" : "base";
  return (
    <>
      <p className="note">
        <Legend shape="dot-a" /> A <Legend shape="dot-b" /> B, along the {state.direction} decoder direction (
        <Link to={withCompareState(query, { direction: other })}>show the {other} one</Link>).{" "}
        {formatAmount(points.x.length, "latent")}.
      </p>
      <fieldset className="bar choices">
        <legend className="hidden">Whose points are shown</legend>
        {(["both", "a", "b"] as const).map((choice) => (
          <button
            key={choice}
            type="button"
            aria-pressed={state.points === choice}
            onClick={() => goTo(withCompareState(query, { points: choice }), { replace: true })}
          >
            {choice === "both" ? "Both" : `${choice.toUpperCase()} alone`}
          </button>
        ))}
      </fieldset>
      <Scatter
        points={points}
        colours={COLOURS}
        home={HOME}
        xLabel="nuReconstruction"
        yLabel="nuError"
        lines={{ x: null, y: null }}
        label={`Scatter plot of nuError against nuReconstruction of both dictionaries, ${points.x.length} latents. Arrows move it, plus and minus zoom, 0 shows all.`}
        describe={(point) =>
          `${placeOf(point).name}, latent ${placeOf(point).latent}: ${formatFixed(points.x[point], 3)}, ${formatFixed(points.y[point], 3)}`
        }
        onOpen={(point) => {
          const { place, latent } = placeOf(point);
          goTo(queryOfPlace(place, "latent", { latent: String(latent) }));
        }}
        onLasso={(polygon) =>
          goTo(
            queryOfPlace(state.points === "b" ? b.place : a.place, "latents", {
              lasso: joinParts([xName, yName, ...polygon]),
            }),
          )
        }
      />
      <p className="note">
        A lasso leads to the latents of {state.points === "b" ? "B" : "A"} in it. Without a pointer, the lower
        left corner as a table: <Link to={corner(a.place, xName, yName)}>of A</Link>,{" "}
        <Link to={corner(b.place, xName, yName)}>of B</Link>.
      </p>
    </>
  );
}

/** Low on both axes: the other model has nothing of it. */
const CORNER = 0.5;

function corner(place: DictionaryPlace, xName: string, yName: string): URLSearchParams {
  const query = queryOfPlace(place, "latents");
  query.append("range", joinParts([xName, HOME.x0, CORNER]));
  query.append("range", joinParts([yName, HOME.y0, CORNER]));
  return query;
}

/** The points of A, then those of B; those of the one that is not shown have no place. */
function joined(options: {
  a: ReadonlyMap<string, ColumnValues>;
  b: ReadonlyMap<string, ColumnValues>;
  xName: string;
  yName: string;
  shown: CompareState["points"];
}): { points: Points; nA: number } {
  const { xName, yName, shown } = options;
  const values = (columns: ReadonlyMap<string, ColumnValues>, name: string): Float64Array => {
    const column = columns.get(name);
    return column?.kind === "number" ? column.values : NO_POINTS;
  };
  const [xa, xb] = [values(options.a, xName), values(options.b, xName)];
  const [ya, yb] = [values(options.a, yName), values(options.b, yName)];
  const n = xa.length + xb.length;
  const points: Points = { x: new Float64Array(n), y: new Float64Array(n), group: new Uint8Array(n) };
  points.x.set(xa);
  points.x.set(xb, xa.length);
  points.y.set(ya);
  points.y.set(yb, ya.length);
  points.group.fill(1, xa.length);
  if (shown === "b") points.x.fill(Number.NaN, 0, xa.length);
  if (shown === "a") points.x.fill(Number.NaN, xa.length);
  return { points, nA: xa.length };
}
