// tunediff verify PATH: integrity of a study, store, dictionary, model folder or .safetensors file, byte for byte.
//
// Committed folders carry checksums of every block; a finished dictionary its SHA-256; other safetensors files are checked
// for structure only, because the format holds no checksum.

import { readdir, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { FormatError, TunediffError } from "../errors.ts";
import { findCommittedFolders, verifyFolder } from "../formats/atomic.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { fileSha256, RECORD_FILE, readTrainingRecord } from "../training/training-record.ts";

interface Verdict {
  path: string;
  ok: boolean;
  message: string;
}

interface Check {
  path: string;
  /** What was found right, as a phrase. Throws a TunediffError when something is wrong. */
  run: () => Promise<string>;
}

function folderCheck(folder: string): Check {
  return {
    path: folder,
    run: async () => {
      const { files } = await verifyFolder(folder);
      return `${files.length} file${files.length === 1 ? "" : "s"}, every block's checksum agrees`;
    },
  };
}

function structureCheck(path: string): Check {
  return {
    path,
    run: async () => {
      const file = await openSafetensors(path);
      await file.close();
      return `${file.tensors.size} tensors, header and sizes agree (the format holds no checksum)`;
    },
  };
}

function dictionaryCheck(folder: string): Check {
  const path = join(folder, "model.safetensors");
  return {
    path,
    run: async () => {
      const record = await readTrainingRecord(folder);
      const sha256 = await fileSha256(path);
      if (record?.modelSha256 !== sha256) {
        throw new FormatError(
          `${path}: expected SHA-256 ${record?.modelSha256} (training.json), got ${sha256}`,
        );
      }
      return "SHA-256 agrees with training.json";
    },
  };
}

async function checksBelow(folder: string): Promise<Check[]> {
  const committed = await findCommittedFolders(folder);
  const inCommitted = (path: string): boolean => committed.some((one) => path.startsWith(`${one}/`));
  const files = ((await readdir(folder, { recursive: true })) as string[])
    .map((file) => join(folder, file))
    .filter((path) => !inCommitted(path))
    .sort();
  const dictionaries = new Set(files.filter((path) => path.endsWith(`/${RECORD_FILE}`)).map(dirname));
  const loose = files.filter((path) => path.endsWith(".safetensors") && !dictionaries.has(dirname(path)));
  return [
    ...committed.map(folderCheck),
    ...[...dictionaries].map(dictionaryCheck),
    ...loose.map(structureCheck),
  ];
}

/** Checks everything at or below a path. Throws FormatError when there is nothing to check. */
export async function verifyPath(path: string): Promise<Verdict[]> {
  const information = await stat(path).catch((cause: unknown) => {
    throw new FormatError(`${path}: expected a file or folder, found nothing`, {
      hint: "check the path",
      cause,
    });
  });
  const checks = information.isFile() ? [structureCheck(path)] : await checksBelow(path);
  if (checks.length === 0) {
    throw new FormatError(`${path}: expected committed folders or .safetensors files, found none`, {
      hint: "give a study, a store, a dictionary, a model folder or a .safetensors file",
    });
  }
  const verdicts: Verdict[] = [];
  for (const check of checks) {
    const shown = relative(path, check.path) || check.path;
    try {
      verdicts.push({ path: shown, ok: true, message: await check.run() });
    } catch (error) {
      if (!(error instanceof TunediffError)) throw error;
      verdicts.push({ path: shown, ok: false, message: error.message });
    }
  }
  return verdicts;
}

export function addVerifyCommand(program: Command): void {
  program
    .command("verify")
    .description("check the integrity of a study, store, dictionary, model folder or .safetensors file")
    .argument("<path>", "folder or file")
    .option("--json", "print the verdicts as one JSON object on stdout")
    .action(async (path: string, options: { json?: boolean }) => {
      const verdicts = await verifyPath(resolve(path));
      const bad = verdicts.filter((verdict) => !verdict.ok);
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ok: bad.length === 0, verdicts })}\n`);
      }
      for (const verdict of options.json === true ? bad : verdicts) {
        process.stderr.write(`${verdict.ok ? "ok " : "BAD"}  ${verdict.path}  ${verdict.message}\n`);
      }
      if (bad.length > 0) {
        throw new FormatError(
          `${path}: expected every part whole, found ${bad.length} of ${verdicts.length} damaged`,
          {
            hint: "move the damaged parts away and run the study again: only they are made again",
          },
        );
      }
    });
}
