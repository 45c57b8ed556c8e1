// Two dictionaries as rows of a table: each figure in both, and whether it differs. What is missing is "–" here and named beside the table.

import type {
  CausalBar,
  ComparedDictionary,
  DictionaryEntry,
  Missing,
  Overview,
  Part,
} from "../../../src/dashboard/api-contract.ts";
import { formatCount, formatFixed, formatNumber, formatPercent, NO_VALUE } from "../format.ts";

export interface Compared {
  overview: Overview;
  dictionary: DictionaryEntry;
  facts: ComparedDictionary;
}

export interface ComparedRow {
  name: string;
  a: string;
  b: string;
  differs: boolean;
  /** b − a, for numbers in both; "" otherwise. */
  difference: string;
}

export interface ComparedGroup {
  name: string;
  /** Equal rows are left out unless asked for: there are many, and most are equal. */
  isLong: boolean;
  rows: ComparedRow[];
  missing: { of: "a" | "b"; part: Missing }[];
}

type Value = number | string | null;
type Show = (value: number) => string;

export function compareSides(a: Compared, b: Compared): ComparedGroup[] {
  const group = <T>(
    name: string,
    partOf: (side: Compared) => Part<T>,
    rowsOf: (
      value: T | undefined,
      other: T | undefined,
    ) => [name: string, of: (value: T) => Value, show?: Show][],
    isLong = false,
  ): ComparedGroup => {
    const [mine, theirs] = [partOf(a), partOf(b)];
    const [x, y] = [madeValue(mine), madeValue(theirs)];
    const rows = rowsOf(x, y).map(([row, of, show]) =>
      rowOf(row, { a: x === undefined ? null : of(x), b: y === undefined ? null : of(y), show }),
    );
    const missing = [
      ...(mine.state === "made" ? [] : [{ of: "a" as const, part: mine }]),
      ...(theirs.state === "made" ? [] : [{ of: "b" as const, part: theirs }]),
    ];
    return { name, isLong, rows: missing.length === 2 ? [] : rows, missing };
  };
  const always = <T>(value: T): Part<T> => ({ state: "made", value });
  return [
    group(
      "The pair",
      ({ overview }) => always(overview.pair),
      () => [
        ["base", ({ base }) => base],
        ["finetuned", ({ finetuned }) => finetuned],
        ["layer of the base", ({ layer }) => layer.base],
        ["layer of the fine-tune", ({ layer }) => layer.finetuned],
      ],
    ),
    group(
      "The dictionary",
      ({ dictionary }) => always(dictionary),
      () => [
        ["latents", ({ nLatents }) => nLatents],
        ["sparsity", ({ sparsity }) => sparsity],
      ],
    ),
    group(
      "Measured on",
      ({ facts }) => facts.measured,
      () => [
        ["store", ({ storeSha256 }) => storeSha256.slice(0, 8)],
        ["split", ({ split }) => split],
        ["rows", ({ nRows }) => nRows],
        ["documents", ({ nDocuments }) => nDocuments],
        ["datasets", ({ datasets }) => datasets.join(", ")],
        ["threshold θ", ({ inferenceThreshold }) => inferenceThreshold],
        ["Latent Scaling directions", ({ scalingDirections }) => scalingDirections],
      ],
    ),
    group(
      "Training",
      ({ facts }) => facts.training,
      (x, y) =>
        [...new Set([...Object.keys(x ?? {}), ...Object.keys(y ?? {})])].map((key) => [
          key,
          (values) => plain(values[key]),
        ]),
      true,
    ),
    group(
      "Fit",
      ({ overview }) => overview.fit,
      () => [
        ["FVE, both models", ({ fve }) => fve.total, fixed],
        ["FVE, base", ({ fve }) => fve.base, fixed],
        ["FVE, finetuned", ({ fve }) => fve.finetuned, fixed],
        ["L0", ({ l0 }) => l0, (value) => formatFixed(value, 2)],
        ["dead", ({ deadFraction }) => deadFraction, formatPercent],
      ],
    ),
    group("Latents by class and claim", ({ overview }) => overview.counts, countRows),
    group("Latents by verdict", ({ overview }) => overview.verdicts, countRows),
    group(
      "False claims to expect",
      ({ overview }) => overview.nulls,
      () => [
        ["finetuned", ({ expectedFalseClaims }) => expectedFalseClaims.finetuned],
        ["base", ({ expectedFalseClaims }) => expectedFalseClaims.base],
        ["null pairs", ({ draws }) => draws],
      ],
    ),
    group(
      "Found again in other dictionaries",
      ({ overview }) => overview.stability,
      () => [
        ["other dictionaries", ({ others }) => others],
        ["claims found in all of them", ({ foundInAll, claims }) => share(foundInAll, claims)],
        ["claims claimed in all of them", ({ claimedInAll, claims }) => share(claimedInAll, claims)],
      ],
    ),
    group(
      "Against the planted truth",
      ({ overview }) => overview.truth,
      () => [
        ["behaviours found", ({ found, planted }) => `${found} of ${planted}`],
        ["recall", ({ recall }) => recall, fixed],
        ["precision", ({ precisionWithTemplate }) => precisionWithTemplate, fixed],
        ["recall with shuffled labels", ({ permutedRecall }) => permutedRecall, fixed],
      ],
    ),
    group(
      "Causal: KL to the fine-tune, nats a token",
      ({ overview }) => overview.causal,
      () => [
        ["no edit", ({ bars }) => klOf(bars, (name) => name === "None"), fixed],
        ["all of the dictionary", ({ bars }) => klOf(bars, (name) => name === "All"), fixed],
        [
          "best half by Latent Scaling",
          ({ bars }) => klOf(bars, (name) => /^latent-scaling best half, replacing$/.test(name)),
          fixed,
        ],
        [
          "worst half by Latent Scaling",
          ({ bars }) => klOf(bars, (name) => /^latent-scaling worst half, replacing$/.test(name)),
          fixed,
        ],
        ["claims", ({ bars }) => klOf(bars, (name) => name === "claims, replacing"), fixed],
      ],
    ),
  ];
}

const fixed: Show = (value) => formatFixed(value, 3);

function countRows(
  x: Record<string, number> | undefined,
  y: Record<string, number> | undefined,
): [string, (counts: Record<string, number>) => Value][] {
  const names = [...new Set([...Object.keys(x ?? {}), ...Object.keys(y ?? {})])].filter(
    (name) => name !== "",
  );
  return names.map((name) => [COUNT_NAMES[name] ?? name, (counts) => counts[name] ?? null]);
}

/** The words that the tables have for the measurement's counts. */
const COUNT_NAMES: Record<string, string> = {
  baseOnly: "base-only",
  finetunedOnly: "finetuned-only",
  finetunedSpecific: "finetuned-specific",
  baseSpecific: "base-specific",
};

/** Mean KL over all predicted tokens of the first bar so named. */
function klOf(bars: readonly CausalBar[], isIt: (name: string) => boolean): number | null {
  return bars.find(({ name, tokenSet }) => tokenSet === "all" && isIt(name))?.kl ?? null;
}

function share(part: number, whole: number): string {
  return `${formatCount(part)} of ${formatCount(whole)}`;
}

function plain(value: number | string | boolean | null | undefined): Value {
  return value === undefined ? null : typeof value === "boolean" ? (value ? "yes" : "no") : value;
}

function madeValue<T>(part: Part<T>): T | undefined {
  return part.state === "made" ? part.value : undefined;
}

function rowOf(
  name: string,
  { a, b, show = formatNumber }: { a: Value; b: Value; show?: Show | undefined },
): ComparedRow {
  const shown = (value: Value): string =>
    value === null ? NO_VALUE : typeof value === "number" ? show(value) : value;
  const areNumbers = typeof a === "number" && typeof b === "number";
  const difference = areNumbers && a !== b ? b - a : 0;
  return {
    name,
    a: shown(a),
    b: shown(b),
    differs: a !== b,
    difference: difference === 0 ? "" : `${difference > 0 ? "+" : ""}${show(difference)}`,
  };
}
