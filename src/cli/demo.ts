// tunediff demo: the whole comparison on the bundled pair, scored against its known truth.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { generateComparisonCorpus } from "../../organisms/minichat/generator/index.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { packageRoot, packageVersion } from "../package-root.ts";
import { parseStudyConfig, type StudyConfigInput } from "../study/config.ts";
import { parseNumberOption } from "./compare.ts";
import { runStudyCommand } from "./session.ts";

/** Text of the demo: the generator's own seed is fixed, so that every seed of the dictionary sees the same store. */
const CORPUS = { seed: 1, chats: 3500, worldDocuments: 1000, bibleParagraphs: 400 } as const;

/** What suits the bundled pair; chosen on an earlier one of the same make, see docs/log.md. */
const DEMO_DICTIONARY = { nLatents: 2048, k: 5, steps: 900 } as const;
/** The last block: what the model is about to do is settled there. */
const DEMO_LAYER = 4;

/** Configuration of the demo in `folder` with this seed. */
export function demoConfig(folder: string, seed: number): StudyConfigInput {
  const pair = join(packageRoot(), "organisms", "minichat");
  return {
    base: join(pair, "base"),
    finetuned: join(pair, "finetuned"),
    data: join(folder, `corpus-${corpusName()}.jsonl`),
    layer: DEMO_LAYER,
    seed,
    dictionary: { name: `seed-${seed}`, ...DEMO_DICTIONARY },
  };
}

/** Part of the corpus file's name: changes with the generator's options and the package's version. */
function corpusName(): string {
  return createHash("sha256")
    .update(JSON.stringify([CORPUS, packageVersion()]))
    .digest("hex")
    .slice(0, 8);
}

/** Writes the demo's text to `path` (JSONL) unless it is there; the same bytes every time. */
export async function writeDemoCorpus(path: string): Promise<void> {
  if (existsSync(path)) return;
  const lines = Array.from(generateComparisonCorpus(CORPUS), (document) => `${JSON.stringify(document)}\n`);
  await writeFileAtomic(path, lines.join(""));
}

export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .description(
      "compare the bundled base model and its chat fine-tune, and score the result against the known truth",
    )
    .option("--out <folder>", "study folder; run again to go on where it stopped", "tunediff-demo")
    .option("--seed <n>", "seed of the dictionary (default: 0)")
    .option("--json", "print the result as one JSON object on stdout")
    .action(async (options: { out: string; seed?: string; json?: boolean }) => {
      const folder = resolve(options.out);
      const seed = parseNumberOption("--seed", options.seed) ?? 0;
      const config = parseStudyConfig(demoConfig(folder, seed), "command line");
      await ensureFolder(folder);
      await writeDemoCorpus(config.data);
      const commands = [`npx tunediff demo --seed ${seed}`];
      await runStudyCommand({ folder, config, commands, json: options.json === true });
    });
}
