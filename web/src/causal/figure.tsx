// The paper's experiment: its figure for each set of tokens, and below it every figure, comparison, choice and count as tables.

import { type ReactNode, useMemo } from "react";
import type { CausalPatching, CausalTokenSet, FigureEstimate } from "../../../src/dashboard/api-contract.ts";
import { BandBars } from "../charts/band-bars.tsx";
import { formatAmount, formatCount, formatFixed, NO_VALUE } from "../format.ts";
import { Choice } from "../parts/choice.tsx";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { type CausalState, METRICS, type Metric } from "./causal-state.ts";
import {
  figureBands,
  figureOutcomes,
  formatMetric,
  limitsOf,
  limitWords,
  METRIC_WORDS,
  SET_WORDS,
  TOKEN_SETS,
} from "./figure-bands.ts";

export function Figure(options: {
  patching: CausalPatching;
  state: CausalState;
  onChange: (change: Partial<CausalState>) => void;
}): ReactNode {
  const { patching, state, onChange } = options;
  const words = METRIC_WORDS[state.metric];
  const kind =
    limitsOf(state) === "published" ? "published limits, mean ± 1.96 σ/√n over tokens" : "95 % intervals";
  return (
    <>
      <p className="prose">{patching.conversations.words}</p>
      <div className="filters">
        <Choice
          label="Figure"
          value={state.metric}
          choices={METRICS.map((metric) => [metric, METRIC_WORDS[metric].name])}
          onPick={(metric) => onChange({ metric })}
        />
        <Choice
          label="Form"
          value={state.form}
          choices={[
            ["additive", "additive"],
            ["replacing", "replacing"],
            ["both", "both"],
          ]}
          onPick={(form) => onChange({ form })}
        />
        <Choice
          label="Limits"
          value={limitsOf(state)}
          choices={[
            ["bootstrap", "95 %, over conversations"],
            ["published", "as published, over tokens"],
          ]}
          isDisabled={state.metric !== "kl"}
          onPick={(limits) => onChange({ limits })}
        />
        <Choice
          label="Edits"
          value={state.edits}
          choices={[
            ["figure", "the paper’s figure"],
            ["all", "all"],
          ]}
          onPick={(edits) => onChange({ edits })}
        />
      </div>
      <div className="panels">
        {TOKEN_SETS.map((tokenSet) => (
          <Panel key={tokenSet} patching={patching} state={state} tokenSet={tokenSet} />
        ))}
      </div>
      <p className="note">
        Bars: {words.name}, with {kind} ({formatAmount(patching.draws, "draw")} over conversations). The thin
        bar is the mean of the matched controls; the broken line is None. {words.better}{" "}
        {patching.choices.words} {patching.pool.words}
      </p>
      <Details summary="Every edit in every set of tokens, all figures">
        {TOKEN_SETS.map((tokenSet) => (
          <FullTable key={tokenSet} patching={patching} tokenSet={tokenSet} />
        ))}
      </Details>
      <Details summary="Edits held against each other">
        <Comparisons patching={patching} />
      </Details>
      <Details summary="How the halves were chosen, and which latents were left out">
        <Pool pool={patching.pool} />
      </Details>
      <Details summary="Conversations that were left out">
        <Excluded conversations={patching.conversations} />
      </Details>
      <Details summary="How well the matched controls match">
        <Controls controls={patching.controls} />
      </Details>
      <Details summary="Choices where the paper’s text and its code differ">
        <Choices rows={patching.choices.rows} />
      </Details>
    </>
  );
}

export function Details({ summary, children }: { summary: string; children: ReactNode }): ReactNode {
  return (
    <details className="more">
      <summary>{summary}</summary>
      {children}
    </details>
  );
}

function Panel(options: {
  patching: CausalPatching;
  state: CausalState;
  tokenSet: CausalTokenSet;
}): ReactNode {
  const { patching, state, tokenSet } = options;
  const { metric, form, limits, edits } = state;
  const { outcomes } = patching;
  const bands = useMemo(
    () => figureBands(outcomes, { metric, form, limits, edits, tokenSet }),
    [outcomes, metric, form, limits, edits, tokenSet],
  );
  const none = outcomes.find(({ kind }) => kind === "none")?.sets[tokenSet][metric].mean ?? null;
  const shown = figureOutcomes(outcomes, state);
  const format = FORMATS[metric];
  return (
    <BandBars
      bands={bands}
      label={`${METRIC_WORDS[metric].name} after each edit, ${SET_WORDS[tokenSet]}`}
      name={`causal-${metric}-${tokenSet}`}
      axis={METRIC_WORDS[metric].axis}
      format={format}
      reference={none}
      caption={
        <>
          <b>{capital(SET_WORDS[tokenSet])}</b>, {formatAmount(patching.tokens[tokenSet], "predicted token")}.
        </>
      }
      table={{
        columns: [
          "edit",
          "latents",
          METRIC_WORDS[metric].name,
          "limits",
          "controls",
          "limits of the controls",
        ],
        rows: bands.map(({ key, main, thin }, i) => ({
          key,
          cells: [
            key,
            shown[i].kind === "subset" ? formatCount(shown[i].nLatents) : "",
            formatMetric(metric, main.value),
            limitWords(metric, main),
            thin === null ? "none" : formatMetric(metric, thin.value),
            thin === null ? "" : limitWords(metric, thin),
          ],
        })),
      }}
    />
  );
}

/** One function a metric, so that a chart is not drawn with every change of the page. */
const FORMATS = Object.fromEntries(
  METRICS.map((metric) => [metric, (value: number) => formatMetric(metric, value)]),
) as Record<Metric, (value: number) => string>;

function FullTable({
  patching,
  tokenSet,
}: {
  patching: CausalPatching;
  tokenSet: CausalTokenSet;
}): ReactNode {
  const { outcomes, tokens } = patching;
  const whole = outcomes.filter(({ controlOf }) => controlOf === "");
  const rows = whole.flatMap((outcome) => [
    outcome,
    ...outcomes.filter(({ controlOf }) => controlOf === outcome.name),
  ]);
  const title = `${capital(SET_WORDS[tokenSet])}: ${formatAmount(tokens[tokenSet], "predicted token")}`;
  return (
    <ScrollRegion className="scroll" label={title}>
      <table className="counts">
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">edit</th>
            <th scope="col">latents</th>
            <th scope="col">KL</th>
            <th scope="col">published limits</th>
            {METRICS.filter((metric) => metric !== "kl").map((metric) => (
              <th key={metric} scope="col">
                {METRIC_WORDS[metric].name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, kind, nLatents, controlOf, sets }) => {
            const figures = sets[tokenSet];
            return (
              <tr key={name}>
                <th scope="row" className={controlOf === "" ? undefined : "below"}>
                  {controlOf === "" ? name : "matched controls"}
                </th>
                <td>{kind === "subset" ? formatCount(nLatents) : ""}</td>
                <td>
                  <EstimateCell metric="kl" estimate={figures.kl} />
                </td>
                <td>{limitWords("kl", figures.klPublished)}</td>
                {METRICS.filter((metric) => metric !== "kl").map((metric) => (
                  <td key={metric}>
                    <EstimateCell metric={metric} estimate={figures[metric]} />
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function EstimateCell({ metric, estimate }: { metric: Metric; estimate: FigureEstimate }): ReactNode {
  if (estimate.mean === null) return metric === "gapClosed" ? "no gap" : NO_VALUE;
  return (
    <>
      {formatMetric(metric, estimate.mean)}
      <span className="under">{limitWords(metric, estimate)}</span>
    </>
  );
}

function Comparisons({ patching: { comparisons } }: { patching: CausalPatching }): ReactNode {
  const label =
    "KL of the first less KL of the second, over the same draws; below 0: the first is closer to the fine-tune";
  return (
    <ScrollRegion className="scroll" label={label}>
      <table className="counts">
        <caption>{label}</caption>
        <thead>
          <tr>
            <th scope="col">first</th>
            <th scope="col" className="words">
              second
            </th>
            {TOKEN_SETS.map((tokenSet) => (
              <th key={tokenSet} scope="col">
                {SET_WORDS[tokenSet]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {comparisons.map(({ first, second, sets }) => (
            <tr key={`${first} ${second}`}>
              <th scope="row">{first}</th>
              <td className="words">{second}</td>
              {TOKEN_SETS.map((tokenSet) => (
                <td key={tokenSet}>
                  <EstimateCell metric="klAgainstNone" estimate={sets[tokenSet]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Pool({ pool }: { pool: CausalPatching["pool"] }): ReactNode {
  return (
    <>
      <p className="prose">
        {pool.words} By Latent Scaling: the better half has the lowest sum of the ranks of nuError and
        nuReconstruction. By deltaNorm: the greatest. Sets by threshold are of the live candidates, before the
        filters of nu.
      </p>
      <table className="counts">
        <tbody>
          {pool.counts.map(({ reason, latents }) => (
            <tr key={reason}>
              <th scope="row">{reason}</th>
              <td>{formatCount(latents)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Excluded({ conversations }: { conversations: CausalPatching["conversations"] }): ReactNode {
  const { count, tokens, excluded } = conversations;
  return (
    <table className="counts">
      <tbody>
        <tr>
          <th scope="row">used</th>
          <td>{formatAmount(count, "conversation")}</td>
        </tr>
        <tr>
          <th scope="row">tokens of these</th>
          <td>{formatCount(tokens)}</td>
        </tr>
        {excluded.map((entry) => (
          <tr key={entry.reason}>
            <th scope="row">left out: {entry.reason}</th>
            <td>{formatCount(entry.conversations)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Controls({ controls }: { controls: CausalPatching["controls"] }): ReactNode {
  const range = (values: readonly (number | null)[], decimals: number): string => {
    const finite = values.filter((value) => value !== null);
    if (finite.length === 0) return "none";
    return `${formatFixed(Math.min(...finite), decimals)} to ${formatFixed(Math.max(...finite), decimals)}`;
  };
  const label = "Random controls of each set: least and greatest draw; sums over those of the set";
  return (
    <ScrollRegion className="scroll" label={label}>
      <table className="counts">
        <caption>{label}</caption>
        <thead>
          <tr>
            <th scope="col">set</th>
            <th scope="col">latents</th>
            <th scope="col">silent here</th>
            <th scope="col">draws</th>
            <th scope="col">without a control</th>
            <th scope="col">firing rate</th>
            <th scope="col">energy</th>
            <th scope="col">KL, additive</th>
            <th scope="col">KL, replacing</th>
          </tr>
        </thead>
        <tbody>
          {controls.map(({ selection, nLatents, silent, missing, rateRatio, energyRatio, kl }) => (
            <tr key={selection}>
              <th scope="row">{selection}</th>
              <td>{formatCount(nLatents)}</td>
              <td>{formatCount(silent)}</td>
              <td>{formatCount(missing.length)}</td>
              <td>{missing.length === 0 ? "none" : formatCount(Math.max(...missing))}</td>
              <td>{range(rateRatio, 2)}</td>
              <td>{range(energyRatio, 2)}</td>
              <td>{range(kl.additive.all, 3)}</td>
              <td>{range(kl.replacing.all, 3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Choices({ rows }: { rows: CausalPatching["choices"]["rows"] }): ReactNode {
  return (
    <ScrollRegion className="scroll" label="Choices where the paper’s text and its code differ">
      <table className="counts">
        <thead>
          <tr>
            <th scope="col">what it decides</th>
            <th scope="col" className="words">
              used here
            </th>
            <th scope="col" className="words">
              as in
            </th>
            <th scope="col" className="words">
              not used
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ decides, used, asIn, other }) => (
            <tr key={decides}>
              <th scope="row">{decides}</th>
              <td className="words">{used}</td>
              <td className="words">{asIn}</td>
              <td className="words">{other}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
