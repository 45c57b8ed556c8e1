// The answers of `tunediff steer` as people read them. Pure.

import { STEERED_ARMS, type SteeredAnswer, type SteeredArm } from "../causal/causal-contract.ts";
import type { TokenizedPrompt } from "../text/chat-prompt.ts";
import { pc } from "./terminal.ts";

const LABEL_WIDTH = Math.max(...STEERED_ARMS.map((arm) => arm.length)) + 2;

/** A model may write any character; those that steer a terminal are shown as U+FFFD. */
const harmless = (text: string): string => text.trim().replace(/[^\P{Cc}\n\t]/gu, "\uFFFD");

/** The answers under each other, prompt by prompt, then how many are degenerate. Pure. */
export function answersText(
  prompts: readonly Pick<TokenizedPrompt, "id" | "text">[],
  answers: readonly SteeredAnswer[],
): string {
  const indent = " ".repeat(2 + LABEL_WIDTH);
  const nSeeds = new Set(answers.map(({ seed }) => seed)).size;
  const lines: string[] = [];
  let heading = "";
  for (const { arm, prompt, seed, text, end, degenerate } of answers) {
    const { id, text: asked } = prompts[prompt];
    const own = `prompt ${id}${nSeeds > 1 ? `, seed ${seed}` : ""}`;
    if (own !== heading)
      lines.push("", pc.bold(own), pc.dim(`  ${harmless(asked).replaceAll("\n", "\n  ")}`));
    heading = own;
    const cut = end === "stopId" ? "" : pc.dim(" …");
    lines.push(
      `  ${pc.cyan(arm.padEnd(LABEL_WIDTH))}${harmless(text).replaceAll("\n", `\n${indent}`)}${cut}`,
    );
    if (degenerate !== "") lines.push(`${indent}${pc.yellow(`! ${degenerate}`)}`);
  }
  return [...lines, ...(answers.length > STEERED_ARMS.length ? ["", ...armLines(answers)] : [])].join("\n");
}

/** One line an arm: answers, how many are other than without the push, how many are degenerate. */
function armLines(answers: readonly SteeredAnswer[]): string[] {
  const plainOf: Partial<Record<SteeredArm, SteeredArm>> = {
    "base + latents": "base",
    "finetuned − latents": "finetuned",
  };
  const key = ({ prompt, seed }: SteeredAnswer, arm: SteeredArm): string => `${prompt} ${seed} ${arm}`;
  const texts = new Map(answers.map((answer) => [key(answer, answer.arm), answer.text]));
  return STEERED_ARMS.flatMap((arm) => {
    const own = answers.filter((answer) => answer.arm === arm);
    if (own.length === 0) return [];
    const plain = plainOf[arm];
    const changed = own.filter((answer) => plain && texts.get(key(answer, plain)) !== answer.text).length;
    const bad = own.filter(({ degenerate }) => degenerate !== "").length;
    const facts = [
      `${own.length} answers`,
      ...(plain === undefined ? [] : [`${changed} changed`]),
      `${bad} degenerate`,
    ];
    return [`  ${pc.cyan(arm.padEnd(LABEL_WIDTH))}${facts.join(", ")}`];
  });
}
