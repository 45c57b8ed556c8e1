// What the training screen shows, as the query part of the address says it: which dictionaries, which axes, how much smoothing.

import type { StudyEntry } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { joinParts, splitParts } from "../location.ts";

/** A dictionary whose training is shown. */
export interface Run {
  place: DictionaryPlace;
  /** STUDY/DICTIONARY. */
  key: string;
  title: string;
  /** Its study's title, where several studies are shown; else "". */
  detail: string;
  /** 1 … MOST_RUNS: its colour and dashes. */
  look: number;
}

/** Of one stream: the server's bound. */
export const MOST_RUNS = 8;
/** Memory of the smoothing in percent of the run. */
export const SMOOTHINGS = [0, 1, 5, 15] as const;

export interface TrainingView {
  axis: "step" | "tokens";
  isLog: boolean;
  /** One of SMOOTHINGS. */
  smoothing: number;
  /** Facts: only those that differ. */
  onlyDifferent: boolean;
}

export function viewOf(query: URLSearchParams): TrainingView {
  const smoothing = Number(query.get("smooth") ?? 0);
  return {
    axis: query.get("x") === "tokens" ? "tokens" : "step",
    isLog: query.get("y") === "log",
    smoothing: SMOOTHINGS.find((percent) => percent === smoothing) ?? 0,
    onlyDifferent: query.get("facts") === "different",
  };
}

export const keyOf = ({ study, dictionary }: DictionaryPlace): string => `${study}/${dictionary}`;

/** The dictionary of the address first, then those beside it that are served. */
export function runsOf(
  query: URLSearchParams,
  place: DictionaryPlace,
  studies: readonly StudyEntry[],
): Run[] {
  const named = splitParts(query.get("with") ?? "");
  const all = allPlaces(studies);
  const chosen = [place, ...all.filter((one) => named.includes(keyOf(one)) && keyOf(one) !== keyOf(place))];
  const isOneStudy = chosen.every(({ study }) => study === place.study);
  return chosen.slice(0, MOST_RUNS).map((one, i) => {
    const study = studies.find(({ id }) => id === one.study);
    const title = one.study === place.study ? one.dictionary : `${one.dictionary}, study ${one.study}`;
    const layer = study === undefined ? "" : `, layer ${study.layer.finetuned}`;
    const detail = isOneStudy ? "" : `${study?.title ?? ""}${layer}`;
    return { place: one, key: keyOf(one), title, detail, look: i + 1 };
  });
}

export function allPlaces(studies: readonly StudyEntry[]): DictionaryPlace[] {
  return studies.flatMap(({ id, dictionaries }) =>
    dictionaries.map(({ name }) => ({ study: id, dictionary: name })),
  );
}

/** The address with a dictionary put beside the first one, or taken away. */
export function withRun(query: URLSearchParams, key: string, isChosen: boolean): URLSearchParams {
  const next = new URLSearchParams(query);
  const named = splitParts(query.get("with") ?? "").filter((name) => name !== "" && name !== key);
  if (isChosen) named.push(key);
  if (named.length === 0) next.delete("with");
  else next.set("with", joinParts(named));
  return next;
}
