// tunediff causal STUDY: what the dictionary's latents do to the answers when they are added, replaced or removed.

import { join } from "node:path";
import type { Command } from "commander";
import {
  type BehaviourArm,
  type BehaviourRate,
  type InterventionOutcome,
  type PaperChoices,
  type SpliceOutcome,
  TOKEN_SETS,
} from "../causal/causal-contract.ts";
import { CAUSAL_PARTS, type CausalPart, type CausalRecord } from "../causal/causal-file.ts";
import { ConfigError } from "../errors.ts";
import { SPLITS, type Split } from "../store/rows.ts";
import { CAUSAL_DEFAULTS, type CausalStudy, runCausalStudy } from "../study/causal-study.ts";
import { parseNumberOption } from "./compare.ts";
import { runLateCommand } from "./session.ts";
import { pc } from "./terminal.ts";

interface CausalFlags {
  conversations?: string;
  split?: string;
  data?: string;
  answers?: string;
  pool?: string;
  latents?: string;
  most?: string;
  parts?: string;
  behaviours?: string;
  behaviour?: string[];
  unedited?: string;
  draws?: string;
  klDirection?: string;
  decoderBias?: string;
  rest?: string;
  leading?: string;
  nuRank?: string;
  json?: boolean;
}

export function addCausalCommand(program: Command): void {
  program
    .command("causal")
    .description(
      "add, replace and remove latents between the models, and measure what that does to the answers",
    )
    .argument(
      "<study>",
      "study folder, made by `compare` or holding a study.yaml; earlier stages run first if they must",
    )
    .option("--conversations <n>", `most conversations (default: ${CAUSAL_DEFAULTS.conversations})`)
    .option(
      "--split <name>",
      `of the stored text: train, heldout or test (default: ${CAUSAL_DEFAULTS.split})`,
    )
    .option("--data <file>", "JSONL file of chats to use instead of the stored ones")
    .option(
      "--answers <which>",
      "written: those of the text; finetuned: the fine-tune answers anew, as in the paper (default: written)",
    )
    .option("--pool <n>", "candidates: the n of greatest deltaNorm (default: all that lean to the fine-tune)")
    .option(
      "--latents <n,n,…>",
      "latents to add and remove one by one (default: all candidates, claims first)",
    )
    .option("--most <n>", "most of them (default: 500)")
    .option("--parts <name,…>", `of ${CAUSAL_PARTS.join(", ")} (default: all; behaviours with --behaviours)`)
    .option(
      "--behaviours <file>",
      "count named behaviours in answers steered with their latents; see docs/formats.md",
    )
    .option("--behaviour <name...>", "of that file (default: all that have a latent)")
    .option(
      "--unedited <n>",
      "leading tokens at which nothing is edited (default: BOS and the study's skipFirst)",
    )
    .option("--draws <n>", "of the bootstrap (default: 1000)")
    .option(
      "--kl-direction <which>",
      "code: KL(finetuned, hybrid); paper: the other way round (default: code)",
    )
    .option(
      "--decoder-bias <which>",
      "omit, as the paper's code, or swap, for exact reconstructions (default: omit)",
    )
    .option("--rest <which>", "all-but-nine, as the paper's code, or after-nine (default: all-but-nine)")
    .option(
      "--leading <which>",
      "residual at unedited leading tokens: finetuned, as the paper's code, or base (default: finetuned)",
    )
    .option(
      "--nu-rank <which>",
      "signed, as the paper's code, or absolute, as its tables 5 and 6 (default: signed)",
    )
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      "\nExamples:\n  $ tunediff causal study\n  $ tunediff causal study --answers finetuned --conversations 500\n  $ tunediff causal study --latents 12,70 --parts effects\n\nRun again to go on where it stopped.\n",
    )
    .action((study: string, flags: CausalFlags) => {
      const asked = parseCausalFlags(flags);
      return runLateCommand<CausalStudy>(study, {
        work: (common) => runCausalStudy({ ...common, ...asked }),
        text: causalText,
        json: ({ record: { schemaVersion, ...record } }, folder) =>
          flags.json === true ? { schemaVersion, folder, ...record } : undefined,
      });
    });
}

/** Throws ConfigError for a flag that says nothing known. */
export function parseCausalFlags(
  flags: CausalFlags,
): Omit<Parameters<typeof runCausalStudy>[0], "folder" | "config"> {
  const pool = parseNumberOption("--pool", flags.pool);
  const choices: Partial<PaperChoices> = {
    ...chosen("klDirection", pick("--kl-direction", flags.klDirection, KL_DIRECTIONS)),
    ...chosen("decoderBias", oneOf("--decoder-bias", flags.decoderBias, ["omit", "swap"] as const)),
    ...chosen("restOf", oneOf("--rest", flags.rest, ["all-but-nine", "after-nine"] as const)),
    ...chosen("leading", oneOf("--leading", flags.leading, ["finetuned", "base"] as const)),
    ...chosen("nuRank", oneOf("--nu-rank", flags.nuRank, ["signed", "absolute"] as const)),
  };
  return {
    conversations: parseNumberOption("--conversations", flags.conversations),
    split: oneOf<Split>("--split", flags.split, SPLITS),
    data: flags.data,
    answers: oneOf("--answers", flags.answers, ["written", "finetuned"] as const),
    pool,
    latents: numbers("--latents", flags.latents),
    most: parseNumberOption("--most", flags.most),
    parts: flags.parts?.split(",").map((part) => oneOf<CausalPart>("--parts", part.trim(), CAUSAL_PARTS)!),
    behaviours: flags.behaviours,
    behaviourNames: flags.behaviour,
    unedited: parseNumberOption("--unedited", flags.unedited),
    draws: parseNumberOption("--draws", flags.draws),
    choices,
  };
}

const KL_DIRECTIONS = { code: "finetuned-from-hybrid", paper: "hybrid-from-finetuned" } as const;

function chosen<K extends keyof PaperChoices>(
  key: K,
  value: PaperChoices[K] | undefined,
): Partial<PaperChoices> {
  return value === undefined ? {} : ({ [key]: value } as Partial<PaperChoices>);
}

function pick<T extends string>(
  flag: string,
  text: string | undefined,
  words: Record<string, T>,
): T | undefined {
  const word = oneOf(flag, text, Object.keys(words));
  return word === undefined ? undefined : words[word];
}

function oneOf<T extends string>(flag: string, text: string | undefined, known: readonly T[]): T | undefined {
  if (text === undefined) return undefined;
  const found = known.find((word) => word === text);
  if (found !== undefined) return found;
  throw new ConfigError(`${flag}: expected ${known.join(", ")}, got "${text}"`, {
    hint: "see `tunediff causal --help`",
  });
}

function numbers(flag: string, text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const parts = text.split(",").map((part) => part.trim());
  if (parts.every((part) => /^\d+$/.test(part))) return parts.map(Number);
  throw new ConfigError(`${flag}: expected numbers such as 12,70, got "${text}"`, {
    hint: "latents are numbered as in the report, from 0",
  });
}

/** The closing lines for people. Pure. */
export function causalText({ record, dictionaryFolder, reused }: Omit<CausalStudy, "warnings">): string {
  return [
    "",
    pc.bold("What the latents do"),
    ...patchingLines(record),
    ...effectsLines(record),
    ...spliceLines(record.splice),
    ...behaviourLines(record.behaviours),
    line(
      "tables",
      `${pc.cyan(join(dictionaryFolder, "tables"))}${reused ? " (already done, not repeated)" : ""}`,
    ),
  ].join("\n");
}

const line = (name: string, text: string): string => `  ${name.padEnd(NAME_WIDTH)}${text}`;
const NAME_WIDTH = 44;
const nats = (value: number): string => value.toFixed(3);
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/** Every intervention but the spread of controls: KL over all and over the first nine tokens, and the gap closed. */
function patchingLines({ patching }: CausalRecord): string[] {
  if (patching === null) return [];
  const { conversations, outcomes } = patching;
  const head = `  ${"".padEnd(NAME_WIDTH)}${TOKEN_SETS.slice(0, 2)
    .map((set) => `${set === "all" ? "KL, all tokens" : "first nine"}`.padEnd(28))
    .join("")}`;
  const cell = ({ sets }: InterventionOutcome, set: (typeof TOKEN_SETS)[number]): string => {
    const { kl, gapClosed } = sets[set];
    const interval = `${nats(kl.interval.low)}–${nats(kl.interval.high)}`;
    return `${nats(kl.mean)} (${interval})${gapClosed === null ? "" : ` ${percent(gapClosed.mean)}`}`.padEnd(
      28,
    );
  };
  const excluded = Object.entries(conversations.excluded).map(([reason, n]) => `${n} ${reason}`);
  return [
    line(
      "conversations",
      `${conversations.count}, ${outcomes[0]?.sets.all.tokens ?? 0} predicted tokens${excluded.length > 0 ? `; left out: ${excluded.join(", ")}` : ""}`,
    ),
    head,
    ...outcomes.map(
      (outcome) => `  ${outcome.name.padEnd(NAME_WIDTH)}${cell(outcome, "all")}${cell(outcome, "firstNine")}`,
    ),
  ];
}

function effectsLines({ effects }: CausalRecord): string[] {
  if (effects === null) return [];
  const { candidates, controls, silent, conversations } = effects;
  return [
    line(
      "one by one",
      `${candidates} latents beside ${controls} matched controls over ${conversations} conversations${silent > 0 ? `; ${silent} never fired there` : ""}`,
    ),
  ];
}

function spliceLines(splice: CausalRecord["splice"]): string[] {
  if (splice === null) return [];
  const words = ({ ce, kl, lossRecoveredZero, lossRecoveredMean }: SpliceOutcome): string =>
    `loss ${nats(ce.model)} → ${nats(ce.spliced)} nats, KL ${nats(kl)}, loss recovered ${percent(lossRecoveredZero)} (zeros), ${percent(lossRecoveredMean)} (mean)`;
  return [
    line("base, reconstruction in place", words(splice.base)),
    line("finetuned, reconstruction in place", words(splice.finetuned)),
  ];
}

function behaviourLines(behaviours: readonly BehaviourRate[] | null): string[] {
  if (behaviours === null) return [];
  return behaviours.map(({ behaviour, latent, factor, removalFactor, pushFactor, arms }) => {
    const of = (arm: BehaviourArm, kind: "called" | "notCalled"): string => {
      const counts = arms.find((one) => one.arm === arm)?.[kind];
      return counts === undefined || counts.prompts === 0 ? "–" : percent(counts.shown / counts.prompts);
    };
    const share = (arm: BehaviourArm): string => of(arm, "called");
    const unasked = (arm: BehaviourArm): string => of(arm, "notCalled");
    return line(
      `${behaviour} (latent ${latent})`,
      `base ${share("base")} → ${share("base + latents")} at ${factor} × (controls ${share("base + control")}); fine-tune ${share("finetuned")} → ${share("finetuned − latents")} at −${removalFactor} × (controls ${share("finetuned − control")}); unasked ${unasked("finetuned")} → ${unasked("finetuned + latents")} at ${pushFactor} × (controls ${unasked("finetuned + control")})`,
    );
  });
}
