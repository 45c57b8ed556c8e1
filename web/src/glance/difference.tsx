// The mean difference of the residuals at the first positions: its size and consistency, its tokens, and answers written with it added.

import { type ReactNode, useCallback } from "react";
import type {
  GlanceDifference,
  GlanceFindings,
  GlanceSteering,
} from "../../../src/dashboard/api-contract.ts";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatAmount, formatCount, formatFixed, formatNumber, formatPercent } from "../format.ts";
import { Choice } from "../parts/choice.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import { SideMark } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { ReadTable } from "./read-table.tsx";

/** Of the address: every first position together. */
const TOGETHER = "together";

export function Difference(options: {
  lens: GlanceFindings["lens"];
  /** As the address says it. */
  asked: string | null;
  onPick: (position: string) => void;
}): ReactNode {
  const { lens, asked, onPick } = options;
  const { items } = lens.positions;
  const leftOut = lens.leftOut.map((sentence) => (
    <p key={sentence} className="note">
      {sentence}
    </p>
  ));
  if (items.length === 0)
    return (
      <>
        <Empty>There was no difference of residuals to look at.</Empty>
        {leftOut}
      </>
    );
  const nameOf = ({ position }: GlanceDifference): string =>
    position === null ? TOGETHER : String(position);
  const main = items.find(({ position }) => position !== null && position === lens.mainPosition);
  const shown = items.find((item) => nameOf(item) === asked) ?? main ?? items[items.length - 1];
  return (
    <>
      <p className="prose">
        The activation difference lens: the mean of fine-tune less base after block {formatCount(lens.layer)},
        over the first tokens of {formatAmount(lens.texts, "text")} unrelated to the fine-tuning. What
        fine-tuning adds to any text, whatever it says, shows here. + is the direction from base to fine-tune.
      </p>
      <div className="panels">
        <ByPosition
          items={items}
          value={norm}
          axis="% of the base’s norm"
          label="Size of the mean difference"
        />
        <ByPosition
          items={items}
          value={consistency}
          axis="consistency, 0 to 1"
          label="Consistency of the difference"
        />
      </div>
      <details>
        <summary>As a table</summary>
        <Table items={items} />
      </details>
      <div className="filters">
        <Choice
          label="Position"
          value={nameOf(shown)}
          choices={items.map((item) => [nameOf(item), positionWords(item, lens.mainPosition)])}
          onPick={onPick}
        />
        <p className="note">
          Over {formatAmount(shown.texts, shown.position === null ? "token" : "text")}:{" "}
          {shown.relativeNorm === null
            ? "size not defined"
            : `${formatPercent(shown.relativeNorm, 0)} of the base’s norm`}
          , consistency {formatFixed(shown.consistency ?? Number.NaN, 2)} of 1.
        </p>
      </div>
      <ReadTable read={shown.read} label="The mean difference as tokens" />
      <h3>Answers with the mean difference added</h3>
      <Steering steering={lens.steering.items} total={lens.steering.total} />
      {leftOut}
    </>
  );
}

function positionWords({ position }: GlanceDifference, main: number | null): string {
  if (position === null) return "all first positions together";
  return position === main ? `${position}, the strongest that is not BOS` : String(position);
}

const norm = ({ relativeNorm }: GlanceDifference): number | null =>
  relativeNorm === null ? null : 100 * relativeNorm;
const consistency = (item: GlanceDifference): number | null => item.consistency;

function ByPosition(options: {
  items: readonly GlanceDifference[];
  value: (item: GlanceDifference) => number | null;
  axis: string;
  label: string;
}): ReactNode {
  const { items, value, axis, label } = options;
  const draw = useCallback(
    (plot: Plot, _width: number) => {
      const points = items.flatMap((item) =>
        item.position === null || value(item) === null
          ? []
          : [{ position: item.position, value: value(item) }],
      );
      return {
        ...{ height: 200, marginLeft: 44 },
        x: { label: "position in the text, from 0", ticks: Math.min(10, points.length), tickFormat: "d" },
        y: { label: axis, grid: true, zero: true, ticks: 4 },
        marks: [
          plot.lineY(points, { x: "position", y: "value", stroke: "var(--finetuned)" }),
          plot.dot(points, { x: "position", y: "value", fill: "var(--finetuned)", r: 3 }),
          plot.ruleY([0], { stroke: "var(--ink)" }),
        ],
      };
    },
    [items, value, axis],
  );
  return (
    <PlotFigure label={`${label}, by position`} draw={draw} name="difference-by-position">
      {label}.
    </PlotFigure>
  );
}

function Table({ items }: { items: readonly GlanceDifference[] }): ReactNode {
  return (
    <ScrollRegion className="scroll short" label="Table: the mean difference by position">
      <table className="counts">
        <thead>
          <tr>
            <th scope="col">position</th>
            <th scope="col">texts</th>
            <th scope="col">share of the base’s norm</th>
            <th scope="col">consistency</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.position}>
              <th scope="row">{item.position === null ? "together (tokens)" : item.position}</th>
              <td>{formatCount(item.texts)}</td>
              <td>{item.relativeNorm === null ? "not defined" : formatPercent(item.relativeNorm)}</td>
              <td>{formatFixed(item.consistency ?? Number.NaN, 3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Steering({ steering, total }: { steering: readonly GlanceSteering[]; total: number }): ReactNode {
  if (steering.length === 0) return <Empty>None were written.</Empty>;
  const prompts = [...new Set(steering.map(({ prompt }) => prompt))];
  return (
    <>
      <p className="prose">
        Each model with the mean difference added at every token (+) or taken away (−), beside itself without.
      </p>
      {prompts.map((prompt, i) => (
        <details key={prompt} open={i === 0} className="answers">
          <summary>
            <bdi>{showInvisible(prompt)}</bdi>
          </summary>
          <ul>
            {steering
              .filter((one) => one.prompt === prompt)
              .map((one) => (
                <Answer key={`${one.model} ${one.sign} ${one.strength} ${one.position}`} one={one} />
              ))}
          </ul>
        </details>
      ))}
      {steering.length < total && (
        <p className="note">
          The first {steering.length} of {total}; glance.json has all.
        </p>
      )}
    </>
  );
}

function Answer({ one }: { one: GlanceSteering }): ReactNode {
  const { model, sign, strength, position, unsteered, steered, degenerate } = one;
  return (
    <li>
      <p className="who">
        <SideMark side={model} /> {model}
        <span className="note">
          {" "}
          {sign > 0 ? "+" : "−"}
          {formatNumber(strength)} × position {position}
        </span>
      </p>
      <div className="pair">
        <p>
          <span className="note">as it is</span>
          <bdi>{showInvisible(unsteered)}</bdi>
        </p>
        <p>
          <span className="note">with it{degenerate !== "" && `; degenerate: ${degenerate}`}</span>
          <bdi>{showInvisible(steered)}</bdi>
        </p>
      </div>
    </li>
  );
}
