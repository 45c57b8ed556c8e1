// The answers of one steering run, put together from its events as they come, and how they are laid out and written to files.
//
// Every arm stands beside the same model untouched: STEERED_FROM says which.

import type { LabProgress, SteerEvent, SteerRequest } from "../../../src/dashboard/api-contract.ts";
import type { Side } from "../parts/token.tsx";
import { promptTitle } from "./lab-prompt.ts";

export interface SteerAnswer {
  arm: string;
  prompt: number;
  seed: number;
  text: string;
  /** Figures are there once the answer is whole; NaN until then and where there is none. */
  isWhole: boolean;
  tokens: number;
  perplexity: number;
  repetition: number;
  /** "" or what is wrong with it. */
  degenerate: string;
}

export interface SteerResult {
  /** By answerKey. */
  answers: ReadonlyMap<string, SteerAnswer>;
  warnings: readonly string[];
  /** The arm whose token came last; "" before. */
  writing: string;
}

export const EMPTY_STEER: SteerResult = { answers: new Map(), warnings: [], writing: "" };

/** The arms in the order of the columns, with the model of each. */
export const ARMS: readonly { arm: string; side: Side; plain: string | null }[] = [
  { arm: "base", side: "base", plain: null },
  { arm: "base + latents", side: "base", plain: "base" },
  { arm: "finetuned", side: "finetuned", plain: null },
  { arm: "finetuned − latents", side: "finetuned", plain: "finetuned" },
];

export function armsOf(models: SteerRequest["models"]): typeof ARMS {
  return models === "both" ? ARMS : ARMS.filter(({ side }) => side === models);
}

export function answerKey({ arm, prompt, seed }: { arm: string; prompt: number; seed: number }): string {
  return `${prompt} ${seed} ${arm}`;
}

/** The result with one more event. A whole answer takes the place of its pieces. Does not change `result`. */
export function mergeSteerEvent(result: SteerResult, event: Exclude<SteerEvent, LabProgress>): SteerResult {
  if (event.kind === "done") return { ...result, warnings: event.warnings, writing: "" };
  const key = answerKey(event);
  const before = result.answers.get(key);
  // A piece that comes after the whole answer is in it already.
  if (event.kind === "token" && before?.isWhole) return result;
  const { arm, prompt, seed, text } = event;
  const answer: SteerAnswer =
    event.kind === "token"
      ? { ...{ arm, prompt, seed }, text: (before?.text ?? "") + text, ...UNFINISHED }
      : {
          ...{ arm, prompt, seed, text },
          isWhole: true,
          tokens: event.tokens,
          perplexity: numberOf(event.perplexity),
          repetition: numberOf(event.repetition),
          degenerate: event.degenerate,
        };
  const writing = event.kind === "token" ? arm : result.writing;
  return { ...result, writing, answers: new Map(result.answers).set(key, answer) };
}

const UNFINISHED = {
  isWhole: false,
  tokens: Number.NaN,
  perplexity: Number.NaN,
  repetition: Number.NaN,
  degenerate: "",
};

/** JSON has no NaN: it comes as null. */
const numberOf = (value: number | null): number => value ?? Number.NaN;

export interface ArmSummary {
  arm: string;
  answers: number;
  /** Other than the same model's untouched one; null for the untouched ones. */
  changed: number | null;
  degenerate: number;
  /** Median over whole answers. */
  perplexity: number;
}

/** Of whole answers, arm by arm. */
export function summariseArms({ answers }: SteerResult, models: SteerRequest["models"]): ArmSummary[] {
  return armsOf(models).map(({ arm, plain }) => {
    const own = [...answers.values()].filter((answer) => answer.arm === arm && answer.isWhole);
    const compared = own.filter((answer) => plainOf(answers, answer, plain)?.isWhole);
    return {
      arm,
      answers: own.length,
      changed:
        plain === null
          ? null
          : compared.filter((answer) => plainOf(answers, answer, plain)?.text !== answer.text).length,
      degenerate: own.filter(({ degenerate }) => degenerate !== "").length,
      perplexity: median(own.map(({ perplexity }) => perplexity).filter(Number.isFinite)),
    };
  });
}

/** The untouched answer to the same prompt with the same seed. */
export function plainOf(
  answers: SteerResult["answers"],
  { prompt, seed }: Pick<SteerAnswer, "prompt" | "seed">,
  plain: string | null,
): SteerAnswer | undefined {
  return plain === null ? undefined : answers.get(answerKey({ arm: plain, prompt, seed }));
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2; // NaN for none
}

/** Prompt by prompt, seed by seed, arm by arm. */
export function orderedAnswers({ answers }: SteerResult, request: SteerRequest): SteerAnswer[] {
  return request.prompts.flatMap((_, prompt) =>
    request.seeds.flatMap((seed) =>
      armsOf(request.models)
        .map(({ arm }) => answers.get(answerKey({ arm, prompt, seed })))
        .filter((answer) => answer !== undefined),
    ),
  );
}

/** What a saved file says of the run beside its answers. */
export interface RunFacts {
  study: string;
  dictionary: string;
  state: string;
}

export function steerJson(result: SteerResult, request: SteerRequest, facts: RunFacts): string {
  const answers = orderedAnswers(result, request);
  return `${JSON.stringify({ ...facts, request, answers, warnings: result.warnings }, null, 2)}\n`;
}

/** RFC 4180; a cell that a spreadsheet would run as a formula gets an apostrophe, as in the server's CSV. */
export function steerCsv(result: SteerResult, request: SteerRequest): string {
  const header = [
    ...["prompt", "asked", "seed", "arm", "answer", "whole"],
    ...["tokens", "perplexity", "repetition", "degenerate"],
  ];
  const rows = orderedAnswers(result, request).map((answer) => [
    String(answer.prompt),
    promptTitle(request.prompts[answer.prompt], Number.POSITIVE_INFINITY),
    String(answer.seed),
    answer.arm,
    answer.text,
    answer.isWhole ? "yes" : "no",
    ...[answer.tokens, answer.perplexity, answer.repetition].map((value) =>
      Number.isFinite(value) ? String(value) : "",
    ),
    answer.degenerate,
  ]);
  return [header, ...rows].map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");
}

const FORMULA_START = /^[=+\-@\t\r\n＝＋－＠]/u;

function csvCell(text: string): string {
  // Numbers, which may begin with a minus sign, are no formulas.
  const inert = FORMULA_START.test(text) && !/^-?[\d.]+(e[+-]?\d+)?$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
