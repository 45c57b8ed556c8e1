// The logs that the stream has brought so far, by dictionary: each event joins, or begins its log anew.

import type { TrainingEvent } from "../../../src/dashboard/api-contract.ts";

export type TrainingLog = Omit<TrainingEvent, "reset" | "study" | "dictionary">;
export type TrainingLogs = ReadonlyMap<string, TrainingLog>;

export function joinEvent(logs: TrainingLogs, event: TrainingEvent): TrainingLogs {
  const { study, dictionary, reset, state, nLines, lines, validations, passedSteps } = event;
  const key = `${study}/${dictionary}`;
  const last = reset ? undefined : logs.get(key);
  return new Map(logs).set(key, {
    ...{ state, nLines },
    lines: [...(last?.lines ?? []), ...lines],
    validations: [...(last?.validations ?? []), ...validations],
    passedSteps: [...(last?.passedSteps ?? []), ...passedSteps],
  });
}
