// The answers of a run side by side: untouched and pushed, word differences, figures, what is degenerate; saved as JSON or CSV.

import { type ReactNode, useMemo, useState } from "react";
import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { saveFile } from "../charts/save-svg.ts";
import { formatAmount, formatCount, formatNumber, formatPercent } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { SideMark } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { LAB_FIGURES } from "./lab-limits.ts";
import { promptTitle } from "./lab-prompt.ts";
import type { SteerRun } from "./lab-stores.ts";
import {
  ARMS,
  answerKey,
  armsOf,
  plainOf,
  type SteerAnswer,
  steerCsv,
  steerJson,
  summariseArms,
} from "./steer-result.ts";
import { diffWords, shareKept } from "./word-diff.ts";

export function SteerAnswers(options: { run: SteerRun; study: string; dictionary: string }): ReactNode {
  const { run, study, dictionary } = options;
  const { request, result, state } = run;
  const [isDiff, setIsDiff] = useState(true);
  const arms = armsOf(request.models);
  const save = (format: "json" | "csv"): void => {
    const text =
      format === "json"
        ? steerJson(result, request, { study, dictionary, state })
        : steerCsv(result, request);
    const type = format === "json" ? "application/json" : "text/csv";
    saveFile(new Blob([text], { type }), `steering-${run.id}.${format}`);
  };
  return (
    <section aria-labelledby="answers" className="steer-answers">
      <h2 id="answers">Answers</h2>
      <div className="bar">
        <label>
          <input type="checkbox" checked={isDiff} onChange={(event) => setIsDiff(event.target.checked)} />{" "}
          mark what the push changes: <ins>new words</ins>, <del>lost words</del>
        </label>
        {result.answers.size > 0 &&
          (["json", "csv"] as const).map((format) => (
            <button key={format} type="button" onClick={() => save(format)}>
              Save as {format.toUpperCase()}
            </button>
          ))}
      </div>
      {result.warnings.length > 0 && (
        <div className="warnings">
          {result.warnings.map((warning) => (
            <p key={warning}>{warning}</p>
          ))}
        </div>
      )}
      {request.prompts.length * request.seeds.length > 1 && <Summary run={run} />}
      {request.prompts.map((prompt, i) =>
        request.seeds.map((seed) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a prompt's place is what it is
          <section key={`${i} ${seed}`} className="question" aria-label={`Prompt ${i + 1}, seed ${seed}`}>
            <h3>
              <bdi>{showInvisible(promptTitle(prompt))}</bdi>{" "}
              <span className="note">
                {request.prompts.length > 1 && `prompt ${i + 1}, `}
                {request.temperature === 0 ? "greedy" : `seed ${seed}`}
              </span>
            </h3>
            {seed === request.seeds[0] && <Asked prompt={prompt} />}
            <div className={`arms of-${arms.length}`}>
              {arms.map(({ arm, side, plain }) => (
                <Answer
                  key={arm}
                  {...{ arm, side }}
                  answer={result.answers.get(answerKey({ arm, prompt: i, seed }))}
                  plain={isDiff ? plainOf(result.answers, { prompt: i, seed }, plain) : undefined}
                  isPushed={plain !== null}
                  isRunning={state === "running"}
                  isWriting={state === "running" && result.writing === arm}
                  maxNewTokens={request.maxNewTokens}
                />
              ))}
            </div>
          </section>
        )),
      )}
    </section>
  );
}

/** The whole prompt where its heading is not all of it. */
function Asked({ prompt }: { prompt: LabPrompt }): ReactNode {
  const isWhole = "messages" in prompt && prompt.messages.length === 1 && !promptTitle(prompt).endsWith("…");
  if (isWhole) return null;
  return (
    <details>
      <summary>The whole prompt</summary>
      {"text" in prompt ? (
        <p className="answer-text">{prompt.text}</p>
      ) : (
        prompt.messages.map(({ role, content }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a turn's place is what it is
          <p className="answer-text" key={i}>
            <span className="note">{role}</span> {content}
          </p>
        ))
      )}
    </details>
  );
}

function Answer(options: {
  arm: string;
  side: (typeof ARMS)[number]["side"];
  answer: SteerAnswer | undefined;
  /** The untouched answer to compare with. */
  plain: SteerAnswer | undefined;
  isPushed: boolean;
  isRunning: boolean;
  isWriting: boolean;
  maxNewTokens: number;
}): ReactNode {
  const { arm, side, answer, plain, isPushed, isRunning, isWriting, maxNewTokens } = options;
  const isCompared = answer?.isWhole === true && plain?.isWhole === true;
  const compared = useMemo(
    () => (isCompared ? diffWords(plain.text, answer.text) : null),
    [isCompared, plain, answer],
  );
  const isOther = compared !== null && shareKept(compared) < LAB_FIGURES.keptWords;
  const parts = isOther ? null : compared;
  return (
    <div className={`arm${isPushed ? " pushed" : ""}`}>
      <h4>
        <SideMark side={side} /> {arm}
      </h4>
      {answer === undefined ? (
        <p className="note">{isRunning ? "waiting…" : "no answer came"}</p>
      ) : (
        <>
          <p className="answer-text">
            {parts === null
              ? showAnswer(answer.text)
              : parts.map(({ kind, text }, i) => {
                  const words = showAnswer(text);
                  // biome-ignore-start lint/suspicious/noArrayIndexKey: parts have no other name
                  if (kind === "added") return <ins key={i}>{words}</ins>;
                  return kind === "removed" ? <del key={i}>{words}</del> : <span key={i}>{words}</span>;
                  // biome-ignore-end lint/suspicious/noArrayIndexKey: as above
                })}
            {answer.isWhole && answer.text === "" && <span className="note">(empty)</span>}
            {!answer.isWhole && isWriting && <span className="cursor" aria-hidden="true" />}
          </p>
          <p className="note">
            {answer.isWhole ? (
              <>
                {isOther && "other words than untouched · "}
                {isCompared && plain.text === answer.text && "the same as untouched · "}
                {formatAmount(answer.tokens, "token")}
                {answer.tokens >= maxNewTokens && ", cut there"} · perplexity{" "}
                {formatNumber(answer.perplexity)} · repetition {formatPercent(answer.repetition, 0)}
              </>
            ) : isWriting ? (
              "being written"
            ) : isRunning ? (
              "written; its figures follow"
            ) : (
              "not whole"
            )}
          </p>
          {answer.degenerate !== "" && (
            <p className="degenerate">
              <b>Degenerate:</b> {answer.degenerate}
            </p>
          )}
        </>
      )}
    </div>
  );
}

/** Newlines stay newlines; other unseen characters are written out. */
function showAnswer(text: string): string {
  return text
    .split("\n")
    .map((line) => showInvisible(line))
    .join("\n");
}

function Summary({ run: { result, request } }: { run: SteerRun }): ReactNode {
  const summaries = useMemo(() => summariseArms(result, request.models), [result, request.models]);
  return (
    <ScrollRegion className="scroll" label="The arms in figures">
      <table className="counts arm-figures">
        <thead>
          <tr>
            <td />
            <th scope="col">answers</th>
            <th scope="col">other than untouched</th>
            <th scope="col">degenerate</th>
            <th scope="col">median perplexity</th>
          </tr>
        </thead>
        <tbody>
          {summaries.map(({ arm, answers, changed, degenerate, perplexity }) => (
            <tr key={arm}>
              <th scope="row">
                <SideMark side={ARMS.find((entry) => entry.arm === arm)!.side} /> {arm}
              </th>
              <td>{formatCount(answers)}</td>
              <td>{changed === null ? "–" : formatCount(changed)}</td>
              <td>{formatCount(degenerate)}</td>
              <td>{formatNumber(perplexity)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}
