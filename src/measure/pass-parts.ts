// measure-parts/: what a measuring pass has finished so far, so that a stopped one goes on with the groups that are missing.
//
// Each committed folder holds the parts of a few document groups as tensors "GROUP/NAME". A part that is damaged, or that was made
// from other inputs, is derived data: it is dropped and its groups are measured again. The folder goes when the tables are written.

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { commitFolder, readManifest, removeStaleTemporaries, verifyFolder } from "../formats/atomic.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { errorCode } from "../formats/disk.ts";
import {
  openSafetensors,
  type SafetensorsDtype,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { PartArray, PartArrays } from "./part-arrays.ts";

const FILE = "groups.safetensors";

type ArrayKind = new (buffer: ArrayBuffer) => PartArray;
const KINDS: [SafetensorsDtype, ArrayKind][] = [
  ["U8", Uint8Array],
  ["U16", Uint16Array],
  ["U32", Uint32Array],
  ["F32", Float32Array],
  ["F64", Float64Array],
];

export interface PassParts {
  /** Groups already finished, ascending. */
  groups: number[];
  /** Their parts, in that order. */
  read(): AsyncGenerator<{ group: number; part: PartArrays }>;
  /** Commits the parts of some groups at once. */
  write(parts: ReadonlyMap<number, PartArrays>): Promise<void>;
  /** Removes all of it. */
  remove(): Promise<void>;
}

/** identity: all that the parts depend on. Throws StorageError from the disk. */
export async function openPassParts(folder: string, identity: object): Promise<PassParts> {
  const places = new Map<number, string>();
  await removeStaleTemporaries(folder);
  for (const name of await listFolders(folder)) {
    const path = join(folder, name);
    const groups = await groupsOf(path, identity);
    if (groups === undefined) await rm(path, { recursive: true, force: true });
    else for (const group of groups) places.set(group, path);
  }
  const groups = [...places.keys()].sort((a, b) => a - b);
  return {
    groups,
    async *read() {
      for (const group of groups) {
        const file = await openSafetensors(join(places.get(group) as string, FILE));
        try {
          yield { group, part: await readPart(file, group) };
        } finally {
          await file.close();
        }
      }
    },
    async write(parts) {
      const finished = [...parts.keys()].sort((a, b) => a - b);
      const tensors = finished.flatMap((group) => tensorsOf(group, parts.get(group) as PartArrays));
      await commitFolder(
        join(folder, `from-${finished[0]}`),
        (temporary) => writeSafetensors(join(temporary, FILE), tensors),
        { identity: canonicalJson(identity), groups: finished },
      );
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function listFolders(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Groups of one committed folder; undefined when it is damaged or of other inputs. */
async function groupsOf(path: string, identity: object): Promise<number[] | undefined> {
  try {
    const { details } = await readManifest(path);
    if (details.identity !== canonicalJson(identity)) return undefined;
    await verifyFolder(path);
    return details.groups as number[];
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function tensorsOf(group: number, part: PartArrays): TensorToWrite[] {
  return Object.entries(part).map(([name, data]) => {
    const [dtype] = KINDS.find(([, Kind]) => data instanceof Kind) as [SafetensorsDtype, ArrayKind];
    return { name: `${group}/${name}`, dtype, shape: [data.length], data };
  });
}

async function readPart(file: SafetensorsFile, group: number): Promise<PartArrays> {
  const part: PartArrays = {};
  const prefix = `${group}/`;
  for (const [name, { dtype }] of file.tensors) {
    if (!name.startsWith(prefix)) continue;
    const kind = KINDS.find(([known]) => known === dtype);
    if (kind === undefined)
      throw new FormatError(`${file.path}: ${name}: expected an array of a part, got ${dtype}`);
    const { buffer } = await file.readBytes(name);
    part[name.slice(prefix.length)] = new kind[1](buffer as ArrayBuffer);
  }
  return part;
}
