// tunediff verify PATH: integrity of a study, store, checkpoint or model file, byte for byte.

import { stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { FormatError, TunediffError } from "../errors.ts";
import { findCommittedFolders, verifyFolder } from "../formats/atomic.ts";
import { openSafetensors } from "../formats/safetensors.ts";

interface Verdict {
  path: string;
  ok: boolean;
  message: string;
}

async function verdictOf(path: string, check: () => Promise<string>): Promise<Verdict> {
  try {
    return { path, ok: true, message: await check() };
  } catch (error) {
    if (!(error instanceof TunediffError)) throw error;
    return { path, ok: false, message: error.message };
  }
}

/** Checks every committed folder below a path, or one .safetensors file. Nothing to check is an error. */
export async function verifyPath(path: string): Promise<Verdict[]> {
  const information = await stat(path).catch((cause: unknown) => {
    throw new FormatError(`${path}: expected a file or folder, found nothing`, {
      hint: "check the path",
      cause,
    });
  });
  if (information.isFile()) {
    return [
      await verdictOf(path, async () => {
        const file = await openSafetensors(path);
        await file.close();
        return `${file.tensors.size} tensors, header and sizes agree (the format holds no checksums)`;
      }),
    ];
  }
  const folders = await findCommittedFolders(path);
  if (folders.length === 0) {
    throw new FormatError(`${path}: expected committed folders with a manifest.json, found none`, {
      hint: "give a study, a store, a dictionary's checkpoint or a .safetensors file",
    });
  }
  const verdicts: Verdict[] = [];
  for (const folder of folders) {
    verdicts.push(
      await verdictOf(relative(path, folder) || ".", async () => {
        const manifest = await verifyFolder(folder);
        return `${Object.keys(manifest.files).length} files, every block's checksum agrees`;
      }),
    );
  }
  return verdicts;
}

export function addVerifyCommand(program: Command): void {
  program
    .command("verify")
    .description("check the integrity of a study, store, checkpoint or .safetensors file")
    .argument("<path>", "folder or file")
    .option("--json", "print the verdicts as one JSON object on stdout")
    .action(async (path: string, options: { json?: boolean }) => {
      const verdicts = await verifyPath(resolve(path));
      const bad = verdicts.filter((verdict) => !verdict.ok);
      if (options.json === true)
        process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ok: bad.length === 0, verdicts })}\n`);
      for (const verdict of options.json === true ? bad : verdicts) {
        process.stderr.write(`${verdict.ok ? "ok " : "BAD"}  ${verdict.path}  ${verdict.message}\n`);
      }
      if (bad.length > 0) {
        throw new FormatError(`${join(path)}: ${bad.length} of ${verdicts.length} parts are damaged`, {
          hint: "delete the damaged folders and run the study again: only they are made again",
        });
      }
    });
}
