// A dictionary whose parts are given, for tests of what is shaped of them; and the app over it.

import { createDashboardApp } from "./app.ts";
import type { DictionaryView, ViewParts } from "./dictionary-view.ts";
import type { StudySource } from "./study-source.ts";

export const NOT_MADE = {
  state: "missing",
  words: "It has not been made.",
  command: "tunediff make STUDY",
} as const;

/** Parts that are not given are NOT_MADE. folder: the study's. */
export function fakeView(parts: Partial<ViewParts>, folder = "/nowhere"): DictionaryView {
  const view: Pick<DictionaryView, "name" | "folder" | "part" | "sha256" | "close"> & { study: unknown } = {
    ...{ name: "main", folder: `${folder}/dictionaries/main` },
    study: { id: 0, folder, facts: async () => ({ store: "main", runningStages: [] }) },
    async part(name, work) {
      const value = parts[name];
      return value === undefined ? NOT_MADE : { state: "made", value: await work(value) };
    },
    sha256: async () => "5".repeat(64),
    close: async () => {},
  };
  return view as DictionaryView;
}

/** Study 0, dictionary main. */
export function fakeApp(view: DictionaryView): ReturnType<typeof createDashboardApp> {
  const source = { dictionary: async () => view } as unknown as StudySource;
  const notesOf = () => {
    throw new Error("no notes here");
  };
  return createDashboardApp({ source, notesOf, security: { exchange: () => ({ outcome: "wrong" }) } });
}
