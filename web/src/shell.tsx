// The frame of every screen: which study and dictionary, the list of screens, the colours; below it the screen that the address names.
//
// A screen is one entry of SCREEN_TABLE, loaded when it is first opened. A stage that works on the study now is said at the top.

import { type ComponentType, lazy, type ReactNode, Suspense, useEffect, useState } from "react";
import type { DictionaryEntry, StudyEntry } from "../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "./api.ts";
import { goTo, queryOf, useQueryPart } from "./location.ts";
import { Boundary } from "./parts/boundary.tsx";
import { Link } from "./parts/link.tsx";
import { Empty, Failure, Loading } from "./parts/states.tsx";
import { useSession } from "./queries.ts";
import { SaveMenu } from "./save-menu.tsx";
import { applyTheme, savedTheme, THEMES, type Theme } from "./theme.ts";

/** What a screen is given. */
export interface ScreenProps {
  place: DictionaryPlace;
  study: StudyEntry;
  dictionary: DictionaryEntry;
  query: URLSearchParams;
}

interface ScreenEntry {
  title: string;
  /** In the list of screens; a screen that needs more than a dictionary is reached by links. */
  isListed: boolean;
  /** How it is when it is reached from the list. */
  firstQuery?: Record<string, string>;
  component: ComponentType<ScreenProps>;
}

const SCREEN_TABLE: Record<string, ScreenEntry> = {
  overview: {
    title: "Overview",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/overview.tsx")).OverviewScreen })),
  },
  latents: {
    title: "Latents",
    isListed: true,
    firstQuery: { sort: "-deltaNorm" },
    component: lazy(async () => ({ default: (await import("./routes/latents.tsx")).LatentsScreen })),
  },
  compare: {
    title: "Compare",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/compare.tsx")).CompareScreen })),
  },
  latent: {
    title: "Latent",
    isListed: false,
    component: lazy(async () => ({ default: (await import("./routes/latent.tsx")).LatentScreen })),
  },
  "prompt-lab": {
    title: "Prompt lab",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/prompt-lab.tsx")).PromptLabScreen })),
  },
  "steering-lab": {
    title: "Steering lab",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/steering-lab.tsx")).SteeringLabScreen })),
  },
  causal: {
    title: "Causal",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/causal.tsx")).CausalScreen })),
  },
  glance: {
    title: "Glance",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/glance.tsx")).GlanceScreen })),
  },
  training: {
    title: "Training",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/training.tsx")).TrainingScreen })),
  },
  data: {
    title: "Data",
    isListed: true,
    component: lazy(async () => ({ default: (await import("./routes/data.tsx")).DataScreen })),
  },
};
const FIRST_SCREEN = "overview";

export function Shell(): ReactNode {
  const session = useSession();
  const query = useQueryPart();
  const screenName = query.get("screen") ?? FIRST_SCREEN;
  const screen = SCREEN_TABLE[screenName];
  const studies = session.data?.studies ?? [];
  const study = studies.find(({ id }) => String(id) === query.get("study")) ?? studies[0];
  const dictionaries = study?.dictionaries ?? [];
  const dictionary =
    dictionaries.find(({ name }) => name === query.get("dictionary")) ??
    dictionaries.find(({ isMain }) => isMain) ??
    dictionaries[0];

  useEffect(() => {
    const latent = screenName === "latent" ? ` ${query.get("latent") ?? ""}` : "";
    document.title = [screen && screen.title + latent, study?.title, "tunediff"].filter(Boolean).join(" · ");
  });

  const named = withPlace(query, study, dictionary);
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="top">
        <Link className="home" to={queryOf(named, FIRST_SCREEN)}>
          tunediff
        </Link>
        {study !== undefined && (
          <nav aria-label="Screens">
            {Object.entries(SCREEN_TABLE)
              .filter(([, { isListed }]) => isListed)
              .map(([name, { title, firstQuery }]) => (
                <Link
                  key={name}
                  to={queryOf(named, name, firstQuery)}
                  aria-current={name === screenName ? "page" : undefined}
                >
                  {title}
                </Link>
              ))}
          </nav>
        )}
        <div className="pickers">
          {study !== undefined && (
            <Picker
              label="Study"
              value={String(study.id)}
              choices={studies.map(({ id, title }) => [String(id), title])}
              onPick={(id) => goTo(new URLSearchParams({ study: id, screen: FIRST_SCREEN }))}
            />
          )}
          {study !== undefined && dictionary !== undefined && (
            <Picker
              label="Dictionary"
              value={dictionary.name}
              choices={dictionaries.map(({ name, nLatents }) => [
                name,
                // Not known before its training has ended, but of the study's own dictionary.
                nLatents > 0 ? `${name} (${nLatents})` : name,
              ])}
              onPick={(name) => {
                const next = new URLSearchParams(named);
                next.set("dictionary", name);
                goTo(next);
              }}
            />
          )}
          <ThemePicker />
          {study !== undefined && dictionary !== undefined && (
            <SaveMenu
              place={{ study: study.id, dictionary: dictionary.name }}
              tableQuery={queryOf(named, "latents", SCREEN_TABLE.latents.firstQuery)}
            />
          )}
        </div>
      </header>
      {study?.running != null && (
        <p className="running" role="status">
          Another process works on this study now: {study.running}. What it has made so far is shown.
        </p>
      )}
      <main id="content" tabIndex={-1}>
        {session.isPending && <Loading what="the studies" />}
        {session.isError && <Failure error={session.error} retry={() => session.refetch()} />}
        {session.isSuccess && study === undefined && <Empty>The server was given no study.</Empty>}
        {study !== undefined && dictionary === undefined && (
          <Empty>This study has no dictionary yet. `tunediff run` makes one.</Empty>
        )}
        {screen === undefined && <Empty>There is no screen of this name.</Empty>}
        {study !== undefined && dictionary !== undefined && screen !== undefined && (
          <Boundary key={screenName}>
            <Suspense fallback={<Loading what="the screen" />}>
              <screen.component
                key={`${study.id}/${dictionary.name}`}
                place={{ study: study.id, dictionary: dictionary.name }}
                study={study}
                dictionary={dictionary}
                query={named}
              />
            </Suspense>
          </Boundary>
        )}
      </main>
    </>
  );
}

function withPlace(
  query: URLSearchParams,
  study?: StudyEntry,
  dictionary?: DictionaryEntry,
): URLSearchParams {
  const named = new URLSearchParams(query);
  if (study !== undefined) named.set("study", String(study.id));
  if (dictionary !== undefined) named.set("dictionary", dictionary.name);
  return named;
}

function Picker(options: {
  label: string;
  value: string;
  choices: readonly (readonly [string, string])[];
  onPick: (value: string) => void;
}): ReactNode {
  const { label, value, choices, onPick } = options;
  return (
    <label className="picker">
      <span>{label}</span>
      <select value={value} onChange={(event) => onPick(event.target.value)}>
        {choices.map(([choice, words]) => (
          <option key={choice} value={choice}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

function ThemePicker(): ReactNode {
  const [theme, setTheme] = useState<Theme>(savedTheme);
  return (
    <Picker
      label="Colours"
      value={theme}
      choices={THEMES.map((name) => [name, name])}
      onPick={(picked) => {
        const next = picked as Theme;
        applyTheme(next);
        setTheme(next);
      }}
    />
  );
}
