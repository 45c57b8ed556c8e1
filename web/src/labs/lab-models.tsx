// What the labs can do with this study's models, asked before anything is loaded: whether they are there, in memory, or busy.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { LabPrompt, LabState } from "../../../src/dashboard/api-contract.ts";
import { type DictionaryPlace, readLabState } from "../api.ts";
import { formatAmount, formatCount } from "../format.ts";
import { Failure } from "../parts/states.tsx";
import { FRESH_MS, useSession } from "../queries.ts";
import { RequestError } from "../request-error.ts";

/** The lab, or why there is none and what gives one. */
export function LabGate({ children }: { children: () => ReactNode }): ReactNode {
  const session = useSession();
  if (!session.isSuccess) return null; // the frame says it
  const { labs } = session.data;
  if (labs.state === "made") return children();
  return (
    <div className="state missing">
      <p>
        <b>
          {labs.words.charAt(0).toUpperCase()}
          {labs.words.slice(1)}.
        </b>
      </p>
      {labs.command !== "" && (
        <p>
          Start the server again with <code>{labs.command}</code>
        </p>
      )}
    </div>
  );
}

export type LabModels = { state: LabState | undefined; error: Error | null; refetch: () => void };

/** runState: of the newest run; asked anew when it changes. */
export function useLabModels(place: DictionaryPlace, runState: string | undefined): LabModels {
  const { data, error, refetch } = useQuery({
    queryKey: [place.study, place.dictionary, "labs", runState],
    queryFn: () => readLabState(place),
    staleTime: FRESH_MS.session,
    refetchOnWindowFocus: true,
    placeholderData: keepPreviousData,
  });
  return { state: data, error, refetch };
}

const MODEL_WORDS: Record<LabState["models"], string> = {
  closed: "Both models are loaded for the first question.",
  open: "The models are loaded.",
  busy: "The models are at work on a question.",
};

export function LabModelsNote({ models }: { models: LabModels }): ReactNode {
  const { state, error, refetch } = models;
  // A server that does not answer is said by the run that it ends.
  const isAway = error instanceof RequestError && error.status === 0;
  if (error !== null && !isAway) return <Failure error={error} retry={refetch} />;
  if (state === undefined) return null;
  return (
    <p className="note">
      {MODEL_WORDS[state.models]} They read {formatCount(state.contextTokens)} tokens at most, the answer
      included.
      {state.waiting > 0 && ` ${formatAmount(state.waiting, "question")} waiting.`}
      {!state.hasChatTemplate && " They have no chat template, so they read plain text alone."}
    </p>
  );
}

/** Why these models cannot read such prompts; "" when they can, or it is not known yet. */
export function templateFault(prompts: readonly LabPrompt[], { state }: LabModels): string {
  const isChat = prompts.some((prompt) => "messages" in prompt);
  return state?.hasChatTemplate === false && isChat
    ? "These models have no chat template: choose plain text as the kind."
    : "";
}
