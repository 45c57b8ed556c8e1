// A finished tiny study for tests of the live labs: two random models with a chat template that opens answers, a store that rounds nothing.
// Made once a run; each test file works on a copy.

import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readStudyConfig, type StudyConfig, writeStudyConfig } from "../src/study/config.ts";
import { runStudy } from "../src/study/run-study.ts";
import { TINY_TEMPLATE } from "./golden/text/tiny-tokenizer.ts";
import { madeOnce } from "./made-once.ts";
import { makeTinyStudy } from "./tiny-study.ts";

export interface LabStudy {
  /** A temporary folder; the study lies in it. */
  root: string;
  folder: string;
  dictionaryFolder: string;
  config: StudyConfig;
  remove(): Promise<void>;
}

const OPENED = `${TINY_TEMPLATE}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`;

/** Up to and with the lens; rows in f32, so that what is stored is what a model gives. */
export async function makeLabStudy(): Promise<LabStudy> {
  const made = await madeOnce("lab-study", make);
  const root = await mkdtemp(join(tmpdir(), "tunediff-lab-study-"));
  const folder = join(root, "study");
  await cp(join(made, "study"), folder, { recursive: true });
  const config = await readStudyConfig(join(folder, "study.yaml"));
  return {
    ...{ root, folder, config, dictionaryFolder: join(folder, "dictionaries", "main") },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

async function make(place: string): Promise<void> {
  const tiny = await makeTinyStudy();
  try {
    const { base, finetuned, data, store } = tiny.config;
    const own = {
      base: join(place, "base"),
      finetuned: join(place, "finetuned"),
      data: join(place, "text.jsonl"),
    };
    await cp(data, own.data);
    for (const side of ["base", "finetuned"] as const) {
      await cp(side === "base" ? base : finetuned, own[side], { recursive: true });
      await writeFile(join(own[side], "chat_template.jinja"), OPENED);
    }
    const config = { ...tiny.config, ...own, layer: 0, store: { ...store, dtype: "f32" as const } };
    const folder = join(place, "study");
    await runStudy({ folder, config, commands: [], until: "lens" });
    await writeStudyConfig(join(folder, "study.yaml"), config);
  } finally {
    await tiny.remove();
  }
}
