// The steering lab: both models answer the same prompts, untouched and with latents pushed, side by side, with what changed made visible.
//
// The address holds the whole question (labs/steer-state.ts); answers stay in this page (labs/lab-runs.ts) and can be saved.

import "../labs/labs.css";
import { type FormEvent, type ReactNode, useState } from "react";
import type { SteerRequest } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatFixed } from "../format.ts";
import { KeptNote } from "../labs/kept-note.tsx";
import { LabGate, LabModelsNote, templateFault, useLabModels } from "../labs/lab-models.tsx";
import { type SteerRun, steerRuns, useRuns } from "../labs/lab-stores.ts";
import { RunBar, StaleNote } from "../labs/run-bar.tsx";
import { RunList } from "../labs/run-list.tsx";
import { SteerAnswers } from "../labs/steer-answers.tsx";
import { SteerLatents } from "../labs/steer-latents.tsx";
import { SteerPrompts, SteerSettings } from "../labs/steer-settings.tsx";
import {
  countAnswers,
  parseSteerState,
  type SteerState,
  steerFault,
  steerRequest,
  withSteerState,
} from "../labs/steer-state.ts";
import { useLabState } from "../labs/use-lab-state.ts";
import { useLatentFacts } from "../labs/use-latent-facts.ts";
import type { ScreenProps } from "../shell.tsx";

const FORM = {
  parse: (query: URLSearchParams) => parseSteerState(query, window.sessionStorage),
  write: (query: URLSearchParams, state: SteerState) => withSteerState(query, state, window.sessionStorage),
};

export function SteeringLabScreen(props: ScreenProps): ReactNode {
  return (
    <article className="lab">
      <h1>Steering lab</h1>
      <p className="note">
        Latents are added to the base and taken from the fine-tune while they answer, each beside the same
        model untouched.
      </p>
      <LabGate>{() => <Lab {...props} />}</LabGate>
    </article>
  );
}

function Lab({ place, study, dictionary, query }: ScreenProps): ReactNode {
  const { state, change, settle } = useLabState(query, FORM);
  const facts = useLatentFacts(place, dictionary);
  const store = steerRuns(place);
  const runs = useRuns(store);
  const request = steerRequest(state);
  // Coming back to the screen shows the run that the address asks for.
  const [shownId, setShownId] = useState(
    () => runs.find((run) => isSameQuestion(run.request, request))?.id ?? null,
  );
  const shown = runs.find(({ id }) => id === shownId) ?? runs[0];
  const models = useLabModels(place, runs[0]?.state);
  const fault = steerFault(state, dictionary.nLatents) || templateFault(state.prompts, models);
  const run = (event: FormEvent): void => {
    event.preventDefault();
    if (fault !== "") return;
    settle();
    setShownId(store.start(request));
  };
  const goBackTo = (former: SteerRun): void => {
    setShownId(former.id);
    change(former.request);
  };
  return (
    <>
      <form className="lab-form" onSubmit={run}>
        <SteerLatents {...{ state, change, facts, query }} />
        <SteerPrompts {...{ state, change }} />
        <KeptNote where={state.where} query={query} />
        <SteerSettings {...{ state, change }} />
        <LabModelsNote models={models} />
        <RunBar verb="Steer" fault={fault} run={runs[0]} onCancel={() => store.cancel(runs[0].id)}>
          {fault === "" && runs[0]?.state !== "running" && (
            <span className="note">makes {formatAmount(countAnswers(request), "answer")}</span>
          )}
        </RunBar>
      </form>
      <RunList
        runs={runs}
        shown={shown?.id}
        titleOf={({ prompts }) => prompts}
        detailOf={({ latents }) =>
          latents.map(({ latent, factor }) => `${latent} × ${formatFixed(factor, 1)}`).join(", ")
        }
        onPick={goBackTo}
      />
      {shown !== undefined && (
        <>
          <StaleNote isStale={!isSameQuestion(shown.request, request)} />
          <SteerAnswers key={shown.id} run={shown} study={study.title} dictionary={dictionary.name} />
        </>
      )}
    </>
  );
}

const isSameQuestion = (a: SteerRequest, b: SteerRequest): boolean => JSON.stringify(a) === JSON.stringify(b);
