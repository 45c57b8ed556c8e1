// The data: which text the study stands on, what is trained on and measured and what is left out, and the documents themselves.

import "../data/data.css";
import type { ReactNode } from "react";
import type { DataPage, StoreFacts } from "../../../src/dashboard/api-contract.ts";
import { CountBars } from "../data/count-bars.tsx";
import { DocumentText } from "../data/document-text.tsx";
import { Documents } from "../data/documents.tsx";
import { Harvest, Masks } from "../data/masks.tsx";
import { formatCount, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { Failure, Loading, PartOf } from "../parts/states.tsx";
import { SideMark } from "../parts/token.tsx";
import { useData } from "../queries.ts";
import type { ScreenProps } from "../shell.tsx";
import { showInvisible } from "../visible-text.ts";

const MEASURED_CAPTIONS: Readonly<Record<string, string>> = {
  role: "By role",
  dataset: "By dataset",
  slot: "By template slot",
  positionDecile: "By tenth of the document",
};

export function DataScreen({ place, query }: ScreenProps): ReactNode {
  const data = useData(place);
  if (data.isPending) return <Loading what="the data" />;
  if (data.isError) return <Failure error={data.error} retry={() => data.refetch()} />;
  const { store, harvest } = data.data;
  return (
    <div className="data">
      <h1>Data</h1>
      <PartOf part={store}>{(facts) => <Store facts={facts} />}</PartOf>
      <section aria-labelledby="masks">
        <h2 id="masks">What is trained on, what is measured, and what is not</h2>
        <Masks page={data.data} />
        <Measured measured={data.data.measured} />
      </section>
      {harvest !== null && (
        <section aria-labelledby="harvest">
          <h2 id="harvest">How text became rows</h2>
          <Harvest harvest={harvest} />
        </section>
      )}
      {store.state === "made" && (
        <>
          <section aria-labelledby="documents">
            <h2 id="documents">Documents</h2>
            <Documents place={place} query={query} store={store.value} />
          </section>
          {query.has("document") && (
            <section aria-labelledby="document">
              <h2 id="document">Document {showInvisible(query.get("document") ?? "")}</h2>
              <DocumentText place={place} query={query} nDocuments={store.value.nDocuments} />
            </section>
          )}
        </>
      )}
    </div>
  );
}

function Store({ facts }: { facts: StoreFacts }): ReactNode {
  const figures: [string, string][] = [
    ["rows", formatCount(facts.nRows)],
    ["documents", formatCount(facts.nDocuments)],
    ["rows a document", formatCount(facts.nRows / facts.nDocuments)],
    ["both models’ predictions", facts.hasOutputs ? "stored" : "not stored"],
  ];
  return (
    <>
      <dl className="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <b>{value}</b>
            </dd>
          </div>
        ))}
      </dl>
      {!facts.hasOutputs && (
        <p className="note">
          KL and next tokens beside the examples need both models’ predictions:{" "}
          <code>store: outputs: true</code> in study.yaml, then <code>tunediff run</code>.
        </p>
      )}
      <section aria-labelledby="rows">
        <h2 id="rows">Rows</h2>
        <div className="tiles">
          <CountBars caption="By split" list={facts.splits} />
          <CountBars caption="By dataset" list={facts.datasets} />
          <CountBars caption="By role" list={facts.roles} />
          <CountBars caption="By template slot; “none” is a row of text" list={facts.slots} />
        </div>
      </section>
      <section aria-labelledby="sites">
        <h2 id="sites">Where activations were taken</h2>
        <ScrollRegion className="scroll" label="Sites">
          <table className="counts">
            <thead>
              <tr>
                <th scope="col">site</th>
                <th scope="col" className="words">
                  model
                </th>
                <th scope="col">after block</th>
                <th scope="col">width</th>
                <th scope="col">stored as</th>
                <th scope="col">rounding error</th>
              </tr>
            </thead>
            <tbody>
              {facts.sites.map(({ name, model, layer, width, dtype, roundingErrorRelative }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td className="words">
                    {(model === "base" || model === "finetuned") && <SideMark side={model} />} {model}
                  </td>
                  <td>{formatCount(layer)}</td>
                  <td>{formatCount(width)}</td>
                  <td>{dtype}</td>
                  <td>
                    {roundingErrorRelative === null ? "not known" : formatPercent(roundingErrorRelative, 2)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
        <p className="note">
          Rounding error: what storing loses, as a share of the models’ difference over all rows (ratio of
          norms).
        </p>
      </section>
    </>
  );
}

function Measured({ measured }: { measured: DataPage["measured"] }): ReactNode {
  if (measured.state !== "made") return null;
  return (
    <>
      <h3>Rows that are measured</h3>
      <div className="tiles">
        {Object.entries(measured.value.rows).map(([kind, list]) => (
          <CountBars
            key={kind}
            caption={MEASURED_CAPTIONS[kind] ?? kind}
            list={kind === "positionDecile" ? list.map(tenth) : list}
            inOrder={kind === "positionDecile"}
          />
        ))}
      </div>
    </>
  );
}

const tenth = ({ name, rows }: { name: string; rows: number }): { name: string; rows: number } => ({
  name: `tenth ${Number(name) + 1}`,
  rows,
});
