// The prompt lab: a chat or a text is read by both models, and each token says which latents fire and what either model expects next.
//
// The address holds the text (labs/prompt-state.ts), the pins and the token under the cursor; readings stay in this page
// (labs/lab-runs.ts), because each costs two passes of two models.

import "../labs/labs.css";
import { type FormEvent, type ReactNode, useMemo, useState } from "react";
import type { PromptReading } from "../../../src/dashboard/api-contract.ts";
import { saveFile } from "../charts/save-svg.ts";
import { formatFixed } from "../format.ts";
import { ChoiceField, NumberField } from "../labs/field-number.tsx";
import { FiredLatents } from "../labs/fired-latents.tsx";
import { KeptNote } from "../labs/kept-note.tsx";
import { LAB_FIGURES, LAB_LIMITS } from "../labs/lab-limits.ts";
import { LabGate, LabModelsNote, templateFault, useLabModels } from "../labs/lab-models.tsx";
import { promptFault } from "../labs/lab-prompt.ts";
import { type PromptRun, promptRuns, useRuns } from "../labs/lab-stores.ts";
import { LatentSearch } from "../labs/latent-search.tsx";
import { boundedInteger } from "../labs/parse-numbers.ts";
import { PinLegend } from "../labs/pin-legend.tsx";
import { PromptEditor } from "../labs/prompt-editor.tsx";
import { parsePromptState, promptRequest, togglePin, withPromptState } from "../labs/prompt-state.ts";
import { fullKl, greatestKl } from "../labs/reading-layout.ts";
import { ReadingTable } from "../labs/reading-table.tsx";
import { ReadingText } from "../labs/reading-text.tsx";
import { RunBar, StaleNote } from "../labs/run-bar.tsx";
import { RunList } from "../labs/run-list.tsx";
import { TokenPanel } from "../labs/token-panel.tsx";
import { useLabState } from "../labs/use-lab-state.ts";
import { useLatentFacts } from "../labs/use-latent-facts.ts";
import { queryOf } from "../location.ts";
import { TokenChip } from "../parts/token.tsx";
import type { ScreenProps } from "../shell.tsx";

const FORM = {
  parse: (query: URLSearchParams) => parsePromptState(query, window.sessionStorage),
  write: (query: URLSearchParams, state: ReturnType<typeof parsePromptState>) =>
    withPromptState(query, state, window.sessionStorage),
};
/** Tokens of greatest KL that are named. */
const NAMED_TOKENS = 5;
const parseTokens = (text: string): number | null => boundedInteger(text, [1, LAB_LIMITS.labTokens]);

export function PromptLabScreen(props: ScreenProps): ReactNode {
  return (
    <article className="lab">
      <h1>Prompt lab</h1>
      <p className="note">
        Both models read a text; every token says which latents fire at it and what either model expects next.
      </p>
      <LabGate>{() => <Lab {...props} />}</LabGate>
    </article>
  );
}

function Lab({ place, dictionary, query }: ScreenProps): ReactNode {
  const { state, change, settle } = useLabState(query, FORM);
  const facts = useLatentFacts(place, dictionary);
  const store = promptRuns(place);
  const runs = useRuns(store);
  const request = promptRequest(state);
  // Coming back to the screen shows the run that the address asks for.
  const [shownId, setShownId] = useState(
    () => runs.find((run) => questionOf(run.request) === questionOf(request))?.id ?? null,
  );
  const shown = runs.find(({ id }) => id === shownId) ?? runs[0];
  const models = useLabModels(place, runs[0]?.state);
  const fault =
    promptFault(state.prompt, { isAnswered: state.answer !== "none" }) ||
    templateFault([state.prompt], models);
  const run = (event: FormEvent): void => {
    event.preventDefault();
    if (fault !== "") return;
    settle();
    setShownId(store.start(request));
  };
  const goBackTo = ({ id, request: { prompt, answer, maxNewTokens } }: PromptRun): void => {
    setShownId(id);
    change({ prompt, answer, maxNewTokens, at: null });
  };
  const reading = shown?.result ?? null;
  const onPin = (latent: number): void => change(togglePin(state, latent));
  const pinned = useMemo(() => new Set(state.pins), [state.pins]);
  return (
    <>
      <form className="lab-form" onSubmit={run}>
        <PromptEditor
          legend="Text"
          prompt={state.prompt}
          onChange={(prompt) => change({ prompt, at: null })}
        />
        <KeptNote where={state.where} query={query} />
        <div className="filters">
          <ChoiceField
            label="Answered first by"
            value={state.answer}
            choices={[
              ["none", "nobody: read as it is"],
              ["base", "base"],
              ["finetuned", "finetuned"],
            ]}
            onChange={(answer) => change({ answer })}
          />
          {state.answer !== "none" && (
            <NumberField
              label="longest answer, tokens"
              value={state.maxNewTokens}
              parse={parseTokens}
              write={String}
              onChange={(maxNewTokens) => change({ maxNewTokens })}
            />
          )}
          <LatentSearch
            label="Pin a latent"
            facts={facts}
            without={pinned}
            isFull={state.pins.length >= LAB_LIMITS.labLatents}
            onPick={onPin}
          />
        </div>
        <LabModelsNote models={models} />
        <RunBar verb="Read" fault={fault} run={runs[0]} onCancel={() => store.cancel(runs[0].id)} />
      </form>
      <RunList runs={runs} shown={shown?.id} titleOf={({ prompt }) => [prompt]} onPick={goBackTo} />
      {reading !== null && (
        <>
          <StaleNote isStale={shown !== undefined && questionOf(shown.request) !== questionOf(request)} />
          <Reading {...{ reading, query, state, onPin, change }} key={shown?.id} />
        </>
      )}
    </>
  );
}

/** What a reading is of; pins are a matter of looking. */
const questionOf = ({ prompt, answer, maxNewTokens }: PromptRun["request"]): string =>
  JSON.stringify([prompt, answer, answer === "none" ? 0 : maxNewTokens]);

function Reading(options: {
  reading: PromptReading;
  query: URLSearchParams;
  state: ReturnType<typeof parsePromptState>;
  onPin: (latent: number) => void;
  change: (part: Partial<ReturnType<typeof parsePromptState>>) => void;
}): ReactNode {
  const { reading, query, state, onPin, change } = options;
  const { pins, shade, at } = state;
  const read = useMemo(() => new Map(reading.latents.map((latent) => [latent.latent, latent])), [reading]);
  const pinned = useMemo(
    () => pins.map((pin) => read.get(pin)).filter((latent) => latent !== undefined),
    [pins, read],
  );
  const strips = useMemo(
    () => pinned.filter(({ latent, max }) => latent !== shade && max > 0).slice(0, LAB_FIGURES.strips),
    [pinned, shade],
  );
  const onAt = (token: number | null): void => change({ at: token });
  const latentQuery = (latent: number): URLSearchParams =>
    queryOf(query, "latent", { latent: String(latent) });
  const greatest = greatestKl(reading.kl, NAMED_TOKENS);
  const isThere = at !== null && at < reading.tokens.length;
  return (
    <>
      {reading.warnings.length > 0 && (
        <div className="warnings">
          {reading.warnings.map((warning) => (
            <p key={warning}>{warning}</p>
          ))}
        </div>
      )}
      <section aria-labelledby="reading">
        <h2 id="reading">The text, token by token</h2>
        {greatest.length > 0 && (
          <p className="note greatest">
            The models differ most after{" "}
            {greatest.map((token) => (
              <button key={token} type="button" className="quiet" onClick={() => onAt(token)}>
                <span className="hidden">token {token + 1}: </span>
                <TokenChip token={reading.tokens[token]} /> {formatFixed(reading.kl[token], 2)}
              </button>
            ))}
          </p>
        )}
        <PinLegend
          {...{ pins, read, shade, strips, latentQuery }}
          full={fullKl(reading.kl)}
          onShade={(latent) => change({ shade: latent })}
          onUnpin={onPin}
        />
        <div className="reading">
          <ReadingText
            {...{ reading, strips, onAt }}
            at={isThere ? at : null}
            shade={shade === null ? undefined : read.get(shade)}
          />
          <aside
            className={isThere ? "token-panel" : "token-panel empty"}
            aria-label="The token under the cursor"
          >
            <TokenPanel {...{ reading, at, pins, onPin, onAt, latentQuery }} />
          </aside>
        </div>
        <ReadingTable reading={reading} pinned={pinned} />
        <button
          type="button"
          onClick={() =>
            saveFile(new Blob([JSON.stringify(reading)], { type: "application/json" }), "reading.json")
          }
        >
          Save the reading as JSON
        </button>
      </section>
      <section aria-labelledby="fired">
        <h2 id="fired">Latents that fire</h2>
        <FiredLatents {...{ reading, pins, onPin, onAt, latentQuery }} />
      </section>
    </>
  );
}
