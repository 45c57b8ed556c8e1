// tables/measure.parquet: one row a latent, in latent order, written and read here only.
//
// Columns, in file order. DOUBLE unless said; NaN where the quantity does not exist (a latent that never fired, a
// decoder row of norm 0). Code = unscaled f, activation = f·(‖dBase‖ + ‖dFinetuned‖), all in the dictionary's space.
//   latent                      INT32   0 … nLatents − 1
//   decoderNormBase, decoderNormFinetuned, encoderNormBase, encoderNormFinetuned
//   deltaNorm                           0 base-only, 0.5 shared, 1 finetuned-only
//   decoderCosine                       between the two decoder rows; NaN for models of different width
//   frequency                           share of rows (BOS excluded) in which it fired
//   documents                   INT32   documents in which it fired
//   maxCode, maxActivation, meanActivation   the mean is over rows in which it fired
//   templateShare                       share of its activation mass on template tokens
//   documentEntropy                     of its activation mass over documents, nats
//   latentClass                 STRING  base-only | shared | finetuned-only | other
//   scalingFinetuned_X, scalingBase_X   Latent Scaling along the finetuned and the base decoder row, X one of
//     betaActivationBase, betaActivationFinetuned, betaReconstructionBase, betaReconstructionFinetuned, betaErrorBase,
//     betaErrorFinetuned, nuActivation, nuReconstruction, nuError (base/finetuned, resp. finetuned/base)
//   intervalsFinetuned_X, intervalsBase_X   95 % limits nuActivationLow, nuActivationHigh, …; infinite where there is none
//   groupsFired                 INT32   document groups with a firing, of 64
//   improvementFinetuned_X, improvementBase_X   relative error improvement, X a field of ErrorImprovement
//   activationQuantiles_qNN             over rows in which it fired
//   activationHistogram         STRING  JSON {first, end, step, counts}: rows in which it fired, by activation; absent in tables from before
//   frequencyBy_KIND_NAME               share of the rows of a role, dataset, slot or position decile in which it fired
//   tokensAtPeak, tokensBeforePeak, nearestFinetuned, nearestBase, nearestAcross   STRING, JSON lists
//   verdict                     STRING  one of VERDICTS, empty for a latent that leans to neither side
//   claim                       STRING  finetuned-specific | base-specific | none
//   exclusion                   STRING  why it could not be judged; empty when it was
// The names of the categories stand in the file's key-value metadata under "categories", as JSON.

import { FormatError } from "../errors.ts";
import { type ParquetColumn, readParquet, readParquetMetadata, writeParquet } from "../formats/parquet.ts";
import { parseActivationBins } from "./activation-bins.ts";
import {
  ACTIVATION_QUANTILES,
  CATEGORY_KINDS,
  type CategoryKind,
  type CategoryNames,
  type Claim,
  type Direction,
  type ErrorImprovement,
  EXCLUSIONS,
  LATENT_CLASSES,
  type LatentMeasure,
  type LatentScaling,
  NU_NAMES,
  type NuName,
  VERDICTS,
} from "./measure-contract.ts";

const SCALING_FIELDS = [
  "betaActivationBase",
  "betaActivationFinetuned",
  "betaReconstructionBase",
  "betaReconstructionFinetuned",
  "betaErrorBase",
  "betaErrorFinetuned",
  "nuActivation",
  "nuReconstruction",
  "nuError",
] as const satisfies readonly (keyof LatentScaling)[];

const IMPROVEMENT_FIELDS = [
  "activationBase",
  "activationFinetuned",
  "reconstructionBase",
  "reconstructionFinetuned",
  "errorBase",
  "errorFinetuned",
  "activationRatio",
  "reconstructionRatio",
  "errorRatio",
] as const satisfies readonly (keyof ErrorImprovement)[];

const NUMBER_FIELDS = [
  "latent",
  "decoderNormBase",
  "decoderNormFinetuned",
  "encoderNormBase",
  "encoderNormFinetuned",
  "deltaNorm",
  "decoderCosine",
  "frequency",
  "documents",
  "maxCode",
  "maxActivation",
  "meanActivation",
  "templateShare",
  "documentEntropy",
] as const satisfies readonly (keyof LatentMeasure)[];

const INTEGERS: readonly string[] = ["latent", "documents", "groupsFired"];

const JSON_FIELDS = [
  "tokensAtPeak",
  "tokensBeforePeak",
  "nearestFinetuned",
  "nearestBase",
  "nearestAcross",
] as const satisfies readonly (keyof LatentMeasure)[];

const CLAIMS: readonly string[] = ["finetuned-specific", "base-specific", "none"] satisfies Claim[];
const WORDS = {
  latentClass: LATENT_CLASSES,
  verdict: ["", ...VERDICTS],
  claim: CLAIMS,
  exclusion: ["", ...EXCLUSIONS],
} as const satisfies Partial<Record<keyof LatentMeasure, readonly string[]>>;

const SIDES = [
  ["Finetuned", "finetuned"],
  ["Base", "base"],
] as const;
const LIMITS = [
  ["Low", "low"],
  ["High", "high"],
] as const;
const QUANTILES = Object.keys(ACTIVATION_QUANTILES) as (keyof typeof ACTIVATION_QUANTILES)[];

/** Tables that were written before it was counted for them lack this column, and are read all the same. */
const HISTOGRAM = "activationHistogram" satisfies keyof LatentMeasure;

type ColumnType = "INT32" | "DOUBLE" | "STRING";

interface Column {
  name: string;
  type: ColumnType;
  get(latent: LatentMeasure): number | string;
}

/** Every column in file order. */
export function measureColumns(categories: CategoryNames): Column[] {
  const number = (name: string, get: (latent: LatentMeasure) => number): Column => ({
    name,
    type: INTEGERS.includes(name) ? "INT32" : "DOUBLE",
    get,
  });
  const text = (name: string, get: (latent: LatentMeasure) => string): Column => ({
    name,
    type: "STRING",
    get,
  });
  return [
    ...NUMBER_FIELDS.map((name) => number(name, (latent) => latent[name])),
    text("latentClass", (latent) => latent.latentClass),
    ...SIDES.flatMap(([Side]) =>
      SCALING_FIELDS.map((field) =>
        number(`scaling${Side}_${field}`, (latent) => latent[`scaling${Side}`][field]),
      ),
    ),
    ...SIDES.flatMap(([Side, side]) =>
      NU_NAMES.flatMap((nu) =>
        LIMITS.map(([Limit, limit]) =>
          number(`intervals${Side}_${nu}${Limit}`, (latent) => latent.intervals[side][nu][limit]),
        ),
      ),
    ),
    number("groupsFired", (latent) => latent.intervals.nGroupsFired),
    ...SIDES.flatMap(([Side]) =>
      IMPROVEMENT_FIELDS.map((field) =>
        number(`improvement${Side}_${field}`, (latent) => latent[`improvement${Side}`][field]),
      ),
    ),
    ...QUANTILES.map((name) =>
      number(`activationQuantiles_${name}`, (latent) => latent.activationQuantiles[name]),
    ),
    text(HISTOGRAM, (latent) => JSON.stringify(latent.activationHistogram)),
    ...CATEGORY_KINDS.flatMap((kind) =>
      categories[kind].map((name, i) =>
        number(`frequencyBy_${kind}_${name}`, (latent) => latent.frequencyBy[kind][i]),
      ),
    ),
    ...JSON_FIELDS.map((name) => text(name, (latent) => JSON.stringify(latent[name]))),
    text("verdict", (latent) => latent.verdict),
    text("claim", (latent) => latent.claim),
    text("exclusion", (latent) => latent.exclusion),
  ];
}

/** The table as columns of a Parquet file, for the tables that carry it on. */
export function measureTableColumns(
  latents: readonly LatentMeasure[],
  categories: CategoryNames,
): ParquetColumn[] {
  const isWithout =
    latents.length > 0 && latents.every(({ activationHistogram }) => activationHistogram === null);
  const columns = measureColumns(categories).filter(({ name }) => !(isWithout && name === HISTOGRAM));
  return columns.map(({ name, type, get }): ParquetColumn => {
    if (type === "STRING") return { name, type, data: latents.map((latent) => String(get(latent))) };
    const values = latents.map((latent) => Number(get(latent)));
    return type === "INT32"
      ? { name, type, data: Int32Array.from(values) }
      : { name, type, data: Float64Array.from(values) };
  });
}

/** Writes the table in one step: a reader sees the old one or the whole new one. */
export async function writeMeasureTable(
  path: string,
  latents: readonly LatentMeasure[],
  categories: CategoryNames,
): Promise<void> {
  await writeParquet(path, measureTableColumns(latents, categories), {
    categories: JSON.stringify(categories),
  });
}

/** Reads the table back. Throws FormatError when a column is missing or a word is none of its enumeration. */
export async function readMeasureTable(path: string): Promise<LatentMeasure[]> {
  const again = "run `tunediff measure` again to write the table anew";
  const table = await readParquet(path);
  const categories = await readCategories(path, again);
  const column = (name: string): ArrayLike<unknown> => {
    const data = table[name];
    if (data !== undefined) return data;
    throw new FormatError(`${path}: expected a column "${name}", got ${Object.keys(table).join(", ")}`, {
      hint: again,
    });
  };
  const hasHistogram = table[HISTOGRAM] !== undefined;
  const columns = new Map(
    measureColumns(categories)
      .filter(({ name }) => name !== HISTOGRAM || hasHistogram)
      .map(({ name }) => [name, column(name)]),
  );
  const value = (name: string, row: number): unknown => columns.get(name)?.[row];
  const group = (prefix: string, fields: readonly string[], row: number): Record<string, number> =>
    Object.fromEntries(fields.map((field) => [field, Number(value(`${prefix}${field}`, row))]));
  const word = (name: keyof typeof WORDS, row: number): string => {
    const found = String(value(name, row));
    const allowed: readonly string[] = WORDS[name];
    if (allowed.includes(found)) return found;
    throw new FormatError(
      `${path}: ${name} of row ${row}: expected one of ${allowed.join(", ")}, got "${found}"`,
      { hint: again },
    );
  };
  const list = (name: string, row: number): unknown => {
    try {
      return JSON.parse(String(value(name, row)));
    } catch (cause) {
      throw new FormatError(`${path}: ${name} of row ${row}: expected a JSON list`, { hint: again, cause });
    }
  };
  const intervals = (row: number): LatentMeasure["intervals"] => ({
    nGroupsFired: Number(value("groupsFired", row)),
    ...(Object.fromEntries(
      SIDES.map(([Side, side]) => [
        side,
        Object.fromEntries(
          NU_NAMES.map((nu) => [
            nu,
            {
              low: Number(value(`intervals${Side}_${nu}Low`, row)),
              high: Number(value(`intervals${Side}_${nu}High`, row)),
            },
          ]),
        ),
      ]),
    ) as Record<Direction, Record<NuName, { low: number; high: number }>>),
  });
  return Array.from({ length: column("latent").length }, (_, row) => {
    const words = Object.fromEntries(
      (Object.keys(WORDS) as (keyof typeof WORDS)[]).map((name) => [name, word(name, row)]),
    );
    return {
      ...group("", NUMBER_FIELDS, row),
      ...Object.fromEntries(
        SIDES.flatMap(([Side]) => [
          [`scaling${Side}`, group(`scaling${Side}_`, SCALING_FIELDS, row)],
          [`improvement${Side}`, group(`improvement${Side}_`, IMPROVEMENT_FIELDS, row)],
        ]),
      ),
      intervals: intervals(row),
      activationQuantiles: group("activationQuantiles_", QUANTILES, row),
      activationHistogram: hasHistogram
        ? parseActivationBins(String(value(HISTOGRAM, row)), `${path}: ${HISTOGRAM} of row ${row}`)
        : null,
      frequencyBy: Object.fromEntries(
        CATEGORY_KINDS.map((kind) => [
          kind,
          categories[kind].map((name) => Number(value(`frequencyBy_${kind}_${name}`, row))),
        ]),
      ),
      ...Object.fromEntries(JSON_FIELDS.map((name) => [name, list(name, row)])),
      ...words,
    } as unknown as LatentMeasure;
  });
}

async function readCategories(path: string, hint: string): Promise<CategoryNames> {
  const text = (await readParquetMetadata(path)).get("categories") ?? "";
  try {
    const parsed = JSON.parse(text) as Record<CategoryKind, string[]>;
    if (CATEGORY_KINDS.every((kind) => Array.isArray(parsed[kind]))) return parsed;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // what is not JSON is refused below
  }
  throw new FormatError(`${path}: expected the names of its categories as JSON, got "${text.slice(0, 40)}"`, {
    hint,
  });
}
