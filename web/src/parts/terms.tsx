// The words of a screen, each in one sentence or two: folded away at its end.

import "./page-parts.css";
import type { ReactNode } from "react";
import type { PageTerm } from "../../../src/dashboard/api-contract.ts";

export function Terms({ terms }: { terms: readonly PageTerm[] }): ReactNode {
  return (
    <details className="terms">
      <summary>What the words mean</summary>
      <dl>
        {terms.map(({ name, words }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
