// A behaviours file: prompts that call for named behaviours or for none, and what an answer looks like that shows each.
//
//   {"prompts": [{"id", "split": "heldout" | "test", "messages": [{"role", "content"}], "expected": name | null}],
//    "behaviours": [{"name", "description"?, "detect": regular expression, read with the flag "i"}]}
//
// Made by whoever knows what the fine-tune was to learn; nothing here is learned from the models.

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ConfigError, FormatError } from "../errors.ts";

const MAX_FILE_BYTES = 64 * 2 ** 20;
const MAX_DETECT_CHARS = 10_000;

const name = z.string().min(1).max(500);

const schema = z.object({
  prompts: z
    .array(
      z.object({
        id: name,
        split: z.enum(["heldout", "test"]),
        messages: z
          .array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() }))
          .min(1),
        expected: name.nullable(),
      }),
    )
    .min(1),
  behaviours: z
    .array(
      z.object({ name, description: z.string().optional(), detect: z.string().min(1).max(MAX_DETECT_CHARS) }),
    )
    .min(1),
});

export type BehavioursFile = z.infer<typeof schema>;
export type Behaviour = BehavioursFile["behaviours"][number];

/** Throws FormatError naming the place and the field. */
export function parseBehaviours(value: unknown, place: string): BehavioursFile {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw new FormatError(`${place}: ${path.map(String).join(".") || "file"}: ${message}`, {
      hint: 'expected {"prompts": [{id, split, messages, expected}], "behaviours": [{name, detect}]}',
    });
  }
  const file = parsed.data;
  const names = file.behaviours.map((behaviour) => behaviour.name);
  const refuse = (field: string, expected: string, got: string): never => {
    throw new FormatError(`${place}: ${field}: expected ${expected}, got ${got}`);
  };
  const twice = names.find((one, i) => names.indexOf(one) < i);
  if (twice !== undefined) refuse("behaviours", "each name once", `${twice} twice`);
  const ids = new Set<string>();
  for (const [i, { id, expected }] of file.prompts.entries()) {
    if (ids.has(id)) refuse(`prompts.${i}.id`, "each id once", `${id} twice`);
    ids.add(id);
    if (expected !== null && !names.includes(expected)) {
      refuse(`prompts.${i}.expected`, "null or the name of a behaviour", expected);
    }
  }
  for (const { name, detect } of file.behaviours) {
    try {
      detector({ name, detect });
    } catch (cause) {
      if (!(cause instanceof ConfigError)) throw cause;
      throw new FormatError(`${place}: ${cause.message}`, { cause });
    }
  }
  return file;
}

/** Reads a behaviours file. Throws FormatError: missing, too large, not JSON, a field that is wrong. */
export async function readBehaviours(path: string): Promise<BehavioursFile> {
  let source: Buffer;
  try {
    source = await readFile(path);
  } catch (cause) {
    throw new FormatError(`${path}: expected a readable behaviours file, got none`, {
      hint: "check the path",
      cause,
    });
  }
  if (source.length > MAX_FILE_BYTES) {
    throw new FormatError(`${path}: expected at most ${MAX_FILE_BYTES} bytes, got ${source.length}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(source));
  } catch (cause) {
    throw new FormatError(`${path}: expected one JSON object, got text that does not parse`, { cause });
  }
  return parseBehaviours(value, path);
}

/** Whether an answer shows the behaviour. Throws ConfigError for a regular expression that does not parse. */
export function detector({ name, detect }: Pick<Behaviour, "name" | "detect">): (answer: string) => boolean {
  let pattern: RegExp;
  try {
    pattern = new RegExp(detect, "i");
  } catch (cause) {
    throw new ConfigError(
      `behaviour ${name}: detect: expected a regular expression, got ${JSON.stringify(detect).slice(0, 80)}`,
      { hint: "it is read as JavaScript's, with the flag i", cause },
    );
  }
  return (answer) => pattern.test(answer);
}
