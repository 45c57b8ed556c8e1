// tunediff glance BASE FINETUNED: what differs, in seconds and without a dictionary. Or of a study: glance STUDY.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError, FormatError } from "../errors.ts";
import { percent, quote } from "../glance/findings.ts";
import { type GlanceOptions, glance } from "../glance/glance.ts";
import type { Glance, MinedToken, PeakText, ReadDirection } from "../glance/glance-contract.ts";
import { parseDevice } from "../lm/device.ts";
import { readStudyConfig } from "../study/config.ts";
import { glanceOptionsOf, writeGlanceFiles } from "../study/glance-study.ts";
import { parseLayer, parseNumberOption, parseReplacements } from "./compare.ts";
import { interruptSignal } from "./session.ts";
import { createProgressPrinter, pc, shortDuration } from "./terminal.ts";

interface GlanceFlags {
  data?: string;
  layer?: string;
  out?: string;
  tokens?: string;
  seed?: string;
  steering?: boolean;
  baseToken?: string[];
  threads?: string;
  device?: string;
  json?: boolean;
}

/** Lines of each table on the screen; the file has all. */
const SHOWN = { peaks: 5, tokens: 10, contextTokens: 14 } as const;

export function addGlanceCommand(program: Command): void {
  program
    .command("glance")
    .description("tell what differs between a model and its fine-tune, in seconds and without a dictionary")
    .argument("<base>", "folder of the base model, or a study folder (its models, text and layer)")
    .argument("[finetuned]", "folder of the fine-tuned model, or of a LoRA adapter over the base")
    .option("--data <file.jsonl>", "text to look at (default: both models write some themselves)")
    .option(
      "--layer <n | base:finetuned>",
      "0-based block whose output is compared (default: the middle one)",
    )
    .option("--out <folder>", "where glance.json and glance.html go (default: glance, or the study's folder)")
    .option("--tokens <n>", "tokens to look at, about (default: 16384, fewer for large models)")
    .option("--seed <n>", "which documents are drawn, what the models write (default: 0)")
    .option("--no-steering", "do not answer prompts with the mean difference added")
    .option("--base-token <token=other...>", "the base reads OTHER where the text has TOKEN, as in compare")
    .option("--threads <n>", "threads of the dense products (default: all cores)")
    .option("--device <cpu | webgpu | cuda>", "where the models run (default: cpu)")
    .option("--json", "print the result as one JSON object on stdout")
    .addHelpText("after", "\nStart here:\n  $ tunediff glance BASE FINETUNED\n  $ tunediff glance study\n")
    .action(async (base: string, finetuned: string | undefined, flags: GlanceFlags) => {
      const { options, out } = await glanceOptions({ base, finetuned, flags });
      const printer = createProgressPrinter(process.stderr);
      const interrupt = interruptSignal();
      try {
        const result = await glance({
          ...options,
          reportProgress: printer.report,
          signal: interrupt.signal,
        });
        const { json, page } = await writeGlanceFiles(out, result);
        printer.finish();
        for (const warning of result.warnings) {
          process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
        }
        process.stderr.write(`${glanceText(result, { json, page })}\n`);
        if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
      } finally {
        printer.finish();
        interrupt.release();
      }
    });
}

/** What the command line asks for, and where the file goes. A study gives what the flags do not. */
async function glanceOptions({
  base,
  finetuned,
  flags,
}: {
  base: string;
  finetuned: string | undefined;
  flags: GlanceFlags;
}): Promise<{ options: GlanceOptions; out: string }> {
  const maxTokens = parseNumberOption("--tokens", flags.tokens);
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens >= 1)) {
    throw new ConfigError(`--tokens: expected a whole number above 0, got ${flags.tokens}`);
  }
  const given = {
    data: flags.data === undefined ? undefined : resolve(flags.data),
    layer: flags.layer === undefined ? undefined : parseLayer(flags.layer),
    seed: parseNumberOption("--seed", flags.seed),
    baseReplacements: parseReplacements(flags.baseToken),
    threads: parseNumberOption("--threads", flags.threads),
    device: flags.device === undefined ? undefined : parseDevice(flags.device),
  };
  const common = { maxTokens, steering: flags.steering };
  if (finetuned !== undefined) {
    const models = { base: resolve(base), finetuned: resolve(finetuned) };
    return { options: { ...common, ...given, ...models }, out: resolve(flags.out ?? "glance") };
  }
  const folder = resolve(base);
  const path = join(folder, "study.yaml");
  if (!existsSync(path)) {
    throw new FormatError(`${path}: expected a study, found none`, {
      hint: "give the fine-tune's folder behind the base's, or a study folder alone",
    });
  }
  const asked = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    options: { ...common, ...glanceOptionsOf(await readStudyConfig(path)), ...asked },
    out: resolve(flags.out ?? folder),
  };
}

/** The closing lines for people. Pure. */
export function glanceText(glance: Glance, { json, page }: { json: string; page: string }): string {
  const { findings, kl, lens, pca, mining, text, seconds } = glance;
  const isSame = findings.length === 0;
  const found = isSame
    ? [
        `  Nothing differs: KL is ${kl.quantiles.max === 0 ? "0" : "below what rounding makes"} at all ${kl.tokens} tokens.`,
      ]
    : findings.flatMap((finding, i) => wrap(finding, `  ${String(i + 1).padStart(2)}. `));
  const lines = [
    "",
    pc.bold("What differs, at a glance"),
    ...found,
    ...(isSame ? [] : [...peakLines(kl.peaks), ...minedLines(mining), ...directionLines(lens, pca)]),
    "",
    ...wrap(text.description, "  text    "),
    `  time    ${shortDuration(seconds)}`,
    `  file    ${pc.cyan(json)}`,
    `  page    ${pc.cyan(page)}`,
  ];
  return lines.join("\n");
}

function peakLines(peaks: readonly PeakText[]): string[] {
  if (peaks.length === 0) return [];
  const rows = peaks.slice(0, SHOWN.peaks).map((peak) => {
    const first = Math.max(0, peak.peak + 1 - SHOWN.contextTokens);
    const [base, finetuned] = [peak.nextBase[0], peak.nextFinetuned[0]];
    return [
      peak.kl[peak.peak].toFixed(2),
      base === undefined ? "" : `${quote(base.token)} ${percent(base.probability)}`,
      finetuned === undefined ? "" : `${quote(finetuned.token)} ${percent(finetuned.probability)}`,
      `… ${quote(peak.tokens.slice(first, peak.peak + 1).join("")).slice(1, -1)}`,
    ];
  });
  return ["", pc.bold("Where they part"), ...table(["KL", "base", "fine-tune", "after"], rows)];
}

function minedLines({ risen, fallen }: Glance["mining"]): string[] {
  if (risen.length === 0 && fallen.length === 0) return [];
  const cell = (mined: MinedToken | undefined): string[] =>
    mined === undefined
      ? ["", "", ""]
      : [quote(mined.token), percent(mined.share), `(${percent(mined.controlShare)})`];
  const rows = Array.from(
    { length: Math.min(SHOWN.tokens, Math.max(risen.length, fallen.length)) },
    (_, i) => [...cell(risen[i]), ...cell(fallen[i])],
  );
  const head = ["raised", "share", "(chance)", "lowered", "share", "(chance)"];
  return ["", pc.bold("Tokens raised and lowered throughout"), ...table(head, rows)];
}

function directionLines(lens: Glance["lens"], pca: Glance["pca"]): string[] {
  const main = lens.positions.find(({ position }) => position === lens.mainPosition);
  const named: { name: string; read: readonly ReadDirection[] }[] = [
    ...(main === undefined ? [] : [{ name: `mean at position ${main.position}`, read: main.read }]),
    ...pca.components.slice(0, 2).map(({ share, read }, i) => ({
      name: `component ${i + 1} (${percent(share)})`,
      read,
    })),
  ];
  const words = (tokens: readonly { token: string }[]): string =>
    tokens
      .slice(0, 6)
      .map(({ token }) => quote(token))
      .join(" ");
  const rows = named.flatMap(({ name, read }) =>
    read
      .filter(({ model }) => model === "finetuned")
      .map(({ by, promoted, suppressed }) => [name, by, words(promoted), words(suppressed)]),
  );
  if (rows.length === 0) return [];
  return [
    "",
    pc.bold("Directions of the difference, as tokens"),
    ...table(["", "read by", "towards", "away from"], rows),
  ];
}

/** Columns padded to their widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at].length)));
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, at) => cell.padEnd(widths[at])).join("  ")}`.trimEnd();
  return [pc.dim(line(head)), ...rows.map(line)];
}

const LINE_CHARS = 110;
/** Of Unicode's private use: in no text. */
const HELD_SPACE = "\uE000";

/** Words of a text in lines, the first behind `label`, the others below its end. */
function wrap(text: string, label: string): string[] {
  const lines: string[] = [];
  let current = label;
  let isEmpty = true;
  // A token's own space, and that of "3 %", are no places to break a line.
  const held = text.replace(/(^|[\s(])" /g, `$1"${HELD_SPACE}`).replace(/(\d) %/g, `$1${HELD_SPACE}%`);
  for (const word of held.split(" ")) {
    if (!isEmpty && current.length + word.length + 1 > LINE_CHARS) {
      lines.push(current);
      current = " ".repeat(label.length);
      isEmpty = true;
    }
    current += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, current].map((line) => line.replaceAll(HELD_SPACE, " "));
}
