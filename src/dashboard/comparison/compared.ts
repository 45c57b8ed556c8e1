// Two dictionaries side by side: what the overview does not say of each, and in which ways their latents can be matched.
//
// Directions mean something across only where both dictionaries read the same model at the same layer; places only where both were measured on
// text cut into the same tokens. Each way says why it is possible, or why not.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { MODEL_FILE } from "../../dictionary/dictionary-file.ts";
import { TunediffError } from "../../errors.ts";
import { readManifest } from "../../formats/atomic.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { ComparedDictionary, Comparison, MatchingWay } from "../api-contract.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { findMeasuredStore } from "../measured-store.ts";
import { openDecoder } from "./decoder-rows.ts";
import { SIDE_CODES } from "./match-contract.ts";

const DOCUMENTS_FILE = "documents.jsonl";

export async function readComparison(a: DictionaryView, b: DictionaryView): Promise<Comparison> {
  return {
    a: await readCompared(a),
    b: await readCompared(b),
    matching: { direction: await directionWay(a, b), place: (await placeWay(a, b)).way },
  };
}

async function readCompared(view: DictionaryView): Promise<ComparedDictionary> {
  return {
    measured: await view.part("measure", ({ summary, inputs }) => ({
      ...{ storeSha256: inputs.storeSha256, split: inputs.split },
      ...{ nRows: summary.nRows, nDocuments: summary.nDocuments, datasets: [...summary.categories.dataset] },
      inferenceThreshold: Number.isFinite(summary.inferenceThreshold) ? summary.inferenceThreshold : null,
      scalingDirections: summary.scalingDirections,
    })),
    training: await view.part("training", ({ config, constants, rows, store, shards, version, backend }) => ({
      ...plainValues({ ...config, ...constants }),
      ...{ store, rowsTrained: rows.trained, shards: shards ?? null, version, backend },
    })),
  };
}

/** Numbers, words and truths; what is nested as "sparsity.kind". Paths of the disk are left out. */
function plainValues(record: object, prefix = ""): Record<string, number | string | boolean | null> {
  const values: Record<string, number | string | boolean | null> = {};
  for (const [key, value] of Object.entries(record)) {
    const name = prefix + key;
    if (name === "warmStart") values[name] = true;
    else if (typeof value === "number") values[name] = Number.isFinite(value) ? value : null;
    else if (typeof value === "string" || typeof value === "boolean") values[name] = value;
    else if (typeof value === "object" && value !== null && !Array.isArray(value))
      Object.assign(values, plainValues(value, `${name}.`));
  }
  return values;
}

/** Which model a half of a dictionary reads, and where. */
interface HalfPlace {
  /** Of config and weights; "" where the study does not say. */
  hash: string;
  layer: number;
  width: number;
}

export async function directionWay(a: DictionaryView, b: DictionaryView): Promise<MatchingWay> {
  const [ofA, ofB] = [await halfPlaces(a), await halfPlaces(b)];
  if (ofA === undefined || ofB === undefined)
    return impossible("The weights of one of the two are not there, or cannot be read.");
  const isOneStudy = a.study.id === b.study.id;
  const differences: string[] = [];
  const halves = SIDE_CODES.filter((side) => {
    const [mine, theirs] = [ofA.get(side), ofB.get(side)];
    const difference = differenceOf(mine, theirs, isOneStudy);
    if (difference !== "") differences.push(`${side}: ${difference}`);
    return difference === "";
  });
  const why = differences.join("; ");
  if (halves.length === 0)
    return impossible(`A direction in one dictionary means nothing in the other (${why}).`);
  if (halves.length < SIDE_CODES.length) {
    const words = `Only ${halves[0]} decoder rows lie in one space (${why}): claims of the other side are not compared.`;
    return { isPossible: true, words, halves };
  }
  return {
    isPossible: true,
    words: "Both read the same two models at the same layer: their decoder rows lie in one space.",
    halves,
  };
}

function differenceOf(a: HalfPlace | undefined, b: HalfPlace | undefined, isOneStudy: boolean): string {
  if (a === undefined || b === undefined) return "one of the two dictionaries does not read it";
  if (a.width !== b.width) return `widths ${a.width} and ${b.width}`;
  if (a.layer !== b.layer) return `layers ${a.layer} and ${b.layer}`;
  if (isOneStudy) return "";
  if (a.hash === "" || b.hash === "") return "one of the studies does not say which model it is";
  return a.hash === b.hash ? "" : "other weights";
}

/** Undefined where the dictionary's file is missing or damaged. */
async function halfPlaces(view: DictionaryView): Promise<Map<ModelSide, HalfPlace> | undefined> {
  const { layer } = (await view.study.facts()).entry;
  const lock = await readLock(view.study.folder);
  try {
    const decoder = await openDecoder(join(view.folder, MODEL_FILE));
    try {
      return new Map(
        decoder.sites.map((site) => [
          site.model,
          // A file of others does not say its layer.
          {
            hash: lock[site.model],
            layer: site.layer < 0 ? layer[site.model] : site.layer,
            width: site.width,
          },
        ]),
      );
    } finally {
      await decoder.close();
    }
  } catch (error) {
    if (error instanceof TunediffError) return undefined;
    throw error;
  }
}

/** Hashes of the models; "" for what study.lock.json does not say. */
async function readLock(folder: string): Promise<Record<ModelSide, string>> {
  let lock: Partial<Record<ModelSide, { hash?: unknown }>> = {};
  try {
    lock = (JSON.parse(await readFile(join(folder, "study.lock.json"), "utf8")) ?? {}) as typeof lock;
  } catch {
    // No lock, or half of one: nothing is known of the models.
  }
  const hashOf = (side: ModelSide): string =>
    typeof lock[side]?.hash === "string" ? (lock[side].hash as string) : "";
  return { base: hashOf("base"), finetuned: hashOf("finetuned") };
}

export interface PlaceWay {
  way: MatchingWay;
  /** The documents of both stores, where rows are not the same; null: they are. */
  documents: { a: string; b: string } | null;
}

export async function placeWay(a: DictionaryView, b: DictionaryView): Promise<PlaceWay> {
  const refused = (words: string): PlaceWay => ({ way: impossible(words), documents: null });
  const possible = (words: string, documents: PlaceWay["documents"]): PlaceWay => ({
    way: { isPossible: true, words, halves: [...SIDE_CODES] },
    documents,
  });
  const shas = [];
  for (const view of [a, b]) {
    const examples = await view.part("examples", () => true);
    const sha = await view.part("measure", ({ inputs }) => inputs.storeSha256);
    if (sha.state !== "made" || examples.state !== "made")
      return refused("One of the two has no examples: it has not been measured.");
    shas.push(sha.value);
  }
  if (shas[0] === shas[1]) return possible("Both were measured on the same store.", null);
  const stores = [await findStore(a, shas[0]), await findStore(b, shas[1])];
  const [mine, theirs] = stores;
  if (mine === undefined || theirs === undefined) {
    return refused(
      "They were measured on two stores, and one of them is not there any more: where its documents begin is not known.",
    );
  }
  if (mine.tokenizerHash !== theirs.tokenizerHash)
    return refused("The two stores cut text into other tokens: a token of one is none of the other.");
  if (mine.documentsSha256 === theirs.documentsSha256)
    return possible("Both were measured on the same documents, cut into the same tokens.", null);
  const documents = {
    a: join(mine.folder, "rows", DOCUMENTS_FILE),
    b: join(theirs.folder, "rows", DOCUMENTS_FILE),
  };
  return possible(
    "They were measured on two stores: documents of the same id and length count as the same, others as places that only one of them has.",
    documents,
  );
}

interface FoundStore {
  folder: string;
  tokenizerHash: string;
  documentsSha256: string;
}

/** The study's finished store whose manifest has this SHA-256 (measure-files.ts). */
async function findStore(view: DictionaryView, sha256: string): Promise<FoundStore | undefined> {
  const found = await findMeasuredStore(join(view.study.folder, "stores"), sha256);
  if (found === undefined) return undefined;
  const { folder, tokenizerHash } = found;
  const { files } = await readManifest(join(folder, "rows"));
  const documents = files.find((file) => file.name === DOCUMENTS_FILE);
  return { folder, tokenizerHash, documentsSha256: documents?.sha256 ?? "" };
}

function impossible(words: string): MatchingWay {
  return { isPossible: false, words, halves: [] };
}
