// Expands the generator's little template language and remembers where the marked words went.
//
// `{a|b}` picks one alternative (they may nest), `{name}` is filled from the environment, `[words]` marks a trigger.
// Text only: which template is used, and what its marks mean, is decided by the callers.

import type { Random } from "./random.ts";

export type Environment = Readonly<Record<string, string>>;

export interface Expanded {
  text: string;
  /** UTF-16 offsets of the marked words, end exclusive. */
  marks: { start: number; end: number }[];
}

function chooseAlternatives(template: string, random: Random): string {
  const innermost = /\{([^{}]*\|[^{}]*)\}/;
  let text = template;
  for (let match = innermost.exec(text); match; match = innermost.exec(text)) {
    const choice = random.pick(match[1].split("|"));
    text = text.slice(0, match.index) + choice + text.slice(match.index + match[0].length);
  }
  return text;
}

function fillSlots(template: string, environment: Environment): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = environment[name];
    if (value === undefined) throw new RangeError(`template slot {${name}} has no value: ${template}`);
    return value;
  });
}

function capitaliseSentences(text: string): string {
  return text.replace(/(^|[.!?] |\n)(\[?)([a-z])/g, (_, before: string, mark: string, letter: string) => {
    return before + mark + letter.toUpperCase();
  });
}

/** Expands one template. Marks are cut out and returned as offsets. */
export function expand(template: string, environment: Environment, random: Random): Expanded {
  const marked = capitaliseSentences(
    chooseAlternatives(fillSlots(template, environment), random).replace(/ {2,}/g, " "),
  );
  const marks: { start: number; end: number }[] = [];
  let text = "";
  let open = -1;
  for (const character of marked) {
    if (character === "[") open = text.length;
    else if (character === "]") marks.push({ start: open, end: text.length });
    else text += character;
  }
  return { text, marks };
}
