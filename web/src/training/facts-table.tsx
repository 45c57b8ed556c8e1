// What the trainings were asked and how they ended, side by side; rows whose values differ are marked.

import type { ReactNode } from "react";
import type { TrainingFact, TrainingFacts } from "../../../src/dashboard/api-contract.ts";
import { formatCount } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { MissingPart } from "../parts/states.tsx";
import { showInvisible } from "../visible-text.ts";
import { Swatch } from "./curve-chart.tsx";
import { lookOf } from "./looks.ts";
import type { Run } from "./training-query.ts";

/** Digits of a number: enough to see any two settings apart. */
const DIGITS = 6;

export interface FactsOfRun {
  run: Run;
  facts: TrainingFacts | undefined;
  isLive: boolean;
}

interface FactRow {
  group: string;
  name: string;
  /** A column a run; undefined where it has none. */
  values: (TrainingFact["value"] | undefined)[];
  differs: boolean;
}

export function FactsTable({
  runs,
  onlyDifferent,
}: {
  runs: readonly FactsOfRun[];
  onlyDifferent: boolean;
}): ReactNode {
  const rows = factRows(runs).filter(({ differs }) => differs || !onlyDifferent);
  const groups = [...new Set(rows.map(({ group }) => group))];
  return (
    <>
      {runs.map(({ run, facts, isLive }) =>
        facts === undefined || facts.record.state === "made" ? null : (
          <div key={run.key}>
            <h3>{showInvisible(run.title)}</h3>
            {isLive ? (
              <p className="state">Its record is written when the training has ended.</p>
            ) : (
              <MissingPart part={facts.record} />
            )}
          </div>
        ),
      )}
      {rows.length === 0 && onlyDifferent && <p className="note">No fact differs.</p>}
      {rows.length > 0 && (
        <ScrollRegion className="scroll facts" label="Facts of the trainings">
          <table className="counts">
            {runs.length > 1 && (
              <caption>
                ≠ marks what differs: {formatCount(rows.filter(({ differs }) => differs).length)} of{" "}
                {formatCount(factRows(runs).length)}
              </caption>
            )}
            <thead>
              <tr>
                <th scope="col">fact</th>
                {runs.map(({ run }) => (
                  <th key={run.key} scope="col">
                    <Swatch {...lookOf(run.look)} /> {showInvisible(run.title)}
                  </th>
                ))}
              </tr>
            </thead>
            {groups.map((group) => (
              <tbody key={group}>
                <tr className="group">
                  <th scope="rowgroup" colSpan={runs.length + 1}>
                    {group}
                  </th>
                </tr>
                {rows
                  .filter((row) => row.group === group)
                  .map(({ name, values, differs }) => (
                    <tr key={name} className={differs ? "differs" : undefined}>
                      <th scope="row">
                        {differs && (
                          <>
                            <span aria-hidden="true">≠ </span>
                            <span className="hidden">differs: </span>
                          </>
                        )}
                        {name}
                      </th>
                      {values.map((value, i) => (
                        <td key={runs[i].run.key}>{factWords(value)}</td>
                      ))}
                    </tr>
                  ))}
              </tbody>
            ))}
          </table>
        </ScrollRegion>
      )}
    </>
  );
}

/** Every fact of any run, in the order of the first that has it. */
export function factRows(runs: readonly FactsOfRun[]): FactRow[] {
  const lists = runs.map(({ facts }) =>
    facts?.record.state === "made" ? facts.record.value.facts : undefined,
  );
  const known = lists.filter((list) => list !== undefined);
  const keys = new Map<string, TrainingFact>();
  for (const fact of known.flat()) keys.set(`${fact.group}\n${fact.name}`, fact);
  return [...keys.values()].map(({ group, name }) => {
    const values = lists.map(
      (list) => list?.find((fact) => fact.group === group && fact.name === name)?.value,
    );
    const compared = values.filter((_, i) => lists[i] !== undefined);
    return { group, name, values, differs: new Set(compared).size > 1 };
  });
}

function factWords(value: TrainingFact["value"] | undefined): string {
  if (value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return showInvisible(value);
  return Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(DIGITS)));
}
