// The paper's causal figure in short: KL to the fine-tune that is left after each edit, over all predicted tokens, beside matched controls.
//
// Additive edits alone; the other sets of tokens, forms and figures are on the screen of causes.

import { type ReactNode, useMemo } from "react";
import type { CausalBar, CausalSummary } from "../../../src/dashboard/api-contract.ts";
import { type Band, BandBars, type BandTable } from "../charts/band-bars.tsx";
import { formatAmount, formatFixed, formatPercent } from "../format.ts";
import { queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Empty } from "../parts/states.tsx";

const SHOWN_SET = "all";
const COLUMNS: BandTable["columns"] = ["edit", "KL", "95 % limits", "gap closed"];
/** The fine-tune against itself is 0 and says nothing here. */
const NOT_SHOWN = "Finetuned";

export function CausalBars({ causal, query }: { causal: CausalSummary; query: URLSearchParams }): ReactNode {
  const { bands, table, none } = useMemo(() => bandsOf(causal.bars), [causal.bars]);
  if (bands.length === 0)
    return <Empty>The experiment of the paper was not asked for: single latents alone were measured.</Empty>;
  return (
    <>
      <BandBars
        {...{ bands, table }}
        label="KL to the fine-tune after each edit"
        name="causal"
        axis="KL, nats a token"
        format={(value) => formatFixed(value, 1)}
        reference={none}
        caption="Lower is closer to the fine-tune. Thin: matched random latents. Broken line: the base as it is."
      />
      <p className="note">
        {formatAmount(causal.conversations, "conversation")}, {formatAmount(causal.tokens, "token")} read.{" "}
        <Link to={queryOf(query, "causal")}>All edits, and single latents</Link>
      </p>
    </>
  );
}

function bandsOf(all: readonly CausalBar[]): { bands: Band[]; table: BandTable; none: number | null } {
  const bars = all.filter(
    ({ tokenSet, form, name }) => tokenSet === SHOWN_SET && form !== "replacing" && name !== NOT_SHOWN,
  );
  const controls = new Map(
    bars.filter(({ controlOf }) => controlOf !== "").map((bar) => [bar.controlOf, bar]),
  );
  const shown = bars.filter(({ controlOf }) => controlOf === "");
  const spanOf = ({ kl, low, high }: CausalBar) => ({ value: kl, low, high });
  const fillOf = ({ name, form }: CausalBar): Band["fill"] => {
    if (form !== null) return "finetuned";
    return name === "None" ? "base" : "neutral";
  };
  const bands = shown.map((bar): Band => {
    const control = controls.get(bar.name);
    return {
      key: bar.name,
      label: bar.name.replace(/, additive$/, ""),
      words:
        formatFixed(bar.kl, 2) + (control === undefined ? "" : ` · controls ${formatFixed(control.kl, 2)}`),
      main: spanOf(bar),
      thin: control === undefined ? null : spanOf(control),
      fill: fillOf(bar),
    };
  });
  const rows = bars.map(({ name, kl, low, high, gapClosed }) => ({
    key: name,
    cells: [
      name,
      formatFixed(kl, 3),
      `${formatFixed(low, 3)} to ${formatFixed(high, 3)}`,
      gapClosed === null ? "–" : formatPercent(gapClosed),
    ],
  }));
  return {
    ...{ bands, table: { columns: COLUMNS, rows } },
    none: shown.find(({ name }) => name === "None")?.kl ?? null,
  };
}
