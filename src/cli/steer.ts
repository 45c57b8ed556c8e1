// tunediff steer STUDY: the answers of both models, as they are and with latents added to the base and taken from the fine-tune.

import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { SteeredLatent } from "../causal/causal-contract.ts";
import { DEGENERATE_THRESHOLDS } from "../causal/degenerate.ts";
import { steer } from "../causal/steer.ts";
import { DEFAULT_MAX_NEW_TOKENS, STEERED_POSITIONS } from "../causal/steered-model.ts";
import { STEERING_UNITS, steeringVector } from "../causal/steering-vectors.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError } from "../errors.ts";
import { type Pair, SIDES } from "../harvest/open-pair.ts";
import { readMeasure } from "../measure/measure.ts";
import { readStudyConfig } from "../study/config.ts";
import { lastBlockWarning, layersOf, openStudyModels } from "../study/open-models.ts";
import { studyPaths } from "../study/run-study.ts";
import { createPromptTokenizer, type Prompt } from "../text/chat-prompt.ts";
import { readDocuments } from "../text/read-documents.ts";
import { findStopIds } from "../text/stop-ids.ts";
import { parseNumberOption } from "./compare.ts";
import { interruptSignal } from "./session.ts";
import { answersText } from "./steer-text.ts";
import { createProgressPrinter, pc } from "./terminal.ts";

interface SteerFlags {
  latent: string[];
  prompt?: string[];
  prompts?: string;
  unit: string;
  positions: string;
  model: string;
  seed?: string;
  seeds?: string;
  temperature?: string;
  maxTokens?: string;
  dictionary?: string;
  json?: boolean;
}

const MODEL_CHOICES = ["both", ...SIDES] as const;

const collect = (value: string, earlier: string[] = []): string[] => [...earlier, value];

export function addSteerCommand(program: Command): void {
  program
    .command("steer")
    .description(
      "let both models answer, as they are and with latents added to the base and taken from the fine-tune",
    )
    .argument("<study>", "study folder with a measured dictionary")
    .requiredOption(
      "--latent <n[:factor]>",
      "a latent and how hard to push, in units of its greatest activation (default: 1); give it again for more latents",
      collect,
    )
    .option(
      "--prompt <text>",
      "a question, made a user's turn where there is a chat template; may be given again",
      collect,
    )
    .option("--prompts <file.jsonl>", 'prompts, one {"messages": […]} or {"text": …} a line')
    .option(
      "--unit <activation | code>",
      "factors multiply the greatest activation along the unit direction, or the greatest code along the decoder row",
      "activation",
    )
    .option(
      "--positions <prompt | all>",
      "push at the tokens of the prompt only, or also at those of the answer",
      "all",
    )
    .option("--model <both | base | finetuned>", "steer one of the models only", "both")
    .option("--temperature <t>", "0 takes the most probable token (default: 0)")
    .option("--seed <n>", "seed of the draws (default: 0)")
    .option("--seeds <n>", "answers to each prompt, with the seeds after the first (default: 1)")
    .option("--max-tokens <n>", `longest answer (default: ${DEFAULT_MAX_NEW_TOKENS})`)
    .option("--dictionary <name>", "another measured dictionary of the study (default: its own)")
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      `
Latents are numbered as in the report and in latents.parquet. Both units come to the same for one latent of a crosscoder whose
base row is zero. An answer that repeats itself, or that the untouched model finds unlikely, is marked with "!".

Examples:
  $ tunediff steer study --latent 1327 --prompt "How is a strong draught mixed?"
  $ tunediff steer study --latent 1327:0.5 --latent 110:2 --prompts chats.jsonl --temperature 0.8 --seeds 4 --json
`,
    )
    .action(steerCommand);
}

/** "1327:0.5" → latent 1327, factor 0.5; "1327" → factor 1. Throws ConfigError. */
export function parseLatent(text: string): SteeredLatent {
  const match = /^(\d+)(?::([^:]+))?$/.exec(text.trim());
  const factor = match?.[2] === undefined ? 1 : Number(match[2].trim() || Number.NaN);
  if (match !== null && Number.isFinite(factor)) return { latent: Number(match[1]), factor };
  throw new ConfigError(
    `--latent: expected a latent such as 1327, or 1327:0.5 with a factor, got "${text}"`,
    {
      hint: "a factor is a multiple of the latent's greatest activation; below 0 it pushes the other way",
    },
  );
}

function parseChoice<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new ConfigError(`${flag}: expected ${choices.join(" or ")}, got "${text}"`);
}

/** The seeds asked for: `seeds` of them from `seed` on. Throws ConfigError, also for greedy answers that would all be one. */
export function parseSeeds(flags: Pick<SteerFlags, "seed" | "seeds">, temperature: number): number[] {
  const first = parseNumberOption("--seed", flags.seed) ?? 0;
  const count = parseNumberOption("--seeds", flags.seeds) ?? 1;
  if (!(Number.isInteger(count) && count >= 1)) {
    throw new ConfigError(`--seeds: expected a whole number from 1, got ${count}`);
  }
  if (count > 1 && temperature === 0) {
    throw new ConfigError(
      `--seeds: expected 1 at temperature 0, where every seed gives one answer, got ${count}`,
      {
        hint: "add --temperature 0.8",
      },
    );
  }
  return Array.from({ length: count }, (_, i) => first + i);
}

async function steerCommand(study: string, flags: SteerFlags): Promise<void> {
  const folder = resolve(study);
  const latents = flags.latent.map(parseLatent);
  const unit = parseChoice("--unit", flags.unit, STEERING_UNITS);
  const positions = parseChoice("--positions", flags.positions, STEERED_POSITIONS);
  const model = parseChoice("--model", flags.model, MODEL_CHOICES);
  const temperature = parseNumberOption("--temperature", flags.temperature) ?? 0;
  const maxNewTokens = parseNumberOption("--max-tokens", flags.maxTokens) ?? DEFAULT_MAX_NEW_TOKENS;
  const seeds = parseSeeds(flags, temperature);
  const questions = await readQuestions(flags);
  const config = await readStudyConfig(join(folder, "study.yaml"));
  const dictionaryFolder = join(
    folder,
    flags.dictionary === undefined ? studyPaths(config).dictionary : join("dictionaries", flags.dictionary),
  );
  const dictionary = await loadDictionary(dictionaryFolder);
  const { latents: measured } = await readMeasure(dictionaryFolder);
  const vector = steeringVector(latents, { dictionary, measured, unit });

  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  const opened = await openStudyModels(config);
  try {
    const { pair } = opened;
    const prompts = await createPromptTokenizer(pair).tokenize(asTurns(questions, pair));
    const answers = await steer({
      checkpoints: pair.checkpoints,
      layers: layersOf(pair),
      sides: model === "both" ? SIDES : [model],
      ...{ vector, prompts, seeds, positions, temperature, maxNewTokens },
      stopIds: await findStopIds({ folders: [config.base, config.finetuned], ...pair }),
      decode: pair.tokenizer.decode,
      ...(config.threads === undefined ? {} : { threads: config.threads }),
      device: config.device,
      reportProgress: printer.report,
      signal: interrupt.signal,
    });
    printer.finish();
    const warnings = [...pair.warnings, ...lastBlockWarning(pair)];
    for (const warning of warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
    process.stderr.write(`${answersText(prompts, answers)}\n`);
    if (!flags.json) return;
    const asked = {
      folder,
      dictionary: dictionaryFolder,
      latents,
      unit,
      positions,
      temperature,
      seeds,
      maxNewTokens,
    };
    const printed = {
      ...{ schemaVersion: 1, ...asked, degenerateThresholds: DEGENERATE_THRESHOLDS },
      prompts: prompts.map(({ id, text }) => ({ id, text })),
      ...{ answers, warnings },
    };
    process.stdout.write(`${JSON.stringify(printed)}\n`);
  } finally {
    printer.finish();
    interrupt.release();
    await opened.close();
  }
}

/** Questions as the user gave them; a single text is a question, a text of a file is plain text. */
async function readQuestions({
  prompt = [],
  prompts,
}: SteerFlags): Promise<(Prompt & { isQuestion: boolean })[]> {
  const asked: (Prompt & { isQuestion: boolean })[] = prompt.map((text, i) => ({
    id: String(i + 1),
    text,
    isQuestion: true,
  }));
  if (prompts !== undefined) {
    for await (const { id, text, messages } of readDocuments(resolve(prompts))) {
      asked.push({
        id,
        ...(text !== undefined && { text }),
        ...(messages && { messages }),
        isQuestion: false,
      });
    }
  }
  if (asked.length > 0) return asked;
  throw new ConfigError("--prompt: expected a question to answer, got none", {
    hint: 'such as --prompt "How is cheese made?", or --prompts FILE.jsonl',
  });
}

function asTurns(questions: readonly (Prompt & { isQuestion: boolean })[], { template }: Pair): Prompt[] {
  return questions.map(({ isQuestion, ...prompt }) =>
    isQuestion && template !== undefined && prompt.text !== undefined
      ? { id: prompt.id, messages: [{ role: "user", content: prompt.text }] }
      : prompt,
  );
}
