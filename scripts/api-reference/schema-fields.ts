// A zod schema as rows of a table: every field, nested ones by their path, with its type, limits and default; and an example of a value.

import { z } from "zod";

type JsonSchema = Record<string, unknown> & {
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: unknown[];
};

export interface SchemaField {
  /** "latents[].factor". */
  name: string;
  type: string;
  limits: string;
  /** "required", or its default. */
  need: string;
  /** As `.describe` or `.meta` has it. */
  words: string;
}

/** isText: what is sent is an address's query, where a number is text. */
export function schemaFields(schema: z.ZodType, { isText }: { isText: boolean }): SchemaField[] {
  const sent = jsonSchema(schema, "input");
  const read = jsonSchema(schema, "output");
  const rows: SchemaField[] = [];
  addFields(rows, { name: "", sent, read: isText ? read : sent });
  return rows;
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  return z.toJSONSchema(schema, { io, unrepresentable: "any" }) as JsonSchema;
}

function addFields(
  rows: SchemaField[],
  {
    name,
    sent,
    read,
    need = "required",
  }: { name: string; sent: JsonSchema; read: JsonSchema; need?: string },
): void {
  const required = sent.required ?? [];
  for (const [key, field] of Object.entries(sent.properties ?? {})) {
    const path = name === "" ? key : `${name}.${key}`;
    const other = read.properties?.[key] ?? {};
    const standing = field.default ?? other.default;
    const isNumber = field.type === "string" && (other.type === "integer" || other.type === "number");
    rows.push({
      name: path,
      type: isNumber ? `${typeWords(other)}, as text` : typeWords(field),
      limits: limitWords(isNumber ? other : field),
      need: required.includes(key)
        ? need
        : standing === undefined
          ? "optional"
          : `default ${JSON.stringify(standing)}`,
      words: typeof field.description === "string" ? field.description : "",
    });
    addNested(rows, path, field);
  }
}

function addNested(rows: SchemaField[], name: string, field: JsonSchema, need?: string): void {
  if (field.properties !== undefined) addFields(rows, { name, sent: field, read: field, need });
  if (field.items !== undefined) addNested(rows, `${name}[]`, field.items);
  for (const choice of field.anyOf ?? []) addNested(rows, name, choice, "in this form");
}

function typeWords(field: JsonSchema): string {
  if (field.enum !== undefined) return field.enum.map((word) => `\`${JSON.stringify(word)}\``).join(", ");
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.anyOf !== undefined) return field.anyOf.map(typeWords).join(" or ");
  if (field.type === "array")
    return `list of ${field.items === undefined ? "values" : typeWords(field.items)}`;
  if (field.type === "object") {
    const names = Object.keys(field.properties ?? {});
    return names.length === 0 ? "object" : `{ ${names.join(", ")} }`;
  }
  const words: Record<string, string> = { integer: "whole number", number: "number", string: "text" };
  return words[field.type ?? ""] ?? field.type ?? "any";
}

function limitWords(field: JsonSchema): string {
  const has = (key: string): boolean =>
    typeof field[key] === "number" && Math.abs(field[key] as number) < Number.MAX_SAFE_INTEGER;
  const said: string[] = [];
  const say = (key: string, words: (value: number) => string): void => {
    if (has(key)) said.push(words(field[key] as number));
  };
  say("minimum", (value) => `≥ ${value}`);
  say("exclusiveMinimum", (value) => `> ${value}`);
  say("maximum", (value) => `≤ ${value}`);
  say("exclusiveMaximum", (value) => `< ${value}`);
  say("minLength", (value) => (value === 1 ? "not empty" : `at least ${value} characters`));
  say("maxLength", (value) => `at most ${value} characters`);
  say("minItems", (value) => (value === 1 ? "not empty" : `at least ${value} entries`));
  say("maxItems", (value) => `at most ${value} entries`);
  if (typeof field.pattern === "string") said.push(`written as \`${field.pattern}\``);
  const inside = field.items === undefined ? "" : limitWords(field.items);
  if (inside !== "") said.push(`each ${inside}`);
  return said.join(", ");
}

/** A value with what is required; of `.meta({ examples })` the first, where there is one. */
export function exampleOf(schema: z.ZodType): unknown {
  return exampleOfJson(jsonSchema(schema, "input"));
}

function exampleOfJson(field: JsonSchema): unknown {
  const given = Array.isArray(field.examples) ? (field.examples as unknown[]) : [];
  if (given.length > 0) return given[0];
  if (field.default !== undefined) return field.default;
  if (field.const !== undefined) return field.const;
  if (field.enum !== undefined) return field.enum[0];
  if (field.anyOf !== undefined) return exampleOfJson(field.anyOf[field.anyOf.length - 1]);
  if (field.type === "array")
    return Number(field.minItems ?? 0) > 0 && field.items !== undefined ? [exampleOfJson(field.items)] : [];
  if (field.type === "object") {
    const required = Object.entries(field.properties ?? {}).filter(([key]) => field.required?.includes(key));
    return Object.fromEntries(required.map(([key, value]) => [key, exampleOfJson(value)]));
  }
  if (field.type === "integer" || field.type === "number") return Math.max(0, Number(field.minimum ?? 0));
  if (field.type === "boolean") return true;
  return "TEXT";
}
