// One token of a reading: what both models expect next, side by side, and the latents that fire there.

import type { ReactNode } from "react";
import type { PromptReading } from "../../../src/dashboard/api-contract.ts";
import { formatFixed, formatNumber, formatPercent } from "../format.ts";
import { Link } from "../parts/link.tsx";
import { type Side, SideMark, TokenChip } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { firingAt, leaning, nameOf } from "./reading-layout.ts";

export function TokenPanel(options: {
  reading: PromptReading;
  at: number | null;
  pins: readonly number[];
  onPin: (latent: number) => void;
  onAt: (token: number | null) => void;
  latentQuery: (latent: number) => URLSearchParams;
}): ReactNode {
  const { reading, at, pins, onPin, onAt, latentQuery } = options;
  if (at === null || at >= reading.tokens.length) {
    return (
      <p className="note">
        Choose a token by a click or, in the text, with the arrow keys: here stand both models’ next tokens
        and the latents that fire at it.
      </p>
    );
  }
  const next = reading.tokens[at + 1];
  const firing = firingAt(reading.latents, at);
  return (
    <>
      <div className="bar">
        <p aria-live="polite">
          Token {at + 1} of {reading.tokens.length}: <TokenChip token={reading.tokens[at]} />{" "}
          <span className="note">{reading.roles[at]}</span> · KL <b>{formatFixed(reading.kl[at], 3)}</b> nats
        </p>
        <button type="button" className="quiet" aria-label="Leave the token" onClick={() => onAt(null)}>
          ×
        </button>
      </div>
      <div className="next-tokens">
        <NextTokens side="base" scores={reading.nextBase[at]} next={next} />
        <NextTokens side="finetuned" scores={reading.nextFinetuned[at]} next={next} />
      </div>
      <h3>Latents that fire here</h3>
      {firing.length === 0 ? (
        <p className="note">None of those in the list.</p>
      ) : (
        <table className="counts firing">
          <thead>
            <tr>
              <th scope="col">latent</th>
              <th scope="col">activation</th>
              <th scope="col">of its greatest</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {firing.map((latent) => (
              <tr key={latent.latent}>
                <th scope="row">
                  <SideOfClaim claim={latent.claim} side={leaning(latent)} />{" "}
                  <Link to={latentQuery(latent.latent)}>{latent.latent}</Link>{" "}
                  <bdi className="note">{showInvisible(nameOf(latent))}</bdi>
                </th>
                <td>{formatNumber(latent.activations[at])}</td>
                <td>{formatPercent(latent.activations[at] / latent.maxMeasured, 0)}</td>
                <td>
                  <PinButton latent={latent.latent} isPinned={pins.includes(latent.latent)} onPin={onPin} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function NextTokens(options: {
  side: Side;
  scores: { token: string; probability: number }[];
  next: string | undefined;
}): ReactNode {
  const { side, scores, next } = options;
  return (
    <table className={`next ${side}`}>
      <caption>
        <SideMark side={side} /> {side} expects next
      </caption>
      <tbody>
        {scores.map(({ token, probability }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two ids may have one string
          <tr key={i} className={token === next ? "came" : undefined}>
            <th scope="row">
              <TokenChip token={token} />
              {token === next && <span className="note"> came</span>}
            </th>
            <td>{formatPercent(probability)}</td>
            <td>
              <svg className="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                <rect width={100 * probability} height="10" />
              </svg>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function SideOfClaim({ claim, side }: { claim: string; side: Side }): ReactNode {
  return claim === "" || claim === "none" ? null : (
    <>
      <SideMark side={side} />
      <span className="hidden">{claim}</span>
    </>
  );
}

export function PinButton(options: {
  latent: number;
  isPinned: boolean;
  onPin: (latent: number) => void;
}): ReactNode {
  const { latent, isPinned, onPin } = options;
  return (
    <button type="button" aria-pressed={isPinned} onClick={() => onPin(latent)}>
      {isPinned ? "pinned" : "pin"}
      <span className="hidden"> latent {latent}</span>
    </button>
  );
}
