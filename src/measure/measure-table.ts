// tables/measure.parquet: one row a latent, in latent order, written and read here only.
//
// Columns, in file order. DOUBLE unless said; NaN where the quantity does not exist (a latent that never fired, a
// decoder row of norm 0). Code = unscaled f, activation = f·(‖dBase‖ + ‖dFinetuned‖), all in the dictionary's space.
//   latent                      INT32   0 … nLatents − 1
//   decoderNormBase, decoderNormFinetuned, encoderNormBase, encoderNormFinetuned
//   deltaNorm                           0 base-only, 0.5 shared, 1 finetuned-only
//   decoderCosine                       between the two decoder rows; NaN for models of different width
//   latentClass                 STRING  base-only | shared | finetuned-only | other
//   frequency                           share of rows (BOS excluded) in which it fired
//   documents                   INT32   documents in which it fired
//   maxCode, maxActivation, meanActivation   the mean is over rows in which it fired
//   templateShare                       share of its activation mass on template tokens
//   scalingFinetuned_X, scalingBase_X   Latent Scaling along the finetuned and the base decoder row, X one of
//     betaActivationBase, betaActivationFinetuned, betaReconstructionBase, betaReconstructionFinetuned, betaErrorBase,
//     betaErrorFinetuned, nuActivation, nuReconstruction, nuError (base/finetuned, resp. finetuned/base)
//   claim                       STRING  finetuned-specific | base-specific | none
//   exclusion                   STRING  why it could not be judged; empty when it was

import { FormatError } from "../errors.ts";
import { type ParquetColumn, readParquet, writeParquet } from "../formats/parquet.ts";
import {
  type Claim,
  EXCLUSIONS,
  type Exclusion,
  LATENT_CLASSES,
  type LatentClass,
  type LatentMeasure,
  type LatentScaling,
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
] as const satisfies readonly (keyof LatentMeasure)[];

const STRING_FIELDS = [
  "latentClass",
  "claim",
  "exclusion",
] as const satisfies readonly (keyof LatentMeasure)[];

const SCALINGS = ["scalingFinetuned", "scalingBase"] as const;
const CLAIMS: readonly string[] = ["finetuned-specific", "base-specific", "none"] satisfies Claim[];

type ColumnType = "INT32" | "DOUBLE" | "STRING";

/** Name and type of every column, in file order. */
export const MEASURE_COLUMNS: readonly { name: string; type: ColumnType }[] = [
  ...NUMBER_FIELDS.map((name) => ({
    name,
    type: (name === "latent" || name === "documents" ? "INT32" : "DOUBLE") as ColumnType,
  })),
  { name: "latentClass", type: "STRING" },
  ...SCALINGS.flatMap((scaling) =>
    SCALING_FIELDS.map((field) => ({ name: `${scaling}_${field}`, type: "DOUBLE" as ColumnType })),
  ),
  { name: "claim", type: "STRING" },
  { name: "exclusion", type: "STRING" },
];

function columnValue(latent: LatentMeasure, column: string): number | string {
  const [field, inner] = column.split("_");
  const value = latent[field as keyof LatentMeasure];
  return inner === undefined
    ? (value as number | string)
    : (value as LatentScaling)[inner as keyof LatentScaling];
}

/** Writes the table in one step: a reader sees the old one or the whole new one. */
export async function writeMeasureTable(path: string, latents: readonly LatentMeasure[]): Promise<void> {
  const columns = MEASURE_COLUMNS.map(({ name, type }): ParquetColumn => {
    const values = latents.map((latent) => columnValue(latent, name));
    if (type === "STRING") return { name, type, data: values as string[] };
    return type === "INT32"
      ? { name, type, data: Int32Array.from(values as number[]) }
      : { name, type, data: Float64Array.from(values as number[]) };
  });
  await writeParquet(path, columns);
}

/** Reads the table back. Throws FormatError when a column is missing or a word is none of its enumeration. */
export async function readMeasureTable(path: string): Promise<LatentMeasure[]> {
  const table = await readParquet(path);
  const column = (name: string): ArrayLike<unknown> => {
    const data = table[name];
    if (data === undefined) {
      throw new FormatError(`${path}: expected a column "${name}", got ${Object.keys(table).join(", ")}`, {
        hint: "run `tunediff measure` again to write the table anew",
      });
    }
    return data;
  };
  const numbers = Object.fromEntries(NUMBER_FIELDS.map((name) => [name, column(name)]));
  const strings = Object.fromEntries(STRING_FIELDS.map((name) => [name, column(name)]));
  const scalings = SCALINGS.map((scaling) =>
    SCALING_FIELDS.map((field) => [field, column(`${scaling}_${field}`)] as const),
  );
  const word = <T extends string>(name: string, row: number, allowed: readonly string[]): T => {
    const value = String(strings[name][row]);
    if (allowed.includes(value)) return value as T;
    throw new FormatError(
      `${path}: ${name} of row ${row}: expected one of ${allowed.join(", ")}, got "${value}"`,
    );
  };
  return Array.from({ length: column("latent").length }, (_, row) => {
    const scalar = Object.fromEntries(NUMBER_FIELDS.map((name) => [name, Number(numbers[name][row])]));
    const [scalingFinetuned, scalingBase] = scalings.map((fields) =>
      Object.fromEntries(fields.map(([field, data]) => [field, Number(data[row])])),
    );
    return {
      ...scalar,
      latentClass: word<LatentClass>("latentClass", row, LATENT_CLASSES),
      scalingFinetuned,
      scalingBase,
      claim: word<Claim>("claim", row, CLAIMS),
      exclusion: word<Exclusion | "">("exclusion", row, ["", ...EXCLUSIONS]),
    } as unknown as LatentMeasure;
  });
}
