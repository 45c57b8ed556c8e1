// Latents that are near: twins of the other side, and the nearest by decoder rows of each model and across.

import type { ReactNode } from "react";
import type { LatentPage } from "../../../src/dashboard/api-contract.ts";
import { formatFixed } from "../format.ts";
import { Link } from "../parts/link.tsx";

const KINDS = [
  ["finetuned", "by finetuned decoder"],
  ["base", "by base decoder"],
  ["across", "across (this finetuned, other base)"],
] as const;

export function Near(options: { page: LatentPage; to: (latent: number) => URLSearchParams }): ReactNode {
  const { page, to } = options;
  return (
    <>
      <h3>Twins</h3>
      {page.twins.length === 0 ? (
        <p className="note">None: no latent of the other side has nearly the same direction.</p>
      ) : (
        <ul>
          {page.twins.map(({ latent, cosine, divergence }) => (
            <li key={latent}>
              <Link to={to(latent)}>latent {latent}</Link>, cosine {formatFixed(cosine, 3)}
              {divergence !== null && `, activation divergence ${formatFixed(divergence, 2)}`}
            </li>
          ))}
        </ul>
      )}
      <h3>Nearest</h3>
      <table className="counts">
        <tbody>
          {KINDS.map(([kind, words]) => (
            <tr key={kind}>
              <th scope="row">{words}</th>
              <td className="words">
                {page.nearest[kind].length === 0 && "none"}
                {page.nearest[kind].map(({ latent, cosine }) => (
                  <span key={latent} className="score">
                    <Link to={to(latent)}>{latent}</Link>{" "}
                    <span className="note">{formatFixed(cosine, 2)}</span>
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
