// How far the predictions are apart, and in which kind of text: figures, means by role and dataset, and by position.

import { type ReactNode, useCallback, useMemo } from "react";
import type { GlanceFindings, GlanceGroup } from "../../../src/dashboard/api-contract.ts";
import { type Band, BandBars } from "../charts/band-bars.tsx";
import { type Plot, PlotFigure } from "../charts/plot-figure.tsx";
import { formatAmount, formatCount, formatNumber, formatPercent, NO_VALUE } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { showInvisible } from "../visible-text.ts";

const AXIS = "mean KL, nats a token";

export function Groups({ kl }: { kl: GlanceFindings["kl"] }): ReactNode {
  const { tokens, mean, quantiles, shareOfTopPercent, byRole, byDataset, byPosition } = kl;
  const figures: [string, string, string][] = [
    ["mean", nats(mean), "nats a token"],
    ["median", nats(quantiles.p50), "nats"],
    ["1 % are above", nats(quantiles.p99), "nats"],
    ["greatest", nats(quantiles.max), "nats"],
    ["held by that 1 %", formatPercent(shareOfTopPercent ?? Number.NaN, 0), "of all KL"],
  ];
  return (
    <>
      <p className="prose">Mean KL over {formatAmount(tokens, "token")}.</p>
      <dl className="figures">
        {figures.map(([name, value, unit]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <b>{value}</b> <span>{unit}</span>
            </dd>
          </div>
        ))}
      </dl>
      <div className="panels">
        <Bars kind="role" groups={byRole} mean={mean} />
        <Bars kind="dataset" groups={byDataset} mean={mean} />
        <ByPosition byPosition={byPosition} />
      </div>
    </>
  );
}

function Bars(options: {
  kind: "role" | "dataset";
  groups: readonly GlanceGroup[];
  mean: number | null;
}): ReactNode {
  const { kind, groups, mean } = options;
  const bands = useMemo(() => groups.map(bandOf), [groups]);
  return (
    <BandBars
      bands={bands}
      label={`Mean KL by ${kind}`}
      name={`kl-by-${kind}`}
      axis={AXIS}
      format={formatNumber}
      reference={mean}
      caption={`By ${kind}; the broken line is the mean of all tokens.`}
      table={{
        columns: [kind, "tokens", "mean KL, nats"],
        rows: groups.map((group) => ({
          key: group.name,
          cells: [
            <bdi key="name">{showInvisible(group.name)}</bdi>,
            formatCount(group.tokens),
            nats(group.mean),
          ],
        })),
      }}
    />
  );
}

function bandOf({ name, mean, tokens }: GlanceGroup): Band {
  return {
    ...{
      key: name,
      label: shortened(showInvisible(name)),
      words: `${nats(mean)} · ${formatAmount(tokens, "token")}`,
    },
    main: { value: mean, low: null, high: null },
    ...{ thin: null, fill: "finetuned" },
  };
}

/** Letters of a name in a chart; its table has the whole. */
const NAME_LETTERS = 28;
function shortened(name: string): string {
  const letters = [...name];
  return letters.length > NAME_LETTERS ? `${letters.slice(0, NAME_LETTERS - 1).join("")}…` : name;
}

function ByPosition({ byPosition }: { byPosition: readonly (number | null)[] }): ReactNode {
  const bins = useMemo(
    () =>
      byPosition.flatMap((mean, position) =>
        mean === null ? [] : [{ from: position, to: position + 1, mean }],
      ),
    [byPosition],
  );
  const draw = useCallback(
    (plot: Plot, _width: number) => ({
      ...{ height: 240, marginLeft: 44 },
      x: { label: "position in the text, from 0", domain: [0, byPosition.length] },
      y: { label: "mean KL, nats", grid: true, ticks: 5 },
      marks: [
        plot.rectY(bins, { x1: "from", x2: "to", y: "mean", inset: 0.5, fill: "var(--finetuned)" }),
        plot.ruleY([0], { stroke: "var(--ink)" }),
      ],
    }),
    [bins, byPosition.length],
  );
  return (
    <div>
      <PlotFigure label="Mean KL by position in the text" draw={draw} name="kl-by-position">
        By position, the first {formatCount(byPosition.length)}.
      </PlotFigure>
      <details>
        <summary>As a table</summary>
        <ScrollRegion className="scroll short" label="Table: mean KL by position">
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">position</th>
                <th scope="col">mean KL, nats</th>
              </tr>
            </thead>
            <tbody>
              {byPosition.map((mean, position) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a position is its index
                <tr key={position}>
                  <th scope="row">{formatCount(position)}</th>
                  <td>{nats(mean)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      </details>
    </div>
  );
}

function nats(value: number | null): string {
  return value === null ? NO_VALUE : formatNumber(value);
}
