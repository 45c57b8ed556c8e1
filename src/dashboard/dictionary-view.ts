// One dictionary as the server reads it: every table by its name, opened when it is first asked for and again when its file has changed.
//
// A view gives readers a part or says why there is none (parts.ts). What the numbers mean is the tables' own: measure/, lens/, causal/,
// truth/. A table that is not of the measurement of today is outdated, as in the report (report/late-tables.ts).

import { existsSync } from "node:fs";
import { join } from "node:path";
import { CAUSAL_SCHEMA, causalPath } from "../causal/causal-file.ts";
import { effectsPath } from "../causal/effects-table.ts";
import { openParquetColumns, type ParquetColumns } from "../formats/parquet-columns.ts";
import type { Glance } from "../glance/glance-contract.ts";
import { GLANCE_SCHEMA } from "../glance/glance-contract.ts";
import { GLANCE_FILE, readGlance } from "../glance/glance-file.ts";
import type { ExamplesReader } from "../measure/examples-file.ts";
import { openExamplesFile } from "../measure/examples-file.ts";
import type { MeasureSummary } from "../measure/measure-contract.ts";
import {
  dictionarySha256,
  type MeasureInputs,
  measurePaths,
  readSummaryFile,
} from "../measure/measure-files.ts";
import { type NullRecord, nullPaths, readNullRecord } from "../measure/null-file.ts";
import {
  claimsHash,
  readStabilityRecord,
  type StabilityRecord,
  stabilityPaths,
} from "../measure/stability-file.ts";
import { type Causes, readCauses } from "../report/causes.ts";
import { displayName } from "../report/display-name.ts";
import { readTrainingRecord, type TrainingRecord } from "../training/training-record.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import { readTruth } from "../truth/truth-file.ts";
import type { Part } from "./api-contract.ts";
import { type ContributionReader, openContributions } from "./contributions.ts";
import { createFileMemo, type Kept } from "./file-memo.ts";
import { createHeldTable, type HeldTable } from "./held-table.ts";
import { NotMadeError, type PartNames, partOf } from "./parts.ts";
import type { StudyFolder } from "./study-folder.ts";

export interface ViewParts {
  measure: { summary: MeasureSummary; inputs: MeasureInputs; table: HeldTable };
  nulls: { record: NullRecord; table: HeldTable };
  stability: { record: StabilityRecord; table: HeldTable };
  causal: Causes;
  lens: HeldTable;
  truth: TruthScore;
  glance: Glance;
  training: TrainingRecord;
  examples: ExamplesReader;
  /** Encoder and store, for what each model adds to a pre-activation. */
  contributions: ContributionReader;
}
export type PartName = keyof ViewParts;

export interface DictionaryView {
  study: StudyFolder;
  name: string;
  /** dictionaries/NAME. */
  folder: string;
  /** What `work` makes of a part; the part's files are held as long as it runs. */
  part<Name extends PartName, R>(
    name: Name,
    work: (value: ViewParts[Name]) => R | Promise<R>,
  ): Promise<Part<R>>;
  /** Of model.safetensors, hex: the name under which notes know it. "" when there is none yet. */
  sha256(): Promise<string>;
  close(): Promise<void>;
}

interface PartSpec<T> extends PartNames {
  /** Relative to the dictionary's folder; the last one present means that all are whole. */
  files: (folder: string) => string[];
  /** Its version number, in which file. */
  versioned?: { path: (folder: string) => string; version: number };
  /** Of the journal; "" for work that the journal does not name. */
  stage: string;
  read: (view: DictionaryView) => Promise<Kept<T>>;
}

const tables = (folder: string, file: string): string => join(folder, "tables", file);
const glanceOf = (folder: string): string => join(folder, "..", "..", GLANCE_FILE);
const measureFiles = (folder: string): string[] => {
  const { table, summary } = measurePaths(folder);
  return [table, summary, join(folder, "training.json")];
};
/** Tables that stand on the measurement change with it. */
const onMeasure = (files: (folder: string) => string[]) => (folder: string) => [
  ...measureFiles(folder),
  ...files(folder),
];

const SPECS: { [Name in PartName]: PartSpec<ViewParts[Name]> } = {
  measure: {
    ...{ what: "the measurement", command: "tunediff measure STUDY", stage: "measure" },
    files: measureFiles,
    versioned: { path: (folder) => measurePaths(folder).summary, version: 1 },
    read: readMeasured,
  },
  nulls: {
    ...{ what: "the table of null pairs", command: "tunediff null STUDY", stage: "" },
    files: onMeasure((folder) => Object.values(nullPaths(folder))),
    versioned: { path: (folder) => nullPaths(folder).record, version: 1 },
    read: readNulls,
  },
  stability: {
    ...{ what: "the comparison with other dictionaries", command: "tunediff stability STUDY", stage: "" },
    files: onMeasure((folder) => Object.values(stabilityPaths(folder))),
    versioned: { path: (folder) => stabilityPaths(folder).record, version: 1 },
    read: readStability,
  },
  causal: {
    ...{ what: "the causal experiment", command: "tunediff causal STUDY", stage: "" },
    files: onMeasure((folder) => [effectsPath(folder), causalPath(folder)]),
    versioned: { path: causalPath, version: CAUSAL_SCHEMA },
    read: async (view) => {
      const causes = await readCauses({ folder: view.folder, dictionarySha256: await view.sha256() });
      if (causes.state !== "made") throw new NotMadeError(causes.state === "absent" ? "missing" : "outdated");
      return { value: causes.value };
    },
  },
  lens: {
    ...{ what: "the reading of the directions as tokens", command: "tunediff lens STUDY", stage: "lens" },
    files: onMeasure((folder) => [tables(folder, "lens.parquet")]),
    read: async (view) => openTable(view, tables(view.folder, "lens.parquet")),
  },
  truth: {
    ...{ what: "the score against planted truth", command: "tunediff run STUDY/study.yaml", stage: "truth" },
    files: (folder) => [join(folder, "truth.json")],
    versioned: { path: (folder) => join(folder, "truth.json"), version: 1 },
    read: async ({ folder }) => ({ value: found(await readTruth(folder)) }),
  },
  glance: {
    ...{ what: "the glance", command: "tunediff glance STUDY", stage: "" },
    files: (folder) => [glanceOf(folder)],
    versioned: { path: glanceOf, version: GLANCE_SCHEMA },
    read: readGlanceOfPair,
  },
  training: {
    ...{ what: "the dictionary", command: "tunediff train STUDY", stage: "train" },
    files: (folder) => [join(folder, "training.json")],
    versioned: { path: (folder) => join(folder, "training.json"), version: 1 },
    read: async ({ folder }) => ({ value: found(await readTrainingRecord(folder)) }),
  },
  examples: {
    ...{ what: "the list of examples", command: "tunediff measure STUDY", stage: "measure" },
    files: (folder) => [measurePaths(folder).examples],
    read: async ({ folder }) => {
      const { examples } = measurePaths(folder);
      requireFile(examples);
      const reader = openExamplesFile(examples);
      return { value: reader, close: () => reader.close() };
    },
  },
  contributions: {
    ...{ what: "the store of activations", command: "tunediff harvest STUDY", stage: "harvest" },
    files: (folder) => [...measureFiles(folder), join(folder, "model.safetensors")],
    read: async (view) => {
      const storeSha256 = await partValue(view, "measure", ({ inputs }) => inputs.storeSha256);
      const reader = await openContributions({
        dictionaryFolder: view.folder,
        storesFolder: join(view.study.folder, "stores"),
        storeSha256,
      });
      return { value: found(reader), close: () => reader?.close() };
    },
  },
};

export function createDictionaryView(study: StudyFolder, name: string): DictionaryView {
  const folder = join(study.folder, "dictionaries", name);
  const memo = createFileMemo();
  const view: DictionaryView = {
    ...{ study, name, folder },
    async part(part, work) {
      const { what, command, stage, files, versioned, read } = SPECS[part] as PartSpec<unknown>;
      const { runningStages, mainDictionary } = await study.facts();
      return partOf(
        {
          ...{ what, command, folder: study.folder },
          isRunning: name === mainDictionary && runningStages.includes(stage),
          ...(versioned && { versioned: { path: versioned.path(folder), version: versioned.version } }),
        },
        () =>
          memo.use({ key: part, paths: files(folder), read: () => read(view) }, (value) =>
            work(value as Parameters<typeof work>[0]),
          ),
      );
    },
    async sha256() {
      const training = await view.part("training", ({ modelSha256 }) => modelSha256);
      if (training.state === "made" && training.value) return training.value;
      const model = join(folder, "model.safetensors");
      if (!existsSync(model)) return "";
      const read = async () => ({ value: await dictionarySha256(folder) });
      return memo.use({ key: "sha256", paths: [model], read }, (value: string) => value);
    },
    close: () => memo.clear(),
  };
  return view;
}

/** A part that another one stands on: where it is not made, that one is not made either. */
async function partValue<Name extends PartName, R>(
  view: DictionaryView,
  name: Name,
  work: (value: ViewParts[Name]) => R | Promise<R>,
): Promise<R> {
  const part = await view.part(name, work);
  if (part.state === "made") return part.value;
  throw new NotMadeError("missing");
}

async function readMeasured(view: DictionaryView): Promise<Kept<ViewParts["measure"]>> {
  const paths = measurePaths(view.folder);
  requireFile(paths.summary);
  const { summary, inputs } = await readSummaryFile(view.folder);
  const sha256 = await view.sha256();
  if (sha256 !== "" && sha256 !== inputs.dictionarySha256) throw new NotMadeError("outdated");
  const columns = await openParquetColumns(paths.table);
  const table = createHeldTable(columns);
  return { value: { summary, inputs, table }, close: () => columns.close() };
}

async function readNulls(view: DictionaryView): Promise<Kept<ViewParts["nulls"]>> {
  const paths = nullPaths(view.folder);
  requireFile(paths.record);
  const record = await readNullRecord(view.folder);
  const measured = await partValue(view, "measure", async ({ inputs, table }) => ({
    sha256: inputs.dictionarySha256,
    claims: await table.strings("claim"),
  }));
  if (record.dictionarySha256 !== measured.sha256) throw new NotMadeError("outdated");
  const { value: table, close } = await openTable(view, paths.table);
  const q = await table.numbers("q");
  // Thresholds of another day would judge other claims: the q-values are theirs.
  if (measured.claims.some((claim, i) => Number.isNaN(q[i]) !== (claim === "none"))) {
    await close();
    throw new NotMadeError("outdated");
  }
  return { value: { record, table }, close };
}

async function readStability(view: DictionaryView): Promise<Kept<ViewParts["stability"]>> {
  const record = found(await readStabilityRecord(view.folder));
  const measured = await partValue(view, "measure", async ({ inputs, table }) => {
    const [deltaNorm, claim] = [await table.numbers("deltaNorm"), await table.strings("claim")];
    const latents = claim.map((word, i) => ({ deltaNorm: deltaNorm[i], claim: word }));
    return { sha256: inputs.dictionarySha256, claimsSha256: claimsHash(latents) };
  });
  const { dictionarySha256, claimsSha256 } = record.reference;
  if (dictionarySha256 !== measured.sha256 || claimsSha256 !== measured.claimsSha256)
    throw new NotMadeError("outdated");
  const { value: table, close } = await openTable(view, stabilityPaths(view.folder).table);
  return { value: { record, table }, close };
}

/** A table of a row a latent, in latent order; outdated when it has another number of them. */
async function openTable(
  view: DictionaryView,
  path: string,
): Promise<{ value: HeldTable; close: () => Promise<void> }> {
  requireFile(path);
  const nLatents = await partValue(view, "measure", ({ summary }) => summary.nLatents);
  const columns: ParquetColumns = await openParquetColumns(path);
  if (columns.nRows === nLatents) return { value: createHeldTable(columns), close: () => columns.close() };
  await columns.close();
  throw new NotMadeError("outdated");
}

/** Outdated when it is of other models or another layer than the study's. */
async function readGlanceOfPair({ study }: DictionaryView): Promise<Kept<Glance>> {
  const glance = found(await readGlance(study.folder));
  const { base, finetuned, layer } = (await study.facts()).entry;
  const isOfPair =
    // "BASE + ADAPTER": a glance names either.
    base.split(" + ").includes(displayName(glance.base)) &&
    finetuned.split(" + ").includes(displayName(glance.finetuned)) &&
    glance.layer.base === layer.base &&
    glance.layer.finetuned === layer.finetuned;
  if (!isOfPair) throw new NotMadeError("outdated");
  return { value: glance };
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new NotMadeError("missing");
  return value;
}

function requireFile(path: string): void {
  if (!existsSync(path)) throw new NotMadeError("missing");
}
