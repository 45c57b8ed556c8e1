// The training: how it went or goes, as curves that grow while it runs, for one dictionary or several side by side.

import "../training/training.css";
import { type ReactNode, useMemo, useState } from "react";
import type { DictionaryPlace } from "../api.ts";
import { formatCount } from "../format.ts";
import { goTo } from "../location.ts";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import { useSession, useTrainingFacts } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { type Curve, CurveChart } from "../training/curve-chart.tsx";
import { FactsTable } from "../training/facts-table.tsx";
import { lookOf, SIDE_LOOKS } from "../training/looks.ts";
import { FVE_QUANTITIES, pointsOf, QUANTITIES, type Quantity, smoothed } from "../training/series.ts";
import { type StateOfRun, States } from "../training/states.tsx";
import {
  allPlaces,
  keyOf,
  MOST_RUNS,
  runsOf,
  SMOOTHINGS,
  type TrainingView,
  viewOf,
  withRun,
} from "../training/training-query.ts";
import { useTrainings } from "../training/use-trainings.ts";
import { showInvisible } from "../visible-text.ts";

/** What one chart shows: a quantity of every run, or the models of one. */
interface ChartEntry {
  name: string;
  title: string;
  isLog: boolean;
  /** Under the chart. */
  note: string;
  curves: Curve[];
}

export function TrainingScreen({ place, query }: ScreenProps): ReactNode {
  const session = useSession();
  const studies = session.data?.studies ?? [];
  const view = viewOf(query);
  const runs = runsOf(query, place, studies);
  const { logs, connection, error } = useTrainings(runs.map((run) => run.place));
  const facts = useTrainingFacts(
    runs.map((run) => ({ place: run.place, state: logs.get(run.key)?.state.kind ?? "" })),
  );
  const shown: StateOfRun[] = runs.map((run, i) => ({ run, log: logs.get(run.key), facts: facts[i].data }));
  const [at, setAt] = useState<number | null>(null);
  // By what they are made of: a run's log is replaced when it grows.
  const made = shown.flatMap(({ log, facts: of, run }) => [run.key, run.title, log, of?.plan.batchRows]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `made` is `shown`, taken apart
  const { charts, domain } = useMemo(
    () => chartsOf(shown, view),
    [...made, made.length, view.axis, view.isLog, view.smoothing],
  );
  const failed = facts.find(({ isError }) => isError);
  return (
    <div className="training">
      <h1>Training</h1>
      <States runs={shown} />
      {connection === "away" && (
        <p className="note" role="status">
          The server does not answer; what came before is shown, and it is asked again in a moment.
        </p>
      )}
      {error !== null && <Failure error={error} />}
      <Choices {...{ query, view, place, chosen: runs.map(({ key }) => key), studies }} />
      {logs.size === 0 && error === null && <Loading what="the training log" />}
      {logs.size > 0 && charts.length === 0 && (
        <Empty>No training has logged anything here yet. `tunediff train STUDY` begins one.</Empty>
      )}
      {view.axis === "tokens" && (
        <UnknownTokens
          titles={shown
            .filter(({ facts: of }) => of && of.plan.batchRows === null)
            .map(({ run }) => run.title)}
        />
      )}
      {charts.length > 0 && (
        <section aria-labelledby="curves">
          <h2 id="curves">Curves</h2>
          <Crosshair {...{ at, domain, axis: view.axis, onMove: setAt }} />
          <div className="curves">
            {charts.map((chart) => (
              <CurveChart
                key={chart.name}
                {...chart}
                xLabel={view.axis}
                domain={domain}
                at={at}
                onPoint={setAt}
              />
            ))}
          </div>
        </section>
      )}
      <section aria-labelledby="facts">
        <h2 id="facts">What was asked, and how it ended</h2>
        {failed !== undefined && <Failure error={failed.error} retry={() => failed.refetch()} />}
        {runs.length > 1 && (
          <label className="check">
            <input
              type="checkbox"
              checked={view.onlyDifferent}
              onChange={(event) => set(query, "facts", event.target.checked ? "different" : "")}
            />{" "}
            Only what differs
          </label>
        )}
        <FactsTable
          runs={shown.map((one) => ({ ...one, isLive: one.log?.state.kind === "live" }))}
          onlyDifferent={view.onlyDifferent && runs.length > 1}
        />
        <Checkpoints runs={shown} />
      </section>
    </div>
  );
}

function chartsOf(
  shown: readonly StateOfRun[],
  view: TrainingView,
): { charts: ChartEntry[]; domain: [number, number] } {
  const unitOf = ({ facts }: StateOfRun): number | null =>
    view.axis === "step" ? 1 : (facts?.plan.batchRows ?? null);
  const runs = shown.filter((one) => (one.log?.lines.length ?? 0) > 0 && unitOf(one) !== null);
  const ends = runs.map((one) => (one.log?.lines.at(-1)?.step ?? 0) * (unitOf(one) ?? 1));
  const domain: [number, number] = [0, Math.max(...ends, 1)];
  const curveOf = (
    one: StateOfRun,
    quantity: Quantity,
    named: Pick<Curve, "key" | "title" | "colour" | "dashes">,
  ): Curve => {
    const unit = unitOf(one) ?? 1;
    const raw = pointsOf(one.log?.lines ?? [], quantity, unit);
    const memory = (view.smoothing / 100) * (raw.at(-1)?.x ?? 0);
    const { heldout } = quantity;
    return {
      ...{ ...named, raw, shown: memory > 0 && quantity.isSetting !== true ? smoothed(raw, memory) : raw },
      heldout:
        heldout === undefined
          ? []
          : (one.log?.validations ?? []).map((line) => ({
              x: line.step * unit,
              y: heldout(line) ?? Number.NaN,
            })),
    };
  };
  const words = smoothingWords(view);
  const noteOf = ({ isSetting }: Quantity): string => (isSetting ? "As logged." : words);
  const [only] = runs;
  const isAlone = runs.length === 1;
  const charts = QUANTITIES.flatMap((quantity): ChartEntry[] => {
    const isFve = FVE_QUANTITIES.includes(quantity);
    if (isAlone && isFve && quantity !== FVE_QUANTITIES[0]) return [];
    const curves =
      isAlone && isFve
        ? FVE_QUANTITIES.map((one) => {
            const side = one.name.slice("fve-".length) as keyof typeof SIDE_LOOKS;
            const title = side === "total" ? "both models" : side;
            return curveOf(only, one, { key: side, title, ...SIDE_LOOKS[side] });
          })
        : runs.map((one) =>
            curveOf(one, quantity, { key: one.run.key, title: one.run.title, ...lookOf(one.run.look) }),
          );
    const hasValues = curves.some(({ raw }) => raw.some(({ y }) => !Number.isNaN(y)));
    if (!hasValues) return [];
    const title = isAlone && isFve ? "FVE, share of variance" : quantity.label;
    return [
      { name: quantity.name, title, isLog: view.isLog && quantity.canBeLog, note: noteOf(quantity), curves },
    ];
  });
  return { charts, domain };
}

function smoothingWords({ smoothing }: TrainingView): string {
  if (smoothing === 0) return "As logged.";
  return `Exponential running mean, memory ${smoothing} % of the run so far; as logged behind it, faint.`;
}

function set(query: URLSearchParams, name: string, value: string): void {
  const next = new URLSearchParams(query);
  if (value === "") next.delete(name);
  else next.set(name, value);
  goTo(next, { replace: true });
}

function Choices(options: {
  query: URLSearchParams;
  view: TrainingView;
  place: DictionaryPlace;
  chosen: readonly string[];
  studies: Parameters<typeof allPlaces>[0];
}): ReactNode {
  const { query, view, place, chosen, studies } = options;
  const others = allPlaces(studies).filter((one) => keyOf(one) !== keyOf(place));
  return (
    <div className="filters">
      <label>
        Axis{" "}
        <select
          value={view.axis}
          onChange={(event) => set(query, "x", event.target.value === "step" ? "" : "tokens")}
        >
          <option value="step">steps</option>
          <option value="tokens">tokens</option>
        </select>
      </label>
      <label>
        Scale{" "}
        <select
          value={view.isLog ? "log" : "linear"}
          onChange={(event) => set(query, "y", event.target.value === "log" ? "log" : "")}
        >
          <option value="linear">linear</option>
          <option value="log">logarithmic</option>
        </select>
      </label>
      <label>
        Smoothing{" "}
        <select
          value={view.smoothing}
          onChange={(event) => set(query, "smooth", event.target.value === "0" ? "" : event.target.value)}
        >
          {SMOOTHINGS.map((percent) => (
            <option key={percent} value={percent}>
              {percent === 0 ? "none" : `memory of ${percent} % of the run`}
            </option>
          ))}
        </select>
      </label>
      {others.length > 0 && (
        <details className="menu">
          <summary>Compare with other dictionaries</summary>
          <fieldset className="menu-body">
            <legend className="hidden">Dictionaries beside this one, at most {MOST_RUNS - 1}</legend>
            {studies.map(({ id, title, dictionaries }) => (
              <div key={id}>
                <p className="note">{showInvisible(title)}</p>
                {dictionaries.map(({ name, nLatents, sparsity }) => {
                  const key = keyOf({ study: id, dictionary: name });
                  const isOwn = key === keyOf(place);
                  const isChosen = chosen.includes(key);
                  return (
                    <label key={key} className="check">
                      <input
                        type="checkbox"
                        checked={isChosen}
                        disabled={isOwn || (!isChosen && chosen.length >= MOST_RUNS)}
                        onChange={(event) =>
                          goTo(withRun(query, key, event.target.checked), { replace: true })
                        }
                      />{" "}
                      {name}{" "}
                      <span className="note">
                        {nLatents > 0 ? formatCount(nLatents) : "latents not known yet"} {sparsity}
                      </span>
                    </label>
                  );
                })}
              </div>
            ))}
          </fieldset>
        </details>
      )}
    </div>
  );
}

function Crosshair(options: {
  at: number | null;
  domain: readonly [number, number];
  axis: string;
  onMove: (x: number | null) => void;
}): ReactNode {
  const { at, domain, axis, onMove } = options;
  return (
    <p className="crosshair-bar">
      <label>
        Values at {axis}{" "}
        <input
          type="range"
          min={domain[0]}
          max={domain[1]}
          step={Math.max(1, Math.round(domain[1] / 500))}
          value={at ?? domain[1]}
          onChange={(event) => onMove(Number(event.target.value))}
          onBlur={() => onMove(null)}
        />
      </label>{" "}
      <output>{at === null ? "the last" : formatCount(at)}</output>
      <span className="note"> Point at a chart, or move the slider. Rings: held-out figures with θ.</span>
    </p>
  );
}

function UnknownTokens({ titles }: { titles: readonly string[] }): ReactNode {
  if (titles.length === 0) return null;
  return (
    <p className="note">
      Not on this axis, because the tokens of a step are not known before the training has ended:{" "}
      {titles.map(showInvisible).join(", ")}.
    </p>
  );
}

function Checkpoints({ runs }: { runs: readonly StateOfRun[] }): ReactNode {
  return (
    <ul className="note">
      {runs.map(({ run, log, facts }) => (
        <li key={run.key}>
          <bdi>{showInvisible(run.title)}</bdi>:{" "}
          {facts === undefined || facts.checkpoints.length === 0
            ? "no checkpoints are kept"
            : `checkpoints kept at step ${facts.checkpoints.map(({ step }) => formatCount(step)).join(" and ")}`}
          {log !== undefined &&
            log.nLines > log.lines.length &&
            `; ${formatCount(log.lines.length)} of ${formatCount(log.nLines)} logged lines shown, with every extreme`}
          {log !== undefined &&
            log.passedSteps.length > 0 &&
            `; gone past without an update, because not finite: step ${log.passedSteps.slice(0, 20).map(formatCount).join(", ")}`}
          {facts?.record.state === "made" &&
            facts.record.value.warnings.map((warning) => <p key={warning}>{showInvisible(warning)}</p>)}
        </li>
      ))}
    </ul>
  );
}
