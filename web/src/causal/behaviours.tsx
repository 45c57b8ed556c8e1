// Behaviours in steered answers: how many show one where the prompt calls for it and where it does not, in every arm, n of m.

import { type ReactNode, useMemo } from "react";
import type { CausalBehaviour, Limited } from "../../../src/dashboard/api-contract.ts";
import { BandBars } from "../charts/band-bars.tsx";
import { formatAmount, formatCount, formatNumber, formatPercent } from "../format.ts";
import { queryOf } from "../location.ts";
import { Choice } from "../parts/choice.tsx";
import { Link } from "../parts/link.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Empty } from "../parts/states.tsx";
import { showInvisible } from "../visible-text.ts";
import { addUpArms, behaviourBands, countWords, degenerateWords } from "./behaviour-bands.ts";
import type { CausalState } from "./causal-state.ts";
import { Details } from "./figure.tsx";

const percent = (value: number): string => formatPercent(value, 0);
const COLUMNS = ["arm", "called", "not called", "degenerate", "control latents"] as const;

export function Behaviours(options: {
  behaviours: Limited<CausalBehaviour>;
  state: CausalState;
  query: URLSearchParams;
  onChange: (change: Partial<CausalState>) => void;
}): ReactNode {
  const { behaviours, state, query, onChange } = options;
  const { items, total } = behaviours;
  const chosen = items.find(({ behaviour }) => behaviour === state.behaviour);
  const arms = useMemo(() => (chosen === undefined ? addUpArms(items) : chosen.arms), [items, chosen]);
  const bands = useMemo(() => behaviourBands(arms), [arms]);
  if (items.length === 0) return <Empty>No behaviour had a latent.</Empty>;
  const name = chosen === undefined ? "all behaviours together" : showInvisible(chosen.behaviour);
  return (
    <>
      <p className="prose">
        Answers with a latent pushed at every token: how many show the behaviour where the prompt calls for
        it, and where it does not. Controls are random latents pushed as hard. Degenerate answers show no
        behaviour.
      </p>
      <div className="filters">
        <Choice
          label="Behaviour"
          value={chosen?.behaviour ?? ""}
          choices={[
            ["", `all ${formatCount(items.length)} together`],
            ...items.map(({ behaviour }) => [behaviour, showInvisible(behaviour)] as const),
          ]}
          onPick={(behaviour) => onChange({ behaviour })}
        />
        {chosen !== undefined && (
          <p className="note">
            <Link to={queryOf(query, "latent", { latent: String(chosen.latent) })}>
              latent {chosen.latent}
            </Link>
            , {strengthWords(chosen)}
          </p>
        )}
      </div>
      <div className="behaviours">
        <BandBars
          bands={bands}
          label={`Answers that show the behaviour, ${name}`}
          name="causal-behaviours"
          axis="share of answers"
          format={percent}
          reference={null}
          most={1}
          caption="Wide bar: the prompt calls for it; thin bar: it does not. Paler: controls."
          table={{
            columns: COLUMNS,
            rows: arms.map((arm) => ({ key: arm.arm, cells: [arm.arm, ...armCells(arm)] })),
          }}
        />
      </div>
      <Details summary={`Every behaviour in every arm (${formatAmount(total, "behaviour")})`}>
        <ScrollRegion className="scroll tall" label="Every behaviour in every arm">
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">behaviour</th>
                <th scope="col">latent</th>
                {COLUMNS.map((column) => (
                  <th key={column} scope="col" className={column === "arm" ? "words" : undefined}>
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {items.flatMap((rate) =>
                rate.arms.map((arm) => (
                  <tr key={`${rate.behaviour} ${arm.arm}`}>
                    <th scope="row">
                      <bdi>{showInvisible(rate.behaviour)}</bdi>
                    </th>
                    <td>
                      <Link to={queryOf(query, "latent", { latent: String(rate.latent) })}>
                        {rate.latent}
                      </Link>
                    </td>
                    <td className="words">{arm.arm}</td>
                    {armCells(arm).map((cell, i) => (
                      <td key={COLUMNS[i + 1]}>{cell}</td>
                    ))}
                  </tr>
                )),
              )}
            </tbody>
          </table>
        </ScrollRegion>
      </Details>
    </>
  );
}

function armCells(arm: CausalBehaviour["arms"][number]): string[] {
  return [
    countWords(arm.called),
    countWords(arm.notCalled),
    degenerateWords(arm),
    arm.controls === 0 ? "" : formatCount(arm.controls),
  ];
}

function strengthWords({ factors }: CausalBehaviour): string {
  return `in units of its greatest activation: base +${formatNumber(factors.base)}, finetuned −${formatNumber(
    factors.removal,
  )}, finetuned +${formatNumber(factors.push)}`;
}
