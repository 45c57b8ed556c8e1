// A study folder as the dashboard lists it: whose pair it is, which dictionaries lie in it, and what is being worked on. Read-only.
//
// Nothing here throws for a file that is missing, half written or of another version: what can be said is said. What a
// dictionary holds is dictionary-view.ts.

import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parse } from "yaml";
import { readJsonLinesArray } from "../formats/jsonl.ts";
import { type ProcessIdentity, processState } from "../formats/process-identity.ts";
import { displayName } from "../report/display-name.ts";
import { showInvisible } from "../report/html.ts";
import type { DictionaryEntry, StudyEntry } from "./api-contract.ts";

export interface StudyFolder {
  id: number;
  folder: string;
  /** Not older than a moment: the study may be running. */
  facts(): Promise<StudyFacts>;
}

export interface StudyFacts {
  entry: StudyEntry;
  mainDictionary: string;
  store: string;
  /** Base and fine-tune are one model: nothing was learned, so nothing is found. */
  isNullPair: boolean;
  /** Stages under way, by the journal; empty when nobody works on the study. */
  runningStages: string[];
}

/** Names that may be asked for; others are not listed. */
const NAME = /^\w[\w.-]*$/;
const DEFAULT_NAME = "main";
/** Work without a name in the journal. */
const OTHER_WORK = "a command";

type Fields = Record<string, unknown>;

/** Facts this young are given again: one request asks for them many times. */
const FRESH_MS = 100;

export function studyFolder(id: number, folder: string): StudyFolder {
  let kept: { at: number; facts: Promise<StudyFacts> } | undefined;
  return {
    ...{ id, folder },
    facts: () => {
      const now = performance.now();
      if (kept === undefined || now - kept.at > FRESH_MS) kept = { at: now, facts: readFacts(id, folder) };
      return kept.facts;
    },
  };
}

async function readFacts(id: number, folder: string): Promise<StudyFacts> {
  const config = await fieldsOf(join(folder, "study.yaml"), parse);
  const lock = await fieldsOf(join(folder, "study.lock.json"), JSON.parse);
  const dictionary = fields(config.dictionary);
  const mainDictionary = text(dictionary.name) || DEFAULT_NAME;
  const names = {
    base: modelName(lock.base, config.base),
    finetuned: modelName(lock.finetuned, config.finetuned),
  };
  const runningStages = await readRunning(folder, mainDictionary);
  const layer = fields(lock.layer);
  return {
    entry: {
      id,
      title:
        names.finetuned === "" ? showInvisible(basename(folder)) : `${names.finetuned} against ${names.base}`,
      ...names,
      layer: { base: count(layer.base), finetuned: count(layer.finetuned) },
      dictionaries: await readDictionaries(folder, mainDictionary, dictionary),
      running: runningStages[0] ?? null,
    },
    mainDictionary,
    store: text(fields(config.store).name) || DEFAULT_NAME,
    isNullPair: isOneModel(fields(lock.base), fields(lock.finetuned)),
    runningStages,
  };
}

function isOneModel(base: Fields, finetuned: Fields): boolean {
  return text(base.hash) !== "" && base.hash === finetuned.hash;
}

/** The study's own first, then by name. */
async function readDictionaries(folder: string, main: string, config: Fields): Promise<DictionaryEntry[]> {
  const root = join(folder, "dictionaries");
  const found = await readdir(root, { withFileTypes: true }).catch(() => []);
  const names = found.filter((entry) => entry.isDirectory() && NAME.test(entry.name)).map(({ name }) => name);
  const entries = await Promise.all(
    names.map((name) => readDictionary(join(root, name), { name, isMain: name === main, config })),
  );
  return entries.sort((a, b) => Number(b.isMain) - Number(a.isMain) || (a.name < b.name ? -1 : 1));
}

async function readDictionary(
  folder: string,
  { name, isMain, config }: { name: string; isMain: boolean; config: Fields },
): Promise<DictionaryEntry> {
  const record = fields((await fieldsOf(join(folder, "training.json"), JSON.parse)).config);
  const field = await fieldsOf(join(folder, "config.json"), JSON.parse);
  const asked = isMain ? config : {};
  const summary = await fieldsOf(join(folder, "tables", "measure.json"), JSON.parse);
  return {
    name,
    nLatents: count(record.nLatents) || count(field.dict_size) || count(asked.nLatents),
    sparsity: sparsityOf({ ...asked, ...record, k: record.k ?? field.k ?? asked.k }),
    isMain,
    measured: summary.fve !== undefined,
  };
}

/** As the report says it (collect.ts), of whatever is known. */
function sparsityOf({ sparsity, k }: Fields): string {
  const { kind, penalty } = fields(sparsity);
  if (kind === "reluL1") return `ReLU + L1, penalty ${String(penalty ?? "unknown")}`;
  if (count(k) === 0) return "";
  return `${kind === "topK" ? "TopK" : "BatchTopK"}, k ${count(k)}`;
}

/** Stages begun and not ended, newest first, when a living process holds a lock of the study or its dictionary. */
async function readRunning(folder: string, mainDictionary: string): Promise<string[]> {
  const locks = [join(folder, ".lock"), join(folder, "dictionaries", mainDictionary, ".lock")];
  const held = await Promise.all(locks.map(isHeld));
  if (!held.includes(true)) return [];
  const events = (await readJsonLinesArray(join(folder, "journal.jsonl"), { tolerateTornEnd: true }).catch(
    () => [],
  )) as { stage?: unknown; event?: unknown }[];
  const last = new Map<string, unknown>();
  for (const { stage, event } of events) if (typeof stage === "string") last.set(stage, event);
  const begun = [...last].filter(([, event]) => event === "start").map(([stage]) => stage);
  return begun.length > 0 ? begun.reverse() : [OTHER_WORK];
}

/** Whether a living process holds the lock file; false for none. */
export async function isHeld(path: string): Promise<boolean> {
  const owner = await fieldsOf(path, JSON.parse);
  if (typeof owner.pid !== "number" || typeof owner.host !== "string") return false;
  const identity: ProcessIdentity = { pid: owner.pid, host: owner.host, started: text(owner.started) };
  return processState(identity) !== "dead";
}

function modelName(locked: unknown, asked: unknown): string {
  const { path, adapter } = fields(locked);
  const name = text(path) || text(asked);
  if (name === "") return "";
  // Every screen shows it: what cannot be seen in it is written out here, once.
  const shown = (path: string): string => showInvisible(displayName(path));
  return text(adapter) === "" ? shown(name) : `${shown(name)} + ${shown(text(adapter))}`;
}

/** {} for a file that is not there, cannot be read, or is no object: what it would say is then unknown. */
async function fieldsOf(path: string, read: (source: string) => unknown): Promise<Fields> {
  try {
    return fields(read(await readFile(path, "utf8")));
  } catch {
    return {};
  }
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) ? (value as number) : 0;
}
