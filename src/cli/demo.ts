// tunediff demo: the whole comparison on the bundled pair, scored against its known truth; --full: all that says how sure it is.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import {
  CONCEPTS,
  generateBehaviourProbes,
  generateComparisonCorpus,
} from "../../organisms/minichat/generator/index.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { packageRoot, packageVersion } from "../package-root.ts";
import type { SparsityFigures } from "../report/sparsity-comparison.ts";
import { runCausalStudy } from "../study/causal-study.ts";
import { parseStudyConfig, type StudyConfig, type StudyConfigInput } from "../study/config.ts";
import { runFullDemo } from "../study/demo-full.ts";
import { glanceAtStudy } from "../study/glance-study.ts";
import { type ComparisonResult, collectResult } from "../study/result.ts";
import type { StudyOptions } from "../study/run-study.ts";
import { parseNumberOption } from "./compare.ts";
import { interruptSignal, runStudyCommand } from "./session.ts";
import { createProgressPrinter, pc } from "./terminal.ts";

/** Text of the demo: the generator's own seed is fixed, so that every seed of the dictionary sees the same store. */
const CORPUS = { seed: 1, chats: 3500, worldDocuments: 1000, bibleParagraphs: 400 } as const;

/** What suits the bundled pair; chosen on an earlier one of the same make, see docs/log.md. */
const DEMO_DICTIONARY = { nLatents: 3072, k: 4, steps: 900 } as const;
/** Chats whose answers are patched, and latents that are added and removed one by one, claims first. */
const DEMO_CAUSAL = { conversations: 100, most: 250 } as const;
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
    .option(
      "--full",
      "then also steered answers, another sparsity (ReLU + L1), 3 other seeds and 3 null pairs: several minutes more",
    )
    .option("--json", "print the result as one JSON object on stdout")
    .action(async (options: { out: string; seed?: string; full?: boolean; json?: boolean }) => {
      const folder = resolve(options.out);
      const seed = parseNumberOption("--seed", options.seed) ?? 0;
      const config = parseStudyConfig(demoConfig(folder, seed), "command line");
      await ensureFolder(folder);
      await writeDemoCorpus(config.data);
      const isFull = options.full === true;
      const isJson = options.json === true;
      const commands = [`npx tunediff demo --seed ${seed}${isFull ? " --full" : ""}`];
      // The plain result first; the one object on stdout comes last and holds all.
      await runStudyCommand({ folder, config, commands, json: isJson && !isFull, late: demoTables });
      if (isFull) await runFullCommand({ folder, config, commands, json: isJson });
    });
}

/** A glance at the pair, and what the claims do to the answers. */
async function demoTables(
  options: Pick<StudyOptions, "folder" | "config" | "reportProgress" | "signal">,
): Promise<string[]> {
  await glanceAtStudy(options);
  return (await runCausalStudy({ ...options, ...DEMO_CAUSAL })).warnings;
}

/** Probes of the generator's own, which no corpus holds: for each refusal, and some that call for nothing. */
const PROBES = { seed: 7, perConcept: 6, unplanted: 12 } as const;

/** Do the refusals' latents make the base refuse, or the fine-tune unasked? Into tables/causal.json, beside what is there. */
export async function countRefusals(
  options: Pick<StudyOptions, "folder" | "config" | "reportProgress" | "signal">,
): Promise<string[]> {
  const refusals = CONCEPTS.filter(({ kind }) => kind === "refusal");
  const names = refusals.map(({ name }) => name);
  const prompts = (["heldout", "test"] as const).flatMap((split) =>
    Array.from(generateBehaviourProbes({ ...PROBES, split })).filter(
      ({ expected }) => expected === null || names.includes(expected),
    ),
  );
  const path = join(options.folder, "refusals.json");
  const behaviours = refusals.map(({ name, description, detect }) => ({ name, description, detect }));
  await writeFileAtomic(path, `${JSON.stringify({ prompts, behaviours })}\n`);
  const asked = { ...DEMO_CAUSAL, parts: ["behaviours"], behaviours: path } as const;
  return (await runCausalStudy({ ...options, ...asked })).warnings;
}

async function runFullCommand({
  folder,
  config,
  commands,
  json,
}: {
  folder: string;
  config: StudyConfig;
  commands: string[];
  json: boolean;
}): Promise<void> {
  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  try {
    const common = { folder, config, reportProgress: printer.report, signal: interrupt.signal };
    const onPart = (words: string): void => {
      printer.finish();
      process.stderr.write(`\n${pc.bold(words)}\n`);
    };
    onPart("refusals: answers of both models, steered with each refusal's latent");
    await countRefusals(common);
    const run = await runFullDemo({ ...common, commands, onPart });
    printer.finish();
    const result = await collectResult(folder, config, run);
    process.stderr.write(`${fullText(result)}\n`);
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    printer.finish();
    interrupt.release();
  }
}

/** What --full adds, for people. Pure. */
export function fullText({ verdicts, nullPairs, stability, sparsities, report }: ComparisonResult): string {
  const line = (name: string, text: string): string => `  ${name.padEnd(24)}${text}`;
  const lines = [
    "",
    pc.bold("How sure"),
    line(
      "verdicts",
      `${verdicts.genuine} genuine, ${verdicts.uncertain} uncertain, of all latents that lean`,
    ),
  ];
  if (nullPairs !== null) {
    const { expectedFalseClaims: expected, claimsUpTo, counts, draws } = nullPairs;
    lines.push(
      line(
        `${draws} null pairs`,
        `${shortMean(expected.finetuned)} finetuned-specific claims on average where nothing was learned (here ${counts.finetuned.claims}), ${shortMean(expected.base)} base-specific (here ${counts.base.claims})`,
      ),
      line(
        "finetuned-specific at",
        claimsUpTo.map(({ q, finetuned }) => `q ≤ ${q}: ${finetuned}`).join(", "),
      ),
    );
  }
  if (stability !== null) {
    const { finetunedSpecific: claims, leaningUnclaimed } = stability.counts;
    lines.push(
      line(
        `${stability.others} other seeds`,
        `${claims.directionFoundInAll} of ${claims.latents} finetuned-specific claims found again by all, ${claims.claimReplicatedInAll} claimed by all`,
      ),
      line(
        "  on average",
        `${percentOf(claims.meanDirectionFound)} of them find a claim and ${percentOf(claims.meanClaimReplicated)} claim it, too (a latent that leans and is not claimed: ${percentOf(leaningUnclaimed.meanDirectionFound)} and ${percentOf(leaningUnclaimed.meanClaimReplicated)})`,
      ),
    );
  }
  if (sparsities !== null) lines.push("", pc.bold("Beside another sparsity"), ...sparsityLines(sparsities));
  lines.push("", line("report", pc.cyan(report)));
  return lines.join("\n");
}

function sparsityLines(sparsities: readonly SparsityFigures[]): string[] {
  const row = (name: string, value: (figures: SparsityFigures) => string): string =>
    `  ${name.padEnd(24)}${sparsities.map((figures) => value(figures).padStart(26)).join("")}`;
  const decimals = (value: number, digits: number): string => value.toFixed(digits);
  return [
    row("", ({ sparsity }) => sparsity),
    row("FVE base, finetuned", ({ fve }) => `${decimals(fve.base, 3)}, ${decimals(fve.finetuned, 3)}`),
    row("L0", ({ l0 }) => decimals(l0, 1)),
    row("dead", ({ deadFraction }) => percentOf(deadFraction)),
    row("shared, base-only", ({ counts }) => `${counts.shared}, ${counts.baseOnly}`),
    row("finetuned-only by norm", ({ byNorm }) => String(byNorm.latents)),
    row("  flagged of those judged", ({ byNorm }) => `${byNorm.flagged} of ${byNorm.judged}`),
    row("finetuned-specific", ({ counts }) => String(counts.finetunedSpecific)),
    row("twins", ({ twins }) => String(twins)),
    row("recall, permuted", ({ truth }) =>
      truth === null ? "no truth" : `${decimals(truth.recall, 2)}, ${decimals(truth.permutedRecall, 2)}`,
    ),
    row("precision with template", ({ truth }) =>
      truth?.precisionWithTemplate == null ? "none" : decimals(truth.precisionWithTemplate, 2),
    ),
  ];
}

const percentOf = (share: number | null): string =>
  share === null ? "none" : `${(100 * share).toFixed(0)} %`;

const shortMean = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
