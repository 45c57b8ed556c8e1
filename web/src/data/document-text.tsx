// One document, token by token: shaded by role or by what each row is for; under the pointer or the arrow keys a token says its facts.

import type { ReactNode } from "react";
import type { DocumentTokens, RowUse } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { formatCount } from "../format.ts";
import { goTo } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { Failure, Loading, PartOf } from "../parts/states.tsx";
import { SideMark, TokenChip } from "../parts/token.tsx";
import { useTokenCursor } from "../parts/token-cursor.ts";
import { useDocument } from "../queries.ts";
import { showInvisible } from "../visible-text.ts";
import { changed, useScrollTo } from "./documents.tsx";

export const USE_WORDS: Record<RowUse, string> = {
  trained: "trained on",
  measured: "measured",
  tested: "kept for the test",
  bos: "left out: BOS",
  outlier: "left out: norm outlier",
};
const ROLES = ["text", "system", "user", "assistant", "template", "bos"] as const;
const NO_SLOT = "none";

export function DocumentText(options: {
  place: DictionaryPlace;
  query: URLSearchParams;
  nDocuments: number;
}): ReactNode {
  const { place, query, nDocuments } = options;
  const [number, from] = [Number(query.get("document")), Number(query.get("at") ?? 0)];
  const isThere = Number.isInteger(number) && number >= 0 && number < nDocuments;
  useScrollTo("document", `${query.get("document")} ${query.get("at")}`);
  const document = useDocument(place, {
    number: isThere ? number : 0,
    from: Number.isInteger(from) && from > 0 ? from : 0,
  });
  const to = (of: number): URLSearchParams => changed(query, { document: String(of), at: "" });
  return (
    <>
      <div className="bar">
        {isThere && number > 0 && <Link to={to(number - 1)}>← document {number - 1}</Link>}
        {isThere && number + 1 < nDocuments && <Link to={to(number + 1)}>document {number + 1} →</Link>}
        <label>
          Shade by{" "}
          <select
            value={query.get("shade") === "use" ? "use" : "role"}
            onChange={(event) =>
              goTo(changed(query, { shade: event.target.value === "use" ? "use" : "" }), { replace: true })
            }
          >
            <option value="role">role</option>
            <option value="use">what a row is for</option>
          </select>
        </label>
      </div>
      {!isThere && (
        <p className="state">
          The store has the documents 0 to {formatCount(nDocuments - 1)}; this is none of them.
        </p>
      )}
      {isThere && document.isPending && <Loading what={`document ${number}`} />}
      {isThere && document.isError && <Failure error={document.error} retry={() => document.refetch()} />}
      {isThere && document.isSuccess && (
        <PartOf part={document.data}>
          {(page) => <Page key={`${number} ${page.from}`} page={page} query={query} />}
        </PartOf>
      )}
    </>
  );
}

function Page({ page, query }: { page: DocumentTokens; query: URLSearchParams }): ReactNode {
  const { document, from, tokens, idsBase, idsFinetuned } = page;
  const isByUse = query.get("shade") === "use";
  const end = from + tokens.length;
  const nDifferent = idsBase.filter((id, i) => id !== idsFinetuned[i]).length;
  return (
    <>
      <p className="note">
        <bdi>{showInvisible(document.id)}</bdi> · dataset <bdi>{showInvisible(document.dataset)}</bdi> · split{" "}
        {document.split} · group {document.group} of 64 · {formatCount(document.nRows)} rows
        {tokens.length < document.nRows && `, ${formatCount(from + 1)} to ${formatCount(end)} shown`} ·{" "}
        {nDifferent === 0
          ? "both models read the same ids"
          : `the base reads another id at ${formatCount(nDifferent)} tokens, outlined`}
        {!page.areOutliersKnown && " · norm outliers not known without a training record"}
      </p>
      <Legend page={page} isByUse={isByUse} />
      <Tokens page={page} isByUse={isByUse} />
      {tokens.length < document.nRows && (
        <div className="bar">
          {from > 0 && <Link to={changed(query, { at: "" })}>from the start</Link>}
          {end < document.nRows && (
            <Link to={changed(query, { at: String(end) })}>the tokens after these →</Link>
          )}
        </div>
      )}
    </>
  );
}

function Legend({ page, isByUse }: { page: DocumentTokens; isByUse: boolean }): ReactNode {
  const present = new Set<string>(isByUse ? page.uses : page.roles);
  const names: readonly string[] = isByUse ? Object.keys(USE_WORDS) : ROLES;
  return (
    <ul className="legend document-tokens">
      {names
        .filter((name) => present.has(name))
        .map((name) => (
          <li key={name}>
            <span className={shadeClass(name, isByUse)}>{isByUse ? USE_WORDS[name as RowUse] : name}</span>
          </li>
        ))}
    </ul>
  );
}

function Tokens({ page, isByUse }: { page: DocumentTokens; isByUse: boolean }): ReactNode {
  const { tokens, roles, uses, idsBase, idsFinetuned } = page;
  const { at, textProps } = useTokenCursor({ nTokens: tokens.length, first: 0, staysOnLeave: true });
  return (
    <>
      <p className="document-tokens text" {...textProps(`Tokens of document ${page.document.number}`)}>
        {tokens.map((token, i) => (
          <Token
            // biome-ignore lint/suspicious/noArrayIndexKey: a token's place is what it is
            key={i}
            index={i}
            token={token === "" && roles[i] === "bos" ? "BOS" : token}
            className={[
              shadeClass(isByUse ? uses[i] : roles[i], isByUse),
              idsBase[i] !== idsFinetuned[i] && "other-id",
              i === at && "at-token",
            ]
              .filter(Boolean)
              .join(" ")}
          />
        ))}
      </p>
      <div className="inspector document-inspector" aria-live="polite">
        {at === null ? (
          <span className="note">
            Point at a token, or step through the text with ← and →, for its facts.
          </span>
        ) : (
          <TokenFacts page={page} at={at} />
        )}
      </div>
    </>
  );
}

function Token({ index, token, className }: { index: number; token: string; className: string }): ReactNode {
  return (
    <>
      <span data-i={index} className={className}>
        {token === "" ? "∅" : showInvisible(token)}
      </span>
      {token.includes("\n") && <br />}
    </>
  );
}

function TokenFacts({ page, at }: { page: DocumentTokens; at: number }): ReactNode {
  const { from, tokens, roles, slots, turns, uses, idsBase, idsFinetuned } = page;
  return (
    <>
      <TokenChip token={tokens[at]} /> position {formatCount(from + at)} · role <b>{roles[at]}</b>
      {slots[at] !== NO_SLOT && (
        <>
          {" "}
          · template slot <b>{showInvisible(slots[at])}</b>
        </>
      )}
      {turns[at] >= 0 && <> · message {turns[at] + 1}</>} · {USE_WORDS[uses[at]]} ·{" "}
      {idsBase[at] === idsFinetuned[at] ? (
        <>id {idsFinetuned[at]} in both models</>
      ) : (
        <>
          <SideMark side="base" /> id {idsBase[at]} · <SideMark side="finetuned" /> id {idsFinetuned[at]}
        </>
      )}
    </>
  );
}

const shadeClass = (name: string, isByUse: boolean): string => `${isByUse ? "use" : "role"}-${name}`;
