// One latent at a time: the plot, what the chosen one moves, and the table of all.

import { type ReactNode, useMemo } from "react";
import type { CausalEffects } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount } from "../format.ts";
import { goTo, queryOf } from "../location.ts";
import { Choice } from "../parts/choice.tsx";
import { Empty } from "../parts/states.tsx";
import { useNotes } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { useTriageKeys } from "../table/triage.ts";
import type { CausalState } from "./causal-state.ts";
import { selectEffects } from "./effect-rows.ts";
import { EffectsScatter } from "./effects-scatter.tsx";
import { EffectsTable } from "./effects-table.tsx";
import { Moved } from "./moved.tsx";

export function Effects(
  props: ScreenProps & {
    effects: CausalEffects;
    state: CausalState;
    onChange: (change: Partial<CausalState>) => void;
  },
): ReactNode {
  const { place, query, effects, state, onChange } = props;
  const { role, lasso, sort, latent } = state;
  const { items, total } = effects.rows;
  const notes = useNotes(place);
  const ofRole = useMemo(() => items.filter((row) => role === "all" || row.role === role), [items, role]);
  const lassoKey = lasso.join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: lassoKey and the sort's parts stand for the objects, which are new with every drawing
  const rows = useMemo(
    () => selectEffects(items, { role, lasso, sort }),
    [items, role, lassoKey, sort.column, sort.descending],
  );
  const pick = (of: number): void => onChange({ latent: of });
  const move = (step: number): void => {
    if (rows.length === 0) return;
    const at = rows.findIndex((row) => row.latent === latent);
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
    pick(rows[Math.min(rows.length - 1, Math.max(0, next))].latent);
  };
  useTriageKeys({
    j: () => move(1),
    k: () => move(-1),
    ...(latent !== null && { Enter: () => goTo(queryOf(query, "latent", { latent: String(latent) })) }),
  });
  const sortBy = (column: string): void => {
    const isSame = sort.column === column;
    onChange({ sort: { column, descending: isSame ? !sort.descending : true } });
  };
  return (
    <>
      <p className="prose">
        {formatAmount(effects.candidates, "latent")} that lean to the fine-tune, each by itself: added to the
        base (how much of the gap it closes) and taken out of the fine-tune (how much damage that does), over{" "}
        {formatAmount(effects.tokens, "predicted token")} of{" "}
        {formatAmount(effects.conversations, "conversation")}. {formatCount(effects.silent)}{" "}
        {effects.silent === 1 ? "is" : "are"} silent in these. Beside each, up to{" "}
        {formatCount(effects.controlsEach)} matched controls. p is the share of {formatCount(effects.draws)}{" "}
        draws over conversations in which it does no more than its controls; of many latents some are small by
        chance.
      </p>
      <div className="filters">
        <Choice
          label="Latents"
          value={role}
          choices={[
            ["candidate", "candidates"],
            ["control", "controls"],
            ["all", "both"],
          ]}
          onPick={(picked) => onChange({ role: picked })}
        />
        <p className="note" role="status">
          {formatCount(rows.length)} of {formatCount(total)} rows
          {items.length < total &&
            `; the first ${formatCount(items.length)} are here, tables/causal.parquet has all`}
        </p>
        {lasso.length > 0 && (
          <button type="button" onClick={() => onChange({ lasso: [] })}>
            Clear the lasso
          </button>
        )}
      </div>
      <div className="effects">
        <div>
          <EffectsScatter rows={ofRole} onPick={pick} onLasso={(polygon) => onChange({ lasso: polygon })} />
        </div>
        {latent === null ? (
          <Empty>Press a point, or “show” in a row of the table: here stands what that latent moves.</Empty>
        ) : (
          <Moved place={place} latent={latent} rows={items} draws={effects.draws} query={query} />
        )}
      </div>
      {rows.length === 0 ? (
        <Empty>No latent is among these.</Empty>
      ) : (
        <EffectsTable
          rows={rows}
          draws={effects.draws}
          query={query}
          sort={sort}
          latent={latent}
          notes={notes.byLatent}
          onSort={sortBy}
          onPick={pick}
        />
      )}
      <p className="keys note">
        <span>
          <kbd>j</kbd> next
        </span>
        <span>
          <kbd>k</kbd> previous
        </span>
        <span>
          <kbd>Enter</kbd> open the latent
        </span>
      </p>
    </>
  );
}
