// Latents of two dictionaries matched: in which way, how many claims are found and claimed again, the pairs, and what can be done with them.

import { type ReactNode, useMemo } from "react";
import type { ClaimsFound, Comparison, Matching } from "../../../src/dashboard/api-contract.ts";
import { saveFile } from "../charts/save-svg.ts";
import { formatAmount, formatCount, formatFixed, formatPercent } from "../format.ts";
import { goTo } from "../location.ts";
import { Empty, Failure } from "../parts/states.tsx";
import { SidedWords, sideOf } from "../parts/token.tsx";
import { useColumns } from "../queries.ts";
import { CHANGES, type CompareState, type SortColumn, withCompareState } from "./compare-state.ts";
import { MatchesTable, type PairTexts, pairColumns } from "./matches-table.tsx";
import type { TwoColumnLists } from "./overlay-scatter.tsx";
import { rowsCsv, selectRows } from "./select-rows.ts";
import { useMatching } from "./use-matching.ts";

const WAY_WORDS = { direction: "By decoder direction", place: "By where they fire" } as const;
const CHANGE_WORDS = { "": "every pair", unclaimed: "claimed in neither" } as const;
const TEXT_COLUMNS = ["tokensAtPeak", "lens_promotedFinetuned", "lens_promotedBase"];

export interface MatchesProps extends TwoColumnLists {
  comparison: Comparison;
  state: CompareState;
  query: URLSearchParams;
}

export function Matches(props: MatchesProps): ReactNode {
  const { a, b, comparison, state, query } = props;
  const ways = comparison.matching;
  const possible = (["direction", "place"] as const).filter((way) => ways[way].isPossible);
  const by = possible.find((way) => way === state.by) ?? possible[0] ?? null;
  const { matching, progress, error, isStopped, stop, restart } = useMatching({
    ...{ a: a.place, b: b.place, by, latents: state.latents },
  });
  const change = (next: Partial<CompareState>): void =>
    goTo(withCompareState(query, next), { replace: true });
  return (
    <>
      <fieldset className="ways">
        <legend>How latents are matched</legend>
        {(["direction", "place"] as const).map((way) => (
          <div key={way}>
            <label>
              <input
                type="radio"
                name="by"
                checked={by === way}
                disabled={!ways[way].isPossible}
                onChange={() => change({ by: way, sort: null })}
              />{" "}
              {WAY_WORDS[way]}
            </label>
            <p className="note">{ways[way].words}</p>
          </div>
        ))}
      </fieldset>
      {by !== null && <Meaning by={by} />}
      {by === null && (
        <Empty>These two cannot be matched latent by latent; their figures above can be compared.</Empty>
      )}
      <p role="status" className="progress">
        {progress !== null && (
          <>
            {progress.words}
            {progress.total !== null && `: ${formatPercent(progress.done / Math.max(1, progress.total), 0)}`}…{" "}
          </>
        )}
        {by !== null && progress === null && matching === null && error === null && !isStopped && "matching…"}
        {isStopped && "Stopped. "}
      </p>
      {matching === null && error === null && !isStopped && by !== null && (
        <button type="button" onClick={stop}>
          Stop
        </button>
      )}
      {isStopped && (
        <button type="button" onClick={restart}>
          Match again
        </button>
      )}
      {error !== null && <Failure error={error} retry={restart} />}
      {matching !== null && <Found {...props} matching={matching} onChange={change} />}
    </>
  );
}

function Meaning({ by }: { by: Matching["by"] }): ReactNode {
  return by === "direction" ? (
    <p className="note meaning">
      Each latent is compared along the decoder row of its own side (the base's where it leans to the base).
      Two latents match when each is the other's nearest and the cosine is high enough. That says that they
      write the same direction; whether they fire together is asked by <code>tunediff stability</code>, which
      reads the rows again.
    </p>
  ) : (
    <p className="note meaning">
      Two latents match when their stored examples peak at the same tokens. Only stored examples are looked
      at, some tens a latent and the strongest first: a low number does not say that they fire apart, and a
      rare latent has few chances. It needs no common space, so it works across layers and pairs.
    </p>
  );
}

function Found({
  a,
  b,
  state,
  matching,
  onChange,
}: MatchesProps & { matching: Matching; onChange: (next: Partial<CompareState>) => void }): ReactNode {
  const { rows } = matching;
  const ofA = useColumns(a.place, a.list, TEXT_COLUMNS);
  const ofB = useColumns(b.place, b.list, TEXT_COLUMNS);
  const columns = useMemo(
    () =>
      pairColumns({
        ...{ rows, isDirection: matching.by === "direction", places: { a: a.place, b: b.place } },
        texts: { a: textsOf(ofA.columns), b: textsOf(ofB.columns) },
      }),
    [rows, matching.by, a.place, b.place, ofA.columns, ofB.columns],
  );
  const { change, side, sort } = state;
  const order = useMemo(() => selectRows(rows, { change, side, sort }), [rows, change, side, sort]);
  const counts = useMemo(() => countChanges(rows.change), [rows]);
  const sortBy = (column: SortColumn): void => {
    if (sort?.column !== column) onChange({ sort: { column, descending: true } });
    else onChange({ sort: sort.descending ? { column, descending: false } : null });
  };
  const save = (): void => {
    const text = rowsCsv(
      order,
      columns.map(({ name, value }) => ({ name, of: value })),
    );
    saveFile(
      new Blob([text], { type: "text/csv" }),
      `compare-${a.place.dictionary}-${b.place.dictionary}.csv`,
    );
  };
  const isKnown = !ofA.isLoading && !ofB.isLoading;
  return (
    <>
      <Summary matching={matching} />
      <p className="note scope">
        {matching.latents === "claims" ? (
          <>
            Claims alone were matched, against all latents of the other.{" "}
            <button type="button" onClick={() => onChange({ latents: "all" })}>
              Match all latents of A
            </button>
          </>
        ) : (
          <>
            All latents of A were matched.{" "}
            <button type="button" onClick={() => onChange({ latents: "claims", change: "" })}>
              Claims alone
            </button>
          </>
        )}
      </p>
      <div className="filters">
        <label className="filter">
          Show{" "}
          <select
            value={change}
            onChange={(event) => onChange({ change: event.target.value as CompareState["change"] })}
          >
            {(["", ...CHANGES, ...(matching.latents === "all" ? (["unclaimed"] as const) : [])] as const).map(
              (kind) => (
                <option key={kind} value={kind}>
                  {kind === "" || kind === "unclaimed" ? CHANGE_WORDS[kind] : kind} (
                  {formatCount(
                    kind === "" ? rows.a.length : (counts.get(kind === "unclaimed" ? "" : kind) ?? 0),
                  )}
                  )
                </option>
              ),
            )}
          </select>
        </label>
        <label className="filter">
          Side{" "}
          <select
            value={side}
            onChange={(event) => onChange({ side: event.target.value as CompareState["side"] })}
          >
            <option value="">either</option>
            <option value="finetuned">finetuned-specific</option>
            <option value="base">base-specific</option>
          </select>
        </label>
        <span role="status">{formatAmount(order.length, "pair")}</span>
        <button type="button" onClick={save} disabled={!isKnown || order.length === 0}>
          CSV
        </button>
      </div>
      {order.length === 0 ? (
        <Empty>No pair passes these filters.</Empty>
      ) : (
        <MatchesTable order={order} columns={columns} sort={sort} onSort={sortBy} />
      )}
    </>
  );
}

function Summary({ matching }: { matching: Matching }): ReactNode {
  const { summary, limits, by } = matching;
  const total = (of: "a" | "b", name: keyof ClaimsFound): number =>
    summary[of].finetuned[name] + summary[of].base[name];
  const score = by === "direction" ? "cosine" : "Jaccard index";
  return (
    <>
      <p className="found">
        Of {formatAmount(total("a", "claims"), "claim")} of A, {formatCount(total("a", "found"))} are found in
        B and <b>{formatCount(total("a", "kept"))} are claimed there</b>, too. Of{" "}
        {formatAmount(total("b", "claims"), "claim")} of B, {formatCount(total("b", "found"))} are found in A
        and <b>{formatCount(total("b", "kept"))} are claimed there</b>.
      </p>
      <table className="counts">
        <caption>
          A match: each the other's nearest, {score} at least {formatFixed(limits.score, 2)}
          {limits.shared > 0 && `, at least ${limits.shared} peaks in common`}
        </caption>
        <thead>
          <tr>
            <th scope="col">claims</th>
            <th scope="col">of</th>
            <th scope="col">all</th>
            <th scope="col">compared</th>
            <th scope="col">found in the other</th>
            <th scope="col">claimed there</th>
          </tr>
        </thead>
        <tbody>
          {(["a", "b"] as const).flatMap((of) =>
            (["finetuned", "base"] as const).map((side) => {
              const { claims, compared, found, kept } = summary[of][side];
              return (
                <tr key={`${of} ${side}`}>
                  <th scope="row">
                    <SidedWords words={`${side}-specific`} />
                  </th>
                  <td>{of.toUpperCase()}</td>
                  {[claims, compared, found, kept].map((count, i) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: four columns in one order
                    <td key={i}>{formatCount(count)}</td>
                  ))}
                </tr>
              );
            }),
          )}
        </tbody>
      </table>
    </>
  );
}

function countChanges(changes: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const change of changes) counts.set(change, (counts.get(change) ?? 0) + 1);
  return counts;
}

function textsOf(columns: ReturnType<typeof useColumns>["columns"]): PairTexts {
  const at = (name: string, latent: number): string => {
    const column = columns.get(name);
    return column?.kind === "text" ? (column.texts[latent] ?? "") : "";
  };
  return {
    atPeak: (latent) => at("tokensAtPeak", latent),
    promoted: (latent, claim) =>
      at(sideOf(claim) === "base" ? "lens_promotedBase" : "lens_promotedFinetuned", latent),
  };
}
