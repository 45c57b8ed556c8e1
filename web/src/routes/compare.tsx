// Two dictionaries, of one study or of two: their figures side by side, their distributions over one another, their latents matched.

import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { readComparison } from "../compare/compare-api.ts";
import { type CompareState, parseCompareState, withCompareState } from "../compare/compare-state.ts";
import { Matches } from "../compare/matches.tsx";
import { OverlayHistogram } from "../compare/overlay-histogram.tsx";
import { OverlayScatter, type TwoColumnLists } from "../compare/overlay-scatter.tsx";
import { isPlace, queryOfPlace, type ServedDictionary, servedDictionaries } from "../compare/places.ts";
import { compareSides } from "../compare/side-by-side.ts";
import { SidesTable } from "../compare/sides-table.tsx";
import { goTo } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Empty, Failure, Loading, MissingPart } from "../parts/states.tsx";
import { FRESH_MS, useColumnList, useColumns, useOverview, useSession } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import "../compare/compare.css";

export function CompareScreen({ place, query }: ScreenProps): ReactNode {
  const session = useSession();
  const state = parseCompareState(query);
  const served = servedDictionaries(session.data?.studies ?? []);
  const own = served.find((entry) => isPlace(entry.place, place));
  const others = served.filter((entry) => !isPlace(entry.place, place));
  const other = others.find((entry) => state.other !== null && isPlace(entry.place, state.other));
  if (own === undefined) return <Loading what="the dictionaries" />;
  return (
    <div className="compare">
      <h1>Compare</h1>
      <dl className="chosen">
        <div>
          <dt>A</dt>
          <dd>{own.title}</dd>
        </div>
        <div>
          <dt>B</dt>
          <dd>
            {others.length === 0 ? (
              "–"
            ) : (
              <select
                aria-label="Dictionary B"
                value={other === undefined ? "" : others.indexOf(other)}
                onChange={(event) => {
                  const chosen = others[Number(event.target.value)];
                  goTo(withCompareState(query, { other: chosen.place, by: null, sort: null }));
                }}
              >
                {other === undefined && <option value="">choose one</option>}
                {others.map(({ title }, i) => (
                  <option key={title} value={i}>
                    {title}
                  </option>
                ))}
              </select>
            )}
          </dd>
        </div>
      </dl>
      {others.length === 0 && (
        <Empty>
          The server has one dictionary. <code>tunediff serve STUDY OTHER-STUDY</code> shows several studies;
          <code>tunediff stability STUDY</code> trains the same dictionary with other seeds.
        </Empty>
      )}
      {others.length > 0 && other === undefined && (
        <Empty>
          {state.other === null
            ? "Choose what to compare with."
            : "The dictionary of this address is not served."}
        </Empty>
      )}
      {other !== undefined && (
        <Both
          key={`${other.place.study}/${other.place.dictionary}`}
          a={own}
          b={other}
          state={state}
          query={query}
        />
      )}
    </div>
  );
}

function Both({
  a,
  b,
  state,
  query,
}: {
  a: ServedDictionary;
  b: ServedDictionary;
  state: CompareState;
  query: URLSearchParams;
}): ReactNode {
  const comparison = useQuery({
    queryKey: ["comparison", a.place, b.place],
    queryFn: () => readComparison(a.place, b.place),
    staleTime: FRESH_MS.derived,
  });
  const [ofA, ofB] = [useOverview(a.place), useOverview(b.place)];
  const [listA, listB] = [useColumnList(a.place), useColumnList(b.place)];
  const asked = [comparison, ofA, ofB, listA, listB];
  const failed = asked.find(({ isError }) => isError);
  if (failed !== undefined) {
    return <Failure error={failed.error} retry={() => asked.forEach((query) => void query.refetch())} />;
  }
  if (!comparison.isSuccess || !ofA.isSuccess || !ofB.isSuccess) return <Loading what="both dictionaries" />;
  const { data } = comparison;
  const groups = compareSides(
    { overview: ofA.data, dictionary: a.dictionary, facts: data.a },
    { overview: ofB.data, dictionary: b.dictionary, facts: data.b },
  );
  const lists: TwoColumnLists = {
    a: { place: a.place, list: listA.data ?? [] },
    b: { place: b.place, list: listB.data ?? [] },
  };
  const hasLists = listA.isSuccess && listB.isSuccess;
  const unmeasured = (["a", "b"] as const).flatMap((of) => {
    const part = data[of].measured;
    return part.state === "made" ? [] : [{ of, part }];
  });
  const lacking = unmeasured.map(({ of, part }) => (
    <div key={of}>
      <h3>{of.toUpperCase()}</h3>
      <MissingPart part={part} />
    </div>
  ));
  return (
    <>
      <p>
        <Link to={swapped(query, a, b)}>Swap A and B</Link>
      </p>
      <section aria-labelledby="matched">
        <h2 id="matched">Latents matched</h2>
        {unmeasured.length > 0 && lacking}
        {unmeasured.length === 0 && !hasLists && <Loading what="the columns" />}
        {unmeasured.length === 0 && hasLists && (
          <Matches {...lists} comparison={data} state={state} query={query} />
        )}
      </section>
      <section aria-labelledby="sides">
        <h2 id="sides">Side by side</h2>
        <label>
          <input
            type="checkbox"
            checked={state.same}
            onChange={(event) =>
              goTo(withCompareState(query, { same: event.target.checked }), { replace: true })
            }
          />{" "}
          Training constants that are the same, too
        </label>
        <SidesTable groups={groups} showsSame={state.same} />
      </section>
      {unmeasured.length === 0 && hasLists && (
        <div className="two">
          <section aria-labelledby="delta-norm">
            <h2 id="delta-norm">deltaNorm of all latents</h2>
            <DeltaNorm {...lists} />
          </section>
          <section aria-labelledby="scatter">
            <h2 id="scatter">nuReconstruction and nuError</h2>
            <OverlayScatter {...lists} state={state} query={query} />
          </section>
        </div>
      )}
    </>
  );
}

const DELTA_NORM = "deltaNorm";

function DeltaNorm({ a, b }: TwoColumnLists): ReactNode {
  const ofA = useColumns(a.place, a.list, [DELTA_NORM]);
  const ofB = useColumns(b.place, b.list, [DELTA_NORM]);
  if (ofA.error !== null || ofB.error !== null) return <Failure error={ofA.error ?? ofB.error} />;
  const [x, y] = [ofA.columns.get(DELTA_NORM), ofB.columns.get(DELTA_NORM)];
  if (x?.kind !== "number" || y?.kind !== "number") return <Loading what="deltaNorm" />;
  return <OverlayHistogram a={x.values} b={y.values} />;
}

function swapped(query: URLSearchParams, a: ServedDictionary, b: ServedDictionary): URLSearchParams {
  const next = withCompareState(query, { other: a.place });
  for (const [name, value] of queryOfPlace(b.place, "compare")) next.set(name, value);
  return next;
}
