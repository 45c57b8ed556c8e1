// What differs between the two models at a glance, without a dictionary: predictions, residuals, tokens.

import "../glance/glance.css";
import type { ReactNode } from "react";
import type { GlanceFindings, GlancePlanted } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatFixed, formatNumber, formatPercent } from "../format.ts";
import { Components } from "../glance/components.tsx";
import { Difference } from "../glance/difference.tsx";
import { Groups } from "../glance/groups.tsx";
import { Mined } from "../glance/mined.tsx";
import { Peaks } from "../glance/peaks.tsx";
import { currentQuery, goTo } from "../location.ts";
import { Failure, Loading, PartOf } from "../parts/states.tsx";
import { Terms } from "../parts/terms.tsx";
import { useGlance } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { showInvisible } from "../visible-text.ts";

export function GlanceScreen(props: ScreenProps): ReactNode {
  const glance = useGlance(props.place);
  if (glance.isPending) return <Loading what="the glance" />;
  if (glance.isError) return <Failure error={glance.error} retry={() => glance.refetch()} />;
  return (
    <div className="glance">
      <h1>At a glance, without a dictionary</h1>
      <PartOf part={glance.data.glance}>{(value) => <Found glance={value} query={props.query} />}</PartOf>
      <Terms terms={glance.data.terms} />
    </div>
  );
}

function Found({ glance, query }: { glance: GlanceFindings; query: URLSearchParams }): ReactNode {
  const pick = (name: string) => (value: string) => {
    const next = currentQuery();
    next.set(name, value);
    goTo(next, { replace: true });
  };
  return (
    <>
      <section aria-labelledby="findings">
        <h2 id="findings">What was found</h2>
        <Findings glance={glance} />
      </section>
      <section aria-labelledby="peaks">
        <h2 id="peaks">Where the predictions part</h2>
        <Peaks kl={glance.kl} />
      </section>
      <section aria-labelledby="groups">
        <h2 id="groups">How far, and in which kind of text</h2>
        <Groups kl={glance.kl} />
      </section>
      <section aria-labelledby="difference">
        <h2 id="difference">The mean difference</h2>
        <Difference lens={glance.lens} asked={query.get("position")} onPick={pick("position")} />
      </section>
      <section aria-labelledby="components">
        <h2 id="components">Components of the difference</h2>
        <Components pca={glance.pca} asked={query.get("component")} onPick={pick("component")} />
      </section>
      <section aria-labelledby="mined">
        <h2 id="mined">Tokens that rose and fell</h2>
        <Mined mining={glance.mining} />
      </section>
      <section aria-labelledby="about">
        <h2 id="about">How this was made, and what it cannot tell</h2>
        <About glance={glance} />
      </section>
    </>
  );
}

function Findings({ glance }: { glance: GlanceFindings }): ReactNode {
  const { findings, warnings, text, planted } = glance;
  return (
    <>
      {findings.length === 0 ? (
        <p className="prose">
          Nothing differs: on {formatAmount(text.tokens, "token")} both models predict the same.
        </p>
      ) : (
        <ol className="findings">
          {findings.map((finding) => (
            <li key={finding}>
              <bdi>{showInvisible(finding)}</bdi>
            </li>
          ))}
        </ol>
      )}
      {warnings.length > 0 && (
        <div className="warnings" role="note">
          <h3>Warnings</h3>
          <ul>
            {warnings.map((warning) => (
              <li key={warning}>
                <bdi>{showInvisible(warning)}</bdi>
              </li>
            ))}
          </ul>
        </div>
      )}
      {planted !== null && (
        <>
          <h3>Held against what was planted</h3>
          <PartOf part={planted}>{(value) => <Planted planted={value} />}</PartOf>
        </>
      )}
    </>
  );
}

/** Side by side, and no more than can be known: the documents shown, not whether a reader would have seen it there. */
function Planted({ planted }: { planted: GlancePlanted }): ReactNode {
  const { peaks, known, withAny, ofStore, concepts } = planted;
  const names = concepts.map(
    ({ concept, documents }) => `${showInvisible(concept)} ${formatCount(documents)}`,
  );
  return (
    <p className="prose">
      KL peaks are shown in {formatAmount(peaks, "document")}
      {known < peaks && `, of which ${formatCount(known)} are the study’s`}. {formatCount(withAny)} of{" "}
      {formatCount(known)} hold a planted behaviour, against{" "}
      {formatPercent(ofStore.withAny / ofStore.documents, 0)} of all the study’s documents:{" "}
      {concepts.length === 0
        ? "none"
        : `${formatCount(concepts.length)} of ${formatCount(planted.planted)} behaviours (${names.join(", ")})`}
      . The glance shows these documents and names no behaviour; a reader must. With the dictionary, claims
      find {formatCount(planted.found)} of {formatCount(planted.planted)} of them, each with the latent that
      predicts it.
    </p>
  );
}

function About({ glance }: { glance: GlanceFindings }): ReactNode {
  const { base, finetuned, layer, text, seconds, tunediff } = glance;
  const where =
    layer.base === layer.finetuned
      ? formatCount(layer.base)
      : `${formatCount(layer.base)} (base) and ${formatCount(layer.finetuned)} (finetuned)`;
  const facts: [string, string][] = [
    ["base model", base],
    ["finetuned model", finetuned],
    ["residual after block", `${where}, counted from 0`],
    ["text", text.description],
    ["read", `${formatAmount(text.tokens, "token")} of ${formatAmount(text.documents, "document")}`],
    ["time", `${seconds < 1 ? formatFixed(seconds, 1) : formatNumber(Math.round(seconds))} s`],
    ["made with", `tunediff ${tunediff}`],
  ];
  return (
    <>
      <table className="counts facts">
        <tbody>
          {facts.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td className="words">
                <bdi>{showInvisible(value)}</bdi>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <ul className="prose">
        <li>
          A glance says where to look. It names no concept, counts none, and proves nothing about causes.
        </li>
        <li>What differs only on text that is not read here is not seen.</li>
        <li>The difference of the residuals is read at one layer.</li>
      </ul>
    </>
  );
}
