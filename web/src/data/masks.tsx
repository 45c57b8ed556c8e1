// What becomes of each row: trained on, measured, kept for the test, or left out and why; in words and counts.

import type { ReactNode } from "react";
import type { DataPage, HarvestFacts } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { MissingPart } from "../parts/states.tsx";
import { showInvisible } from "../visible-text.ts";

export function Masks({ page }: { page: DataPage }): ReactNode {
  const { trained, measured } = page;
  return (
    <>
      <p className="prose">
        A row is one token of one document, read by both models. The dictionary learns from rows of the split{" "}
        <b>train</b>; every number of its latents is of rows of <b>heldout</b>; <b>test</b> rows are kept for
        scores against planted truth. Two kinds of rows are left out of training and of measuring alike: the{" "}
        <b>BOS</b> token, which is the same in every document, and <b>norm outliers</b>, whose activation is
        many times longer than the ordinary at any site. A few such rows would decide the loss and the FVE.
        All other rows count, template tokens, too.
      </p>
      <ScrollRegion className="scroll" label="Rows that count">
        <table className="counts">
          <caption>Rows that count, and those left out</caption>
          <thead>
            <tr>
              <th scope="col">for</th>
              <th scope="col">rows that count</th>
              <th scope="col">BOS, left out</th>
              <th scope="col">outliers, left out</th>
              <th scope="col">share left out</th>
            </tr>
          </thead>
          <tbody>
            {(
              [
                ["training", trained],
                ["measuring", measured],
              ] as const
            ).map(
              ([name, part]) =>
                part.state === "made" && (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    <td>{formatCount(part.value.nRows)}</td>
                    <td>{formatCount(part.value.nBosRows)}</td>
                    <td>{formatCount(part.value.nOutlierRows)}</td>
                    <td>{formatPercent(leftOutShare(part.value))}</td>
                  </tr>
                ),
            )}
          </tbody>
        </table>
      </ScrollRegion>
      {trained.state !== "made" && <MissingPart part={trained} />}
      {measured.state !== "made" && <MissingPart part={measured} />}
    </>
  );
}

function leftOutShare(rows: { nRows: number; nBosRows: number; nOutlierRows: number }): number {
  const leftOut = rows.nBosRows + rows.nOutlierRows;
  return leftOut / (rows.nRows + leftOut);
}

/** Names of the harvest's counts, in words. */
const COUNT_WORDS: Readonly<Record<string, string>> = {
  documents: "documents kept",
  rows: "rows",
  duplicates: "documents left out: the same as an earlier one",
  empty: "documents left out: no text",
  refused: "chats left out: the template refused them",
  truncated: "documents cut at the longest length",
  neutralisedControlTokens: "control tokens inside content, kept as ordinary text",
  chatsWithoutBos: "chats whose template writes no BOS",
  chatsWithTwoBos: "chats that would have begun with two BOS",
  droppedMessages: "messages left out by the template",
  datedChats: "chats in which the template wrote a date",
  replacedTokens: "tokens that the base read as another id",
};

export function Harvest({ harvest }: { harvest: HarvestFacts }): ReactNode {
  const { maxTokens, skipFirst, nBaseReplacements, counts, warnings } = harvest;
  const sentences = [
    maxTokens !== null && `Documents are cut after ${formatAmount(maxTokens, "token")}.`,
    skipFirst !== null &&
      (skipFirst === 0
        ? "No token at the start of a document is passed over."
        : `The first ${formatAmount(skipFirst, "token")} of each document are read and not kept.`),
    nBaseReplacements !== null &&
      (nBaseReplacements === 0
        ? "Both models read the same token ids."
        : `The base reads ${formatAmount(nBaseReplacements, "other id")} in place of the fine-tune’s.`),
  ].filter((sentence) => sentence !== false);
  return (
    <>
      <p className="prose">{sentences.join(" ")}</p>
      <table className="counts">
        <tbody>
          {Object.entries(counts)
            .filter(([, count]) => count > 0)
            .map(([name, count]) => (
              <tr key={name}>
                <th scope="row">{COUNT_WORDS[name] ?? name}</th>
                <td>{formatCount(count)}</td>
              </tr>
            ))}
        </tbody>
      </table>
      {warnings.length > 0 && (
        <ul className="note">
          {warnings.map((warning) => (
            <li key={warning}>{showInvisible(warning)}</li>
          ))}
        </ul>
      )}
    </>
  );
}
