// tunediff stability STUDY: other seeds and sizes of a study's dictionary, and which of its claims they make, too.

import { join } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../errors.ts";
import type { StabilityCounts } from "../measure/stability.ts";
import type { StabilityRecord } from "../measure/stability-file.ts";
import { runStabilityStudy, type StabilityStudy } from "../study/stability-study.ts";
import { parseNumberOption } from "./compare.ts";
import { runLateCommand } from "./session.ts";
import { pc } from "./terminal.ts";

interface StabilityFlags {
  seeds?: string;
  latents?: string;
  json?: boolean;
}

/** "1024,4096" → [1024, 4096]; undefined when absent. Throws ConfigError. */
export function parseSizes(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const sizes = text.split(",").map((part) => part.trim());
  if (sizes.every((size) => /^[1-9]\d*$/.test(size))) return sizes.map(Number);
  throw new ConfigError(`--latents: expected sizes such as 1024,4096, got "${text}"`, {
    hint: "one dictionary of each size is trained besides those of other seeds",
  });
}

export function addStabilityCommand(program: Command): void {
  program
    .command("stability")
    .description(
      "train the dictionary again with other seeds and sizes, and count which claims come out again",
    )
    .argument(
      "<study>",
      "study folder, made by `compare` or holding a study.yaml; earlier stages run first if they must",
    )
    .option(
      "--seeds <n>",
      "dictionaries to train besides the study's own, with the seeds after its own (default: 3)",
    )
    .option("--latents <n,n,…>", "sizes of further dictionaries, one each")
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      "\nA latent is found again where another dictionary has a latent that is its mutual best by decoder cosine, with cosine ≥ 0.7\nand correlation of activations ≥ 0.5 on held-out rows. Run again to go on where it stopped.\n",
    )
    .action((study: string, flags: StabilityFlags) => {
      const seeds = parseNumberOption("--seeds", flags.seeds);
      const latents = parseSizes(flags.latents);
      return runLateCommand<StabilityStudy>(study, {
        work: (common) => runStabilityStudy({ ...common, seeds, latents }),
        text: stabilityText,
        json: ({ record: { schemaVersion, ...record } }, folder) =>
          flags.json === true ? { schemaVersion, folder, ...record } : undefined,
      });
    });
}

/** The closing lines for people. Pure. */
export function stabilityText({
  record,
  dictionaryFolder,
  reused,
}: Omit<StabilityStudy, "warnings">): string {
  const { counts, others, reference, thresholds } = record;
  const names = others.map(({ nLatents, seed }) =>
    nLatents === reference.nLatents ? `seed ${seed}` : `${nLatents} latents`,
  );
  const line = (name: string, text: string): string => `  ${name.padEnd(20)}${text}`;
  const lines = [
    "",
    pc.bold(
      `What comes out again in ${others.length === 1 ? "another dictionary" : `${others.length} other dictionaries`}`,
    ),
    line("compared with", names.join(", ")),
    line("finetuned-specific", claimText(counts.finetunedSpecific, others.length)),
    line("base-specific", claimText(counts.baseSpecific, others.length)),
    line("to compare", unclaimedText(counts)),
    line(
      "found again",
      `mutual best, cosine ≥ ${thresholds.cosineAtLeast}, correlation ≥ ${thresholds.correlationAtLeast} over ${record.nRows} held-out rows`,
    ),
    line(
      "table",
      `${pc.cyan(join(dictionaryFolder, "tables", "stability.parquet"))}${reused ? " (already done, not repeated)" : ""}`,
    ),
  ];
  return lines.join("\n");
}

/** "112 of 174 claims were found again by all 3 others, 150 by at least one; all 3 claim 98 of them, too". */
function claimText(counts: StabilityCounts, nOthers: number): string {
  const { latents, directionFoundInAll, directionFoundInAny, claimReplicatedInAll } = counts;
  if (latents === 0) return "no claims";
  const found = `${pc.bold(String(directionFoundInAll))} of ${latents} ${latents === 1 ? "claim was" : "claims were"} found again by`;
  return nOthers === 1
    ? `${found} the other one, which claims ${claimReplicatedInAll} of them, too`
    : `${found} all ${nOthers} others, ${directionFoundInAny} by at least one; all ${nOthers} claim ${claimReplicatedInAll} of them, too`;
}

/** What chance and shared concepts give: the claims' shares are to be held against these. */
function unclaimedText({ leaningUnclaimed, shared }: StabilityRecord["counts"]): string {
  const share = ({ compared, meanDirectionFound }: StabilityCounts, what: string): string[] =>
    meanDirectionFound === null ? [] : [`${(100 * meanDirectionFound).toFixed(0)} % of ${compared} ${what}`];
  const shares = [
    ...share(leaningUnclaimed, "latents that lean to a side and are not claimed"),
    ...share(shared, "shared ones"),
  ];
  return shares.length === 0
    ? "no other latent fired"
    : `on average another dictionary has ${shares.join(" and ")}`;
}
