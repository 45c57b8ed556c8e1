// What one latent moves: next tokens and conversations, when it is added to the base and when it is removed from the fine-tune.

import type { ReactNode } from "react";
import type { CausalEffectRow, CausalMoved } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { formatAmount, formatNumber } from "../format.ts";
import { queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Failure, Loading } from "../parts/states.tsx";
import { TokenChip } from "../parts/token.tsx";
import { useCausalMoved } from "../queries.ts";
import { showInvisible } from "../visible-text.ts";
import { EFFECT_COLUMNS } from "./effect-rows.ts";

const EDITS = [
  ["add", "Added to the base"],
  ["remove", "Removed from the fine-tune"],
] as const;
/** In the few words above the lists. */
const SHOWN_FIGURES: readonly string[] = ["gapClosed", "damage", "conversationsFired"];

export function Moved(options: {
  place: DictionaryPlace;
  latent: number;
  rows: readonly CausalEffectRow[];
  draws: number;
  query: URLSearchParams;
}): ReactNode {
  const { place, latent, rows, draws, query } = options;
  const moved = useCausalMoved(place, latent);
  const row = rows.find((one) => one.latent === latent);
  return (
    <section className="moved" aria-labelledby="moved">
      <h3 id="moved">
        What <Link to={queryOf(query, "latent", { latent: String(latent) })}>latent {latent}</Link> moves
      </h3>
      {row !== undefined && (
        <p className="note">
          {EFFECT_COLUMNS.filter(({ name }) => SHOWN_FIGURES.includes(name))
            .map(({ title, show }) => `${title} ${show(row, draws)}`)
            .join(" · ")}
        </p>
      )}
      {moved.isPending && <Loading what={`what latent ${latent} moves`} />}
      {moved.isError && <Failure error={moved.error} retry={() => moved.refetch()} />}
      {moved.isSuccess && <Lists moved={moved.data[0]} query={query} />}
    </section>
  );
}

function Lists({ moved, query }: { moved: CausalMoved; query: URLSearchParams }): ReactNode {
  return (
    <>
      {EDITS.map(([edit, words]) => {
        const tokens = moved.tokens.filter((token) => token.edit === edit);
        const texts = moved.texts.filter((text) => text.edit === edit);
        return (
          <div key={edit}>
            <h4>{words}</h4>
            <p className="scores">
              {tokens.length === 0 && <span className="note">no token moved</span>}
              {tokens.map(({ token, tokenId, change, count }) => (
                <span key={tokenId} className="score">
                  <TokenChip token={token} />{" "}
                  <span className="note">
                    {signed(change)} × {formatAmount(count, "time")}
                  </span>
                </span>
              ))}
            </p>
            {texts.length > 0 && (
              <ul className="texts">
                {texts.map(({ conversation, change }) => (
                  <li key={conversation}>
                    <bdi>{showInvisible(conversation)}</bdi> <span className="note">{signed(change)}</span>
                  </li>
                ))}
              </ul>
            )}
          </div>
        );
      })}
      <p className="note">
        Tokens: change of log-probability where the token is the next one, nats. Conversations: change of KL
        summed over the conversation, nats.{" "}
        {moved.controls.length > 0 && (
          <>
            Its controls:{" "}
            {moved.controls.map((control, i) => (
              <span key={control}>
                {i > 0 && ", "}
                <Link to={queryOf(query, "latent", { latent: String(control) })}>{control}</Link>
              </span>
            ))}
            .
          </>
        )}
      </p>
    </>
  );
}

function signed(value: number | null): string {
  if (value === null) return "–";
  return value > 0 ? `+${formatNumber(value)}` : formatNumber(value);
}
