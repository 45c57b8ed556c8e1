// The two labs' runs in this page, one list a dictionary, and the hook that reads it.

import { useSyncExternalStore } from "react";
import type {
  LabProgress,
  PromptEvent,
  PromptReading,
  PromptRequest,
  SteerEvent,
  SteerRequest,
} from "../../../src/dashboard/api-contract.ts";
import { askPrompt, askSteer, type DictionaryPlace } from "../api.ts";
import { createLabRuns, type LabRun, type LabRuns } from "./lab-runs.ts";
import { EMPTY_STEER, mergeSteerEvent, type SteerResult } from "./steer-result.ts";

export type PromptRun = LabRun<PromptRequest, PromptReading | null>;
export type SteerRun = LabRun<SteerRequest, SteerResult>;

const promptStores = new Map<string, LabRuns<PromptRequest, PromptReading | null>>();
const steerStores = new Map<string, LabRuns<SteerRequest, SteerResult>>();

export function promptRuns(place: DictionaryPlace): LabRuns<PromptRequest, PromptReading | null> {
  return storeOf(promptStores, place, () =>
    createLabRuns<PromptRequest, Exclude<PromptEvent, LabProgress>, PromptReading | null>({
      ask: (request, signal) => askPrompt(place, request, signal),
      empty: null,
      merge: (_, { reading }) => reading,
      isLast: () => true,
    }),
  );
}

export function steerRuns(place: DictionaryPlace): LabRuns<SteerRequest, SteerResult> {
  return storeOf(steerStores, place, () =>
    createLabRuns<SteerRequest, Exclude<SteerEvent, LabProgress>, SteerResult>({
      ask: (request, signal) => askSteer(place, request, signal),
      empty: EMPTY_STEER,
      merge: mergeSteerEvent,
      isLast: ({ kind }) => kind === "done",
    }),
  );
}

function storeOf<T>(stores: Map<string, T>, { study, dictionary }: DictionaryPlace, make: () => T): T {
  const key = `${study}/${dictionary}`;
  const store = stores.get(key) ?? make();
  stores.set(key, store);
  return store;
}

/** The runs, newest first; drawn again some times a second while events come. */
export function useRuns<Q, R>(runs: LabRuns<Q, R>): readonly LabRun<Q, R>[] {
  return useSyncExternalStore(runs.subscribe, runs.list);
}
