// A dashboard over study folders, put together: what reads them, people's notes, the built page, the server.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import type { Session } from "./api-contract.ts";
import { createDashboardApp } from "./app.ts";
import type { LabTimes } from "./labs/lab-settings.ts";
import { createLabs } from "./labs/labs.ts";
import { type Notes, openNotes } from "./notes.ts";
import { type DashboardServer, type ServeOptions, serveDashboard } from "./serve.ts";
import { readStaticFiles, webFolder } from "./static-files.ts";
import { openStudySource } from "./study-source.ts";

export interface StartOptions {
  /** Study folders, absolute. */
  folders: readonly string[];
  port?: number;
  /** Anything but loopback opens the dashboard to the network. */
  host?: string;
  labs?: Session["labs"];
  /** Another build of the page, and shorter times: for tests. */
  pageFolder?: string;
  limits?: ServeOptions["limits"];
  labTimes?: Partial<LabTimes>;
  reportFault?: (error: unknown) => void;
}

export interface Dashboard extends DashboardServer {
  /** Whether the page was built; without it there is data alone. */
  hasPage: boolean;
}

/** Any of them makes a folder a study: one that is half-finished is shown, too. */
const STUDY_MARKS = ["study.yaml", "study.lock.json", "journal.jsonl", "dictionaries"];

/** Throws ConfigError for a folder that is no study, and what serveDashboard throws. */
export async function startDashboard(options: StartOptions): Promise<Dashboard> {
  const { folders, port, host, labs, limits, pageFolder = webFolder(), reportFault } = options;
  for (const folder of folders) requireStudy(folder);
  const source = openStudySource(folders);
  const opened = new Map<number, Notes>();
  const notesOf = (study: number): Notes => {
    const notes = opened.get(study) ?? openNotes(folders[study]);
    opened.set(study, notes);
    return notes;
  };
  const files = await readStaticFiles(pageFolder);
  const labModels = createLabs({ times: options.labTimes });
  const server = await serveDashboard({
    ...{ port, host, limits, reportFault },
    createApp: (security) =>
      createDashboardApp({ source, notesOf, security, labs, labModels, files, reportFault }),
  });
  return {
    ...server,
    hasPage: files.has("/"),
    async close() {
      await labModels.close();
      await server.close();
      await source.close();
      for (const notes of opened.values()) notes.close();
    },
  };
}

function requireStudy(folder: string): void {
  if (STUDY_MARKS.some((mark) => existsSync(join(folder, mark)))) return;
  throw new ConfigError(`${folder}: expected a study folder, found none of ${STUDY_MARKS.join(", ")}`, {
    hint: "make one with `tunediff demo` or `tunediff compare BASE FINETUNED`",
  });
}
