// What can be said of a study's models from their small files, before any is loaded: that they are there, their context, their chat template.
//
// Words go to the browser: no path of the disk is in them.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { TunediffError } from "../../errors.ts";
import { isAdapterFolder } from "../../lm/adapter.ts";
import { readArchitecture } from "../../lm/config.ts";
import { readStudyConfig, type StudyConfig } from "../../study/config.ts";
import { loadChatTemplate } from "../../text/chat-template.ts";
import { ApiFailure, withoutPaths } from "../errors-out.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";

/** Throws ApiFailure 409: no study.yaml that can be read, or a model that is not where it says. */
export async function findStudyModels(studyFolder: string): Promise<StudyConfig> {
  const config = await inWords(() => readStudyConfig(join(studyFolder, "study.yaml")));
  for (const [name, folder] of [
    ["base", config.base],
    ["finetuned", config.finetuned],
  ]) {
    if (await exists(folder)) continue;
    throw new ApiFailure(
      409,
      `the ${name} model of this study is not where study.yaml says`,
      `put its folder back, or write its new place into ${name} of study.yaml`,
    );
  }
  return config;
}

/** Throws ApiFailure 409 as findStudyModels, and for model files that cannot be read. */
export async function describeModels(
  studyFolder: string,
): Promise<{ contextTokens: number; hasChatTemplate: boolean }> {
  const { base, finetuned } = await findStudyModels(studyFolder);
  return inWords(async () => {
    const isAdapter = (await isAdapterFolder(finetuned)) && !(await exists(join(finetuned, "config.json")));
    const positions: number[] = [];
    for (const folder of isAdapter ? [base] : [base, finetuned]) {
      positions.push((await readArchitecture(folder)).config.maxPositions);
    }
    const template = (await loadChatTemplate(finetuned, {})) ?? (await loadChatTemplate(base, {}));
    return {
      contextTokens: Math.min(...positions, LAB_SETTINGS.tokens),
      hasChatTemplate: template !== undefined,
    };
  });
}

async function inWords<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TunediffError)) throw error;
    throw new ApiFailure(409, withoutPaths(error.message), withoutPaths(error.hint ?? ""));
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
