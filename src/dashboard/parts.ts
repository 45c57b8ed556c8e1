// A part of a study as the browser is told of it: made, or why not and the command that makes it. No path of the disk in its words.

import { readFile } from "node:fs/promises";
import { FormatError, MismatchError, StorageError, TunediffError } from "../errors.ts";
import type { Missing, Part } from "./api-contract.ts";

/** How a part is spoken of. */
export interface PartNames {
  /** "the null pairs". */
  what: string;
  /** "tunediff null STUDY". */
  command: string;
}

export interface PartOptions extends PartNames {
  /** The study's; taken out of every message. */
  folder: string;
  /** Whether the stage that makes it is under way. */
  isRunning: boolean;
  /** JSON whose schemaVersion a newer program raises; none: has no version. */
  versioned?: { path: string; version: number };
}

/** Thrown by readers of parts; the state says which. */
export class NotMadeError extends TunediffError {
  readonly exitCode = 3;
  readonly state: "missing" | "outdated";

  constructor(state: "missing" | "outdated") {
    super(state);
    this.state = state;
  }
}

/** The part, whatever its reader says. Throws only what is no fault of the files. */
export async function partOf<T>(options: PartOptions, read: () => Promise<T>): Promise<Part<T>> {
  try {
    return { state: "made", value: await read() };
  } catch (error) {
    if (error instanceof NotMadeError) return missing(options, error.state);
    const isOfFile =
      error instanceof FormatError || error instanceof StorageError || error instanceof MismatchError;
    if (!isOfFile) throw error;
    if (options.isRunning) return missing(options, "missing"); // files are replaced under the reader's eyes
    if (await isNewer(options)) {
      const words = `${capital(options.what)} was written by a newer version of tunediff.`;
      return { state: "newer", words, command: "npm install -g tunediff@latest" };
    }
    const words = `${capital(options.what)} cannot be read: ${withoutFolder(error.message, options.folder)}`;
    return { state: "damaged", words, command: options.command };
  }
}

function missing({ what, command, isRunning }: PartOptions, state: "missing" | "outdated"): Missing {
  if (isRunning) return { state: "running", words: `${capital(what)} is being made.`, command: "" };
  if (state === "missing") return { state, words: `${capital(what)} has not been made.`, command };
  return {
    state,
    words: `${capital(what)} is of an older dictionary or measurement than the study's of today.`,
    command,
  };
}

async function isNewer({ versioned }: PartOptions): Promise<boolean> {
  if (versioned === undefined) return false;
  try {
    const { schemaVersion } = JSON.parse(await readFile(versioned.path, "utf8")) as {
      schemaVersion?: unknown;
    };
    return typeof schemaVersion === "number" && schemaVersion > versioned.version;
  } catch {
    return false; // no JSON: it is damaged
  }
}

/** A message whose paths are seen from the study. */
export function withoutFolder(message: string, folder: string): string {
  return message.replaceAll(`${folder}/`, "").replaceAll(folder, "the study");
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
