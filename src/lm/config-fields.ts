// Readers for fields of config.json: zod types that carry their own "expected …" text, and the error they turn into.
//
// config.json comes from strangers. Families list the keys they read; whatever else stands there is never looked at.

import { z } from "zod";
import { FormatError } from "../errors.ts";

/** A whole number in [low, high]. */
export function integer(low: number, high: number) {
  const error = `a whole number from ${low} to ${high}`;
  return z.int({ error }).min(low, { error }).max(high, { error });
}

/** A finite number in [low, high]. */
export function finite(low: number, high: number) {
  const error = `a number from ${low} to ${high}`;
  return z.number({ error }).min(low, { error }).max(high, { error });
}

export function flag() {
  return z.boolean({ error: "true or false" });
}

export function oneOf<const T extends readonly string[]>(names: T) {
  return z.enum(names, { error: `one of ${names.map((name) => JSON.stringify(name)).join(", ")}` });
}

/** A value as it is shown in a message: JSON, cut to 60 characters. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = toJson(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // JSON.parse reads any depth, JSON.stringify runs out of stack.
    if (error instanceof RangeError) return "something nested too deeply to show";
    throw error;
  }
}

/** The one shape of a complaint about config.json. */
export function badField(
  place: string,
  field: { key: string; expected: string; got: unknown; hint?: string },
): FormatError {
  return new FormatError(`${place}: ${field.key}: expected ${field.expected}, got ${shown(field.got)}`, {
    hint: field.hint ?? "compare config.json with the one the model was published with",
  });
}

/** raw read through a schema; unknown keys are dropped. Throws FormatError naming the first bad key. */
export function readFields<T extends z.ZodType>(schema: T, raw: unknown, place: string): z.output<T> {
  const result = schema.safeParse(raw, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw badField(place, { key: issue.path.join(".") || "(root)", expected: issue.message, got: issue.input });
}
