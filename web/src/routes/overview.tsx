// The overview: what the fine-tune changed, how sure that is, and where to look; every number leads to the latents behind it.

import type { ReactNode } from "react";
import type { Finding, Overview } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatFixed, formatNumber, formatPercent } from "../format.ts";
import { joinParts, queryOf } from "../location.ts";
import { CausalBars } from "../overview/causal-bars.tsx";
import { DeltaNormHistogram } from "../overview/delta-norm-histogram.tsx";
import { NuScatter } from "../overview/nu-scatter.tsx";
import { Link } from "../parts/link.tsx";
import { Empty, Failure, Loading, MissingPart, PartOf } from "../parts/states.tsx";
import { SidedWords, SideMark } from "../parts/token.tsx";
import { useColumnList, useOverview } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";

export function OverviewScreen(props: ScreenProps): ReactNode {
  const overview = useOverview(props.place);
  const columns = useColumnList(props.place);
  if (overview.isPending) return <Loading what="the overview" />;
  if (overview.isError) return <Failure error={overview.error} retry={() => overview.refetch()} />;
  const list = columns.data ?? [];
  const { data } = overview;
  return (
    <div className="overview">
      <Masthead overview={data} />
      {data.warnings.length > 0 && (
        <section className="warnings" aria-label="Warnings">
          <ul>
            {data.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
      <section aria-labelledby="fit" className="fit">
        <h2 id="fit" className="hidden">
          How well the dictionary fits
        </h2>
        <PartOf part={data.fit}>{(fit) => <Fit fit={fit} />}</PartOf>
      </section>
      <div className="lead">
        <section aria-labelledby="findings">
          <h2 id="findings">What changed</h2>
          <Findings {...props} findings={data.findings} counts={data.counts} />
        </section>
        <section aria-labelledby="delta-norm">
          <h2 id="delta-norm">deltaNorm of all latents</h2>
          {columns.isError ? (
            <Failure error={columns.error} />
          ) : (
            <DeltaNormHistogram {...props} list={list} isListed={columns.isSuccess} />
          )}
          <div className="pair-of-counts">
            <section aria-labelledby="counts">
              <h3 id="counts">Latents by class and claim</h3>
              <PartOf part={data.counts}>{(counts) => <Counts counts={counts} query={props.query} />}</PartOf>
            </section>
            <section aria-labelledby="verdicts">
              <h3 id="verdicts">Verdicts</h3>
              <PartOf part={data.verdicts}>
                {(verdicts) => <Counts counts={verdicts} query={props.query} column="verdict" />}
              </PartOf>
            </section>
          </div>
        </section>
      </div>
      <section aria-labelledby="scatter">
        <h2 id="scatter">nuReconstruction and nuError of all latents</h2>
        {columns.isSuccess && <NuScatter {...props} list={list} thresholds={data.thresholds ?? null} />}
      </section>
      <div className="two">
        <section aria-labelledby="certainty">
          <h2 id="certainty">How sure</h2>
          <h3>False claims to expect</h3>
          <PartOf part={data.nulls}>{(nulls) => <Nulls nulls={nulls} />}</PartOf>
          <h3>Found again in other dictionaries</h3>
          <PartOf part={data.stability}>
            {(s) => (
              <p>
                Of {formatAmount(s.claims, "claim")}, {formatCount(s.foundInAll)} are found again in all of{" "}
                {formatAmount(s.others, "other dictionary").replace("dictionarys", "dictionaries")}, and{" "}
                {formatCount(s.claimedInAll)} are claimed there too.
              </p>
            )}
          </PartOf>
          {(data.truth.state === "made" || data.truth.command !== "") && (
            <>
              <h3>Against the planted truth</h3>
              <PartOf part={data.truth}>
                {(truth) => (
                  <p>
                    {formatCount(truth.found)} of {formatCount(truth.planted)} planted behaviours found:
                    recall {formatFixed(truth.recall)}, precision {formatFixed(truth.precisionWithTemplate)},
                    and with shuffled labels recall {formatFixed(truth.permutedRecall)}.
                  </p>
                )}
              </PartOf>
            </>
          )}
          <h3>At a glance, without a dictionary</h3>
          <PartOf part={data.glance}>
            {(glance) => (
              <ul>
                {glance.findings.map((finding) => (
                  <li key={finding}>{finding}</li>
                ))}
              </ul>
            )}
          </PartOf>
        </section>
        <section aria-labelledby="causal">
          <h2 id="causal">What the latents do to the answers</h2>
          <PartOf part={data.causal}>{(causal) => <CausalBars causal={causal} query={props.query} />}</PartOf>
        </section>
      </div>
    </div>
  );
}

function Masthead({ overview: { pair } }: { overview: Overview }): ReactNode {
  return (
    <header className="masthead">
      <h1>
        <span className="sided base">
          <SideMark side="base" /> {pair.base}
        </span>{" "}
        <i>against</i>{" "}
        <span className="sided finetuned">
          <SideMark side="finetuned" /> {pair.finetuned}
        </span>
      </h1>
      <p className="note">
        Residual after block {pair.layer.base}
        {pair.layer.finetuned !== pair.layer.base && ` of the base, ${pair.layer.finetuned} of the fine-tune`}
      </p>
    </header>
  );
}

function Findings({
  findings,
  counts,
  query,
}: ScreenProps & { findings: Finding[]; counts: Overview["counts"] }): ReactNode {
  if (findings.length === 0) {
    if (counts.state !== "made") return <MissingPart part={counts} />;
    return (
      <Empty>No latent qualifies as a finding: nothing here is both specific to one model and sure.</Empty>
    );
  }
  return (
    <>
      <p className="note">
        Claims whose verdict is genuine; those that do most to the answers first, where that was measured,
        else the most specific.
      </p>
      <ol className="findings">
        {findings.map((finding) => (
          <li key={finding.latent}>
            <p>
              {finding.text}{" "}
              <Link to={queryOf(query, "latent", { latent: String(finding.latent) })}>
                latent {finding.latent}
              </Link>
            </p>
            <p className="note">
              {finding.effect.name} {formatNumber(finding.effect.value)}
              {finding.interval !== null &&
                ` (95 % limits ${formatFixed(finding.interval.low, 3)} to ${formatFixed(finding.interval.high, 3)})`}
              {finding.q !== null && ` · q ${formatNumber(finding.q)}`}
              {finding.foundAgain !== null &&
                ` · found again in ${finding.foundAgain.n} of ${finding.foundAgain.m} other dictionaries`}
            </p>
          </li>
        ))}
      </ol>
    </>
  );
}

function Fit({ fit }: { fit: Extract<Overview["fit"], { state: "made" }>["value"] }): ReactNode {
  const figures: [string, string, string][] = [
    ["FVE, both models", formatFixed(fit.fve.total, 3), "of the variance explained"],
    ["FVE, base", formatFixed(fit.fve.base, 3), ""],
    ["FVE, finetuned", formatFixed(fit.fve.finetuned, 3), ""],
    ["L0", formatFixed(fit.l0, 1), "latents fire at a token"],
    ["dead", formatPercent(fit.deadFraction), `of ${formatCount(fit.nLatents)} latents`],
    ["measured on", formatCount(fit.nRows), `held-out tokens of ${formatAmount(fit.nDocuments, "document")}`],
  ];
  return (
    <dl className="figures">
      {figures.map(([name, value, more]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <b>{value}</b> <span>{more}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The counts of the measurement by the words that the table's columns have for them. */
const COUNTED: Record<string, { column: string; word: string }> = {
  baseOnly: { column: "latentClass", word: "base-only" },
  finetunedOnly: { column: "latentClass", word: "finetuned-only" },
  shared: { column: "latentClass", word: "shared" },
  other: { column: "latentClass", word: "other" },
  finetunedSpecific: { column: "claim", word: "finetuned-specific" },
  baseSpecific: { column: "claim", word: "base-specific" },
};

/** column: of the table, whose words the names are; absent: COUNTED says it. */
function Counts(options: {
  counts: Record<string, number>;
  query: URLSearchParams;
  column?: string;
}): ReactNode {
  const { counts, query } = options;
  return (
    <table className="counts">
      <tbody>
        {Object.entries(counts)
          .filter(([name]) => name !== "")
          .map(([name, count]) => {
            const { column, word } =
              options.column !== undefined
                ? { column: options.column, word: name }
                : (COUNTED[name] ?? { word: name });
            return (
              <tr key={name}>
                <th scope="row">
                  <SidedWords words={word} />
                </th>
                <td>
                  {column === undefined ? (
                    formatCount(count)
                  ) : (
                    <Link
                      to={queryOf(query, "latents", { is: joinParts([column, word]), sort: "-deltaNorm" })}
                      aria-label={`${formatCount(count)} latents: ${word}`}
                    >
                      {formatCount(count)}
                    </Link>
                  )}
                </td>
              </tr>
            );
          })}
      </tbody>
    </table>
  );
}

function Nulls({ nulls }: { nulls: Extract<Overview["nulls"], { state: "made" }>["value"] }): ReactNode {
  const { expectedFalseClaims: expected } = nulls;
  return (
    <>
      <p>
        A pair that learned nothing makes {formatNumber(expected.finetuned)} finetuned-specific and{" "}
        {formatNumber(expected.base)} base-specific claims ({formatAmount(nulls.draws, "null pair")}).
      </p>
      <table className="counts">
        <caption>Claims whose q is at most</caption>
        <thead>
          <tr>
            <th scope="col">q</th>
            <th scope="col">finetuned</th>
            <th scope="col">base</th>
          </tr>
        </thead>
        <tbody>
          {nulls.claimsUpTo.map(({ q, finetuned, base }) => (
            <tr key={q}>
              <th scope="row">{formatNumber(q)}</th>
              <td>{formatCount(finetuned)}</td>
              <td>{formatCount(base)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
