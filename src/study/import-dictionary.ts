// A crosscoder that was trained elsewhere, measured on a study's store: tunediff measure STUDY --dictionary PATH.
//
// A published file says neither layers nor names; here it gets the store's sites, and with them a folder under dictionaries/ in
// which it can be measured and exported like one of the study's own. Weights stay what they are; nothing is trained. Only θ may be
// set anew, on held-out rows, where the file has none that was calibrated.

import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { Dictionary } from "../dictionary/dictionary.ts";
import {
  dictionaryFilePath,
  loadDictionary,
  MODEL_FILE,
  saveDictionary,
} from "../dictionary/dictionary-file.ts";
import { METADATA_KEY } from "../dictionary/file-sites.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import { acquireLock } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { lens, writeLens } from "../lens/lens.ts";
import { type Measurement, measure } from "../measure/measure.ts";
import type { ReportProgress } from "../progress.ts";
import { normLimits } from "../store/norm-outliers.ts";
import { openRowSource } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import type { Site } from "../store/store-contract.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { calibrateThreshold } from "../training/calibrate.ts";
import type { StudyConfig } from "./config.ts";
import { runStudy, studyPaths, unembeddingOf } from "./run-study.ts";

/** Held-out rows that --calibrate looks at: those of a training run. */
const CALIBRATION_ROWS = 16_384;

export interface ImportOptions {
  /** Folder with model.safetensors, or such a file. */
  dictionary: string;
  /** stores/NAME of the study. */
  storeFolder: string;
  /** dictionaries/ of the study. */
  dictionariesFolder: string;
  /** Folder below it; default: the name of the dictionary's folder, or of its file where that is not model.safetensors. */
  name?: string;
  /** Names that are taken, such as that of the dictionary that the study trains. */
  reserved?: readonly string[];
  /** Set θ on held-out rows so that k latents fire in the mean, whatever the file says. */
  calibrate?: boolean;
  threads?: number;
  signal?: AbortSignal;
}

export interface ImportedDictionary {
  name: string;
  folder: string;
  dictionary: Dictionary;
  /** It lay there already, made from the same file in the same way. */
  reused: boolean;
}

/**
 * Copies a dictionary into the study with the store's sites. A dictionary that lies in that very folder is taken as it is.
 *
 * Throws MismatchError (sites of another number, width or layer; a threshold that is not calibrated; one a latent, as in a
 * folded dictionary), ConfigError (a name that is taken or none; nothing to calibrate), FormatError, StorageError.
 */
export async function importDictionary(options: ImportOptions): Promise<ImportedDictionary> {
  const { storeFolder, dictionariesFolder, calibrate = false, reserved = [] } = options;
  const path = await dictionaryFilePath(options.dictionary);
  const name = options.name ?? nameOf(path);
  if (!/^[\w-][\w.-]*$/.test(name)) {
    throw new ConfigError(`--name: expected letters, digits, "_", "-" and ".", got "${name}"`, {
      hint: "give the dictionary a name below dictionaries/ with --name",
    });
  }
  const folder = join(dictionariesFolder, name);
  const loaded = await loadDictionary(options.dictionary);
  const source = await openRowSource(storeFolder, { verify: false });
  const { sites: storeSites } = source.manifest;
  await source.close();
  const sites = fittingSites(loaded, { path, storeFolder, storeSites });
  const dictionary: Dictionary = { ...loaded, sites };
  refuseFolded(dictionary, path);
  if (resolve(path) === resolve(join(folder, MODEL_FILE))) {
    if (calibrate || loaded.sites.some(({ layer }) => layer < 0)) {
      throw new ConfigError(`--name: expected a name besides "${name}", got the dictionary's own folder`, {
        hint: "a dictionary is never changed in its place: give the copy a name of its own",
      });
    }
    refuseUncalibrated(dictionary, path);
    return { name, folder, dictionary, reused: true };
  }
  if (reserved.includes(name)) {
    throw new ConfigError(`--name: expected a name besides "${name}", which the study trains itself`, {
      hint: "give the imported dictionary another name with --name",
    });
  }
  const origin = { importedFrom: await sha256Of(path), calibrated: calibrate };
  const target = join(folder, MODEL_FILE);
  if ((await stat(target).catch(() => undefined)) !== undefined) {
    if (!(await isOrigin(target, origin))) {
      throw new ConfigError(`${folder}: expected a free name, found another dictionary`, {
        hint: "a dictionary is never replaced by another: choose a name with --name",
      });
    }
    return { name, folder, dictionary: await loadDictionary(folder), reused: true };
  }
  if (calibrate) await calibrateInPlace(dictionary, { ...options, path });
  else refuseUncalibrated(dictionary, path);
  await ensureFolder(folder);
  await saveDictionary(folder, dictionary, origin);
  return { name, folder, dictionary, reused: false };
}

/** "some-repository" of some-repository/model.safetensors, "crosscoder" of crosscoder.safetensors. */
function nameOf(path: string): string {
  const file = basename(path);
  return file === MODEL_FILE ? basename(dirname(resolve(path))) : basename(file, extname(file));
}

const describeSites = (sites: readonly Site[]): string =>
  sites
    .map(({ model, layer, width }) => `${model}${layer < 0 ? "" : ` layer ${layer}`} width ${width}`)
    .join(", ") || "none";

/** The store's sites, where the dictionary's are the same or do not say their layer. */
function fittingSites(
  { sites }: Dictionary,
  { path, storeFolder, storeSites }: { path: string; storeFolder: string; storeSites: readonly Site[] },
): Site[] {
  const fits =
    sites.length === storeSites.length &&
    sites.every(({ model, layer, width }, i) => {
      const site = storeSites[i];
      return model === site.model && width === site.width && (layer < 0 || layer === site.layer);
    });
  if (fits) return storeSites.map(({ name, model, layer, width }) => ({ name, model, layer, width }));
  throw new MismatchError(
    `${path}: expected a dictionary for the sites of ${storeFolder}, ${describeSites(storeSites)}, got one for ${describeSites(sites)}`,
    { hint: "measure it on a store of the models and the layer that it was trained on" },
  );
}

function refuseFolded({ latentThresholds }: Dictionary, path: string): void {
  if (latentThresholds === undefined) return;
  throw new MismatchError(`${path}: expected one threshold in activation units, got one a latent`, {
    hint: "a folded dictionary has lost the space it was trained in, to which classes and claims belong: measure its original",
  });
}

function refuseUncalibrated({ inferenceThreshold }: Dictionary, path: string): void {
  if (inferenceThreshold >= 0) return;
  throw new MismatchError(
    `${path}: expected a calibrated inference threshold (≥ 0), got ${inferenceThreshold}`,
    {
      hint: "add --calibrate: the threshold is then set on held-out rows so that k latents fire in the mean",
    },
  );
}

async function calibrateInPlace(
  dictionary: Dictionary,
  { path, storeFolder, threads, signal }: ImportOptions & { path: string },
): Promise<void> {
  if (dictionary.k === 0) {
    throw new ConfigError(
      `--calibrate: expected a dictionary that keeps k latents, got ${path}, a ReLU one`,
      {
        hint: "leave --calibrate out: every positive code counts in such a dictionary",
      },
    );
  }
  const store = await openStore(storeFolder);
  try {
    const { threshold } = await calibrateThreshold({
      ...{ store, dictionary, threads, signal },
      normLimits: await normLimits(store),
      calibrationRows: CALIBRATION_ROWS,
    });
    dictionary.inferenceThreshold = threshold;
  } finally {
    await store.close();
  }
}

/** Whether the dictionary at `path` is such a copy. */
async function isOrigin(
  path: string,
  origin: { importedFrom: string; calibrated: boolean },
): Promise<boolean> {
  const file = await openSafetensors(path);
  try {
    const found = JSON.parse(file.metadata.get(METADATA_KEY) ?? "{}") as Partial<typeof origin>;
    return found.importedFrom === origin.importedFrom && found.calibrated === origin.calibrated;
  } catch (error) {
    if (error instanceof SyntaxError) return false; // another program's words
    throw error;
  } finally {
    await file.close();
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

export interface MeasureImportedOptions {
  /** The study. */
  folder: string;
  config: StudyConfig;
  dictionary: string;
  name?: string;
  calibrate?: boolean;
  /** Also read its directions through the models' vocabularies: latents × vocabulary × width products a side. */
  lens?: boolean;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface ImportedMeasurement extends ImportedDictionary, Measurement {
  warnings: string[];
}

/**
 * Harvests the study's store if it is not there yet, imports the dictionary and measures it.
 *
 * Throws what importDictionary, the harvest and measure throw, StorageError when the study is in use.
 */
export async function measureImported(options: MeasureImportedOptions): Promise<ImportedMeasurement> {
  const { folder, config, reportProgress, signal } = options;
  const { lock, warnings } = await runStudy({
    ...{ folder, config, reportProgress, signal },
    until: "harvest",
    commands: [],
  });
  const paths = studyPaths(config);
  const guard = await acquireLock(join(folder, ".lock"));
  try {
    const storeFolder = join(folder, paths.store);
    const imported = await importDictionary({
      dictionary: options.dictionary,
      storeFolder,
      dictionariesFolder: join(folder, "dictionaries"),
      name: options.name,
      reserved: [config.dictionary.name],
      calibrate: options.calibrate,
      threads: config.threads,
      signal,
    });
    const tokenizer = await loadTokenizer(lock.tokenizer.path);
    const store = await openRowSource(storeFolder);
    try {
      const measurement = await measure({
        ...{ store, reportProgress, signal },
        dictionary: imported.dictionary,
        folder: imported.folder,
        tokenString: tokenizer.tokenString,
        examplesPerLatent: config.report.examplesPerLatent,
        threads: config.threads,
      });
      if (options.lens === true)
        await readLensOf(imported, { ...options, tokenString: tokenizer.tokenString });
      return { ...imported, ...measurement, warnings };
    } finally {
      await store.close();
    }
  } finally {
    await guard.release();
  }
}

/** Writes tables/lens.parquet where there is none: the dictionary in a folder never changes. */
async function readLensOf(
  { folder, dictionary }: ImportedDictionary,
  options: MeasureImportedOptions & { tokenString: (id: number) => string },
): Promise<void> {
  if (existsSync(join(folder, "tables", "lens.parquet"))) return;
  const { config, tokenString, reportProgress, signal } = options;
  const unembeddings = {
    base: await unembeddingOf(config.base, config),
    finetuned: await unembeddingOf(config.finetuned, config),
  };
  const { threads } = config;
  await writeLens(
    folder,
    await lens({ dictionary, unembeddings, tokenString, threads, reportProgress, signal }),
  );
}
