// adapter_config.json of a LoRA adapter in PEFT's layout → what merging needs, or the reason why it is refused.
//
// Keys and their meaning: peft 0.21, LoraConfig. The file comes from strangers: a key that is not known to be harmless and
// says something is refused, because leaving it out would merge another model. Which modules are adapted is read from the
// tensors; target_modules is only held against them.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError } from "../errors.ts";
import { badField, finite, flag, integer, readFields } from "./config-fields.ts";

export const ADAPTER_CONFIG = "adapter_config.json";

export interface AdapterConfig {
  /** base_model_name_or_path as written: a name, never opened. */
  baseName: string | undefined;
  /** Names listed in target_modules; undefined where it is a pattern or absent. */
  targetModules: string[] | undefined;
  /** Rank and factor of B·A for a module, named as PEFT names it (model.layers.0.self_attn.q_proj). */
  moduleScale(module: string): { rank: number; scale: number };
}

const MAX_CONFIG_BYTES = 2 ** 20;
const MAX_RANK = 65_536;

/** Keys that change nothing about the merged weights, or that the tensors themselves answer. */
const HARMLESS = new Set(
  [
    "peft_type peft_version auto_mapping base_model_name_or_path revision inference_mode task_type r lora_alpha use_rslora",
    "rank_pattern alpha_pattern target_modules exclude_modules layers_to_transform layers_pattern modules_to_save bias",
    "fan_in_fan_out lora_dropout init_lora_weights eva_config qalora_group_size megatron_core runtime_config",
    "ensure_weight_tying loftq_config",
  ].flatMap((line) => line.split(" ")),
);

/** Ways to begin a LoRA that leave the base as it is; the others (PiSSA, LoftQ, OLoRA, CorDA, …) train over a changed base. */
const KEEPS_BASE: readonly unknown[] = [undefined, null, true, false, "gaussian", "orthogonal", "eva"];

const pattern = z.record(z.string(), z.unknown()).nullish();
const fields = z.object({
  base_model_name_or_path: z.string({ error: "a name" }).nullish(),
  r: integer(1, MAX_RANK).default(8),
  lora_alpha: finite(-1e6, 1e6).default(8),
  use_rslora: flag().nullish(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  target_modules: z
    .union([z.string(), z.array(z.string())], { error: "a list of names or a pattern" })
    .nullish(),
});

/** folder: the adapter's. Throws FormatError naming file and key. */
export async function readAdapterConfig(folder: string): Promise<AdapterConfig> {
  const place = join(folder, ADAPTER_CONFIG);
  const info = await stat(place).catch(() => undefined);
  if (!info?.isFile()) {
    throw new FormatError(`${place}: expected a file that describes the adapter, found none`, {
      hint: "point at the folder of a PEFT adapter (adapter_config.json and adapter_model.safetensors)",
    });
  }
  if (info.size > MAX_CONFIG_BYTES) {
    throw new FormatError(`${place}: expected at most ${MAX_CONFIG_BYTES} bytes, got ${info.size}`);
  }
  let raw: unknown;
  try {
    raw = JSON.parse(await readFile(place, "utf8"));
  } catch (cause) {
    throw new FormatError(`${place}: expected JSON, got ${(cause as Error).message}`, {
      hint: "fetch the file again: it is cut short or edited badly",
      cause,
    });
  }
  return parseAdapterConfig(raw, place);
}

/** raw: the parsed file. place: how messages call it. Throws FormatError naming the key. */
export function parseAdapterConfig(raw: unknown, place: string): AdapterConfig {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw badField(place, { key: "(root)", expected: "an object", got: raw });
  }
  const refuse = (key: string, expected: string, got: unknown): FormatError =>
    badField(place, {
      key,
      expected,
      got,
      hint: "merge the adapter into its base once where it was trained (PEFT: merge_and_unload, save_pretrained) and compare that folder",
    });
  const given = new Map<string, unknown>(Object.entries(raw));
  if (given.get("peft_type") !== "LORA") throw refuse("peft_type", '"LORA"', given.get("peft_type"));
  const task = given.get("task_type");
  if (task != null && task !== "CAUSAL_LM") throw refuse("task_type", '"CAUSAL_LM"', task);
  const start = given.get("init_lora_weights");
  if (!KEEPS_BASE.includes(start))
    throw refuse("init_lora_weights", "a start that leaves the base unchanged", start);
  for (const [key, value] of given) {
    if (!HARMLESS.has(key) && says(value)) throw refuse(key, "a plain LoRA, without this key", value);
  }
  const read = readFields(fields, raw, place);
  const ranks = readPattern(read.rank_pattern, { key: "rank_pattern", place, value: integer(1, MAX_RANK) });
  const alphas = readPattern(read.alpha_pattern, { key: "alpha_pattern", place, value: finite(-1e6, 1e6) });
  return {
    baseName: read.base_model_name_or_path ?? undefined,
    targetModules: Array.isArray(read.target_modules) ? read.target_modules : undefined,
    moduleScale(module) {
      const rank = ranks(module) ?? read.r;
      const alpha = alphas(module) ?? read.lora_alpha;
      return { rank, scale: read.use_rslora ? alpha / Math.sqrt(rank) : alpha / rank };
    },
  };
}

/** Whether a value turns something on: null, false, "", [] and {} do not. */
function says(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== null && value !== false && value !== "";
}

/**
 * PEFT's rule: the first key that, as a regular expression, matches the whole module name or its end after a dot.
 * Only expressions that cannot be made to run for ever are taken: no groups with quantifiers, at most two repetitions.
 */
function readPattern(
  entries: Record<string, unknown> | null | undefined,
  { key, place, value }: { key: string; place: string; value: z.ZodType<number> },
): (module: string) => number | undefined {
  const rules = Object.entries(entries ?? {}).map(([expression, got]) => {
    const schema = z.object({ [expression]: value });
    const read = readFields(schema, { [expression]: got }, `${place}: ${key}`);
    return { regex: compile(expression, { key, place }), value: Number(read[expression]) };
  });
  return (module) => rules.find(({ regex }) => regex.test(module))?.value;
}

function compile(expression: string, { key, place }: { key: string; place: string }): RegExp {
  const isSimple = expression.length <= 1024 && !/\(\?|\\\d|\)[*+?{]|[{]/.test(expression);
  const repetitions = expression.match(/[*+]/g)?.length ?? 0;
  try {
    if (isSimple && repetitions <= 2) return new RegExp(`^(?:.*\\.)?(?:${expression})$`);
  } catch {
    // Not an expression JavaScript knows: refused below like the others.
  }
  throw badField(place, {
    key,
    expected: "module names or simple patterns",
    got: expression,
    hint: "write the full module names instead (model.layers.0.self_attn.q_proj)",
  });
}
