// Which safetensors files hold a checkpoint's weights: one file, or the shards an index names.
//
// An index comes from strangers: shard names must be plain names inside the folder, so that none reaches a file
// elsewhere (transformers joins them unchecked). A symbolic link may only lead where the Hugging Face cache puts blobs.

import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { readFields } from "./config-fields.ts";

export interface WeightFiles {
  names: { name: string; path: string }[];
  /** Tensor → shard name; undefined for a single file. */
  weightMap: Map<string, string> | undefined;
  /** Bytes of all tensors, as the index says; undefined when nothing says so. */
  totalBytes: number | undefined;
  warnings: string[];
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const SHARD_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors$/;
const MAX_INDEX_BYTES = 250e6;
/** {"weight_map": {"tensor": "file"}} is two deep; a parser handed a million brackets would be busy for minutes. */
const MAX_INDEX_DEPTH = 8;
const MAX_TENSORS = 1e6;
const MAX_SHARDS = 10_000;

/** folder: a local path. Throws FormatError when it holds no readable weights. */
export async function findWeightFiles(folder: string): Promise<WeightFiles> {
  const present = await listFolder(folder);
  if (present.includes(SINGLE)) {
    const warnings = present.includes(INDEX)
      ? [`${folder}: holds both ${SINGLE} and ${INDEX}; the single file is read`]
      : [];
    return {
      names: [{ name: SINGLE, path: await insideFolder(folder, SINGLE) }],
      weightMap: undefined,
      totalBytes: undefined,
      warnings,
    };
  }
  if (present.includes(INDEX)) return readIndex(folder, present);
  if (present.includes("adapter_config.json")) {
    throw new FormatError(`${folder}: expected ${SINGLE} or ${INDEX}, found a LoRA adapter`, {
      hint: "an adapter is opened over its base: name the base too",
    });
  }
  const pickle = present.find((name) => /\.(bin|pt|pth|ckpt|pkl)$/.test(name));
  if (pickle !== undefined) {
    throw new FormatError(
      `${join(folder, pickle)}: expected ${SINGLE}, found only a Python pickle (opening one can run code)`,
      {
        hint: "convert it once where you trust it: python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('IN').save_pretrained('OUT')\"",
      },
    );
  }
  throw new FormatError(`${folder}: expected ${SINGLE} or ${INDEX}, found ${describe(present)}`, {
    hint: "point at the folder of a Hugging Face checkpoint",
  });
}

async function listFolder(folder: string): Promise<string[]> {
  const info = await stat(folder).catch(() => undefined);
  if (!info?.isDirectory()) {
    throw new FormatError(`${folder}: expected a checkpoint folder, found ${info ? "a file" : "nothing"}`, {
      hint: "check the path: it must be the folder that holds config.json and model.safetensors",
    });
  }
  return (await readdir(folder)).sort();
}

async function readIndex(folder: string, present: string[]): Promise<WeightFiles> {
  const place = join(folder, INDEX);
  const bad = (got: string): FormatError =>
    new FormatError(`${place}: ${got}`, {
      hint: "fetch the folder again: index and shards must come from one version",
    });
  const indexBytes = (await stat(await insideFolder(folder, INDEX))).size;
  if (indexBytes > MAX_INDEX_BYTES) throw bad(`expected at most ${MAX_INDEX_BYTES} bytes, got ${indexBytes}`);
  const { weight_map: map, metadata } = readFields(indexFields, await parseIndex(place, bad), place);
  const weightMap = new Map(Object.entries(map));
  if (weightMap.size === 0) throw bad("weight_map: expected at least one tensor, got none");
  if (weightMap.size > MAX_TENSORS)
    throw bad(`weight_map: expected at most ${MAX_TENSORS} tensors, got ${weightMap.size}`);
  const shards = [...new Set(weightMap.values())].sort();
  if (shards.length > MAX_SHARDS)
    throw bad(`weight_map: expected at most ${MAX_SHARDS} shards, got ${shards.length}`);
  const names: WeightFiles["names"] = [];
  for (const name of shards) {
    if (!SHARD_NAME.test(name)) {
      throw bad(
        `weight_map: expected plain .safetensors file names in this folder, got ${JSON.stringify(name)}`,
      );
    }
    if (!present.includes(name)) throw bad(`expected shard ${name} beside it, found ${describe(present)}`);
    names.push({ name, path: await insideFolder(folder, name) });
  }
  const counted = /-of-(\d+)\.safetensors$/.exec(shards[0]);
  const warnings =
    counted && Number(counted[1]) !== shards.length
      ? [`${place}: names ${shards.length} shards, their names say ${Number(counted[1])}`]
      : [];
  const total = metadata?.total_size;
  return { names, weightMap, totalBytes: typeof total === "number" ? total : undefined, warnings };
}

const indexFields = z.object({
  weight_map: z.record(z.string(), z.string({ error: "a file name" }), {
    error: "an object of tensor names to file names",
  }),
  metadata: z.object({ total_size: z.unknown().optional() }).nullish().catch(undefined),
});

async function parseIndex(place: string, bad: (got: string) => FormatError): Promise<unknown> {
  const bytes = await readFile(place);
  if (nestingDepth(bytes) > MAX_INDEX_DEPTH)
    throw bad(`expected JSON of at most ${MAX_INDEX_DEPTH} levels, got more`);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new FormatError(`${place}: expected JSON, got ${(cause as Error).message}`, {
      hint: "fetch the file again: it is cut short or edited badly",
      cause,
    });
  }
}

/** The deepest level of brackets outside strings, counted no further than just past the cap. */
function nestingDepth(json: Uint8Array): number {
  const [quote, backslash] = [0x22, 0x5c];
  let [depth, deepest] = [0, 0];
  let isInString = false;
  for (let i = 0; i < json.length && deepest <= MAX_INDEX_DEPTH; i += 1) {
    const byte = json[i];
    if (isInString) {
      if (byte === backslash) i += 1;
      else if (byte === quote) isInString = false;
    } else if (byte === quote) isInString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return deepest;
}

/** The path of a file whose real place is this folder or the blobs of the Hugging Face cache it belongs to. */
export async function insideFolder(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const [realFolder, realFile] = [await realpath(folder), await realpath(path).catch(() => resolve(path))];
  const isInside = (root: string): boolean => realFile.startsWith(root + sep);
  // models--org--name/{snapshots/REVISION/model.safetensors → blobs/…}
  const isCache = basename(dirname(realFolder)) === "snapshots";
  if (isInside(realFolder) || (isCache && isInside(resolve(realFolder, "..", "..", "blobs")))) return path;
  throw new FormatError(`${path}: expected a file in this folder, got a link to ${realFile}`, {
    hint: "copy the file into the folder",
  });
}

function describe(names: string[]): string {
  if (names.length === 0) return "an empty folder";
  const few = names.slice(0, 6).join(", ");
  return names.length > 6 ? `${few} and ${names.length - 6} more` : few;
}
