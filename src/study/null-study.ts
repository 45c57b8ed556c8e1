// The null comparison of a study: how many claims its own pipeline makes of pairs in which nothing was learned.
//
// A null draw is the base against itself with weight noise, scaled until the residuals at the layer change as much as the
// pair's do; text, layer, dtype, dictionary and training seed are the study's. A control, a real checkpoint that was trained
// without learning the fine-tune's behaviours, is one more draw: reported apart, and in the mean only where that is asked,
// because its change is not scaled to the pair's. Not here: the rate (measure/false-discovery.ts), the models
// (null-models.ts), the stages of one draw (null-draw.ts).

import { join, resolve } from "node:path";
import { ConfigError } from "../errors.ts";
import { acquireLock } from "../formats/atomic.ts";
import {
  type CandidateScores,
  candidateScores,
  countSide,
  qValues,
  requireDraws,
} from "../measure/false-discovery.ts";
import { readMeasure } from "../measure/measure.ts";
import { CLAIM_THRESHOLDS } from "../measure/measure-contract.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import { type NullRecord, type NullRow, writeNull } from "../measure/null-file.ts";
import type { ReportProgress } from "../progress.ts";
import { CHANGE_SAMPLE } from "./change-ratio.ts";
import type { StudyConfig } from "./config.ts";
import type { FinishedDraw } from "./null-draw.ts";
import { checkControl, drawControl, drawNoise, layGround } from "./null-models.ts";
import { runStudy, studyPaths } from "./run-study.ts";

/** Rates at which the record counts claims. */
export const COUNTED_Q = [0.01, 0.05, 0.1, 0.2] as const;

/**
 * A larger change ratio is warned of. Noise that strong is no small step from the base but another model with directions of
 * its own, which are rightly claimed: the null then bounds the false claims from above, and a control is the closer one.
 */
export const STRONG_CHANGE = 0.25;

const SIDES = ["finetuned", "base"] as const;

export interface NullStudyOptions {
  folder: string;
  config: StudyConfig;
  /** Default 3, the fewest. */
  draws?: number | undefined;
  /** Folder of a real checkpoint, or of an adapter over the base, for one more draw. */
  control?: string | undefined;
  /** Count the control among the draws. */
  includeControl?: boolean;
  /** Keep the stores of the draws. */
  keep?: boolean;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface NullStudy {
  record: NullRecord;
  rows: NullRow[];
  /** The dictionary's folder, whose tables/ hold both. */
  dictionaryFolder: string;
  warnings: string[];
}

/**
 * Runs what the study lacks up to its measurement, every draw, and writes tables/null.parquet and tables/null.json. Draws that
 * are done are not repeated; a killed run goes on from the last committed piece.
 *
 * Throws ConfigError (fewer than three draws, a store of a draw's name), MismatchError (widths that differ, a control that does
 * not fit the base), NumericsError (no noise changes the residuals as much as the pair's), StorageError (the study is in use),
 * and what the stages throw.
 */
export async function runNullStudy(options: NullStudyOptions): Promise<NullStudy> {
  const { folder, config, draws = 3, includeControl = false, keep = false, reportProgress, signal } = options;
  const control = options.control === undefined ? undefined : resolve(options.control);
  requireDraws(draws);
  if (includeControl && control === undefined) {
    throw new ConfigError("includeControl: expected a control to include, got none", {
      hint: "name its folder with --control",
    });
  }
  if (config.store.name.startsWith("null-")) {
    throw new ConfigError(
      `store.name: expected a name that does not begin with "null-", got ${config.store.name}`,
      {
        hint: "stores of null draws have such names and are deleted: give the study's store another",
      },
    );
  }
  const { lock, warnings } = await runStudy({
    folder,
    config,
    until: "measure",
    commands: [],
    ...(reportProgress && { reportProgress }),
    ...(signal && { signal }),
  });
  if (control !== undefined) warnings.push(...(await checkControl(control, { config, lock })));
  const guard = await acquireLock(join(folder, ".lock"));
  try {
    const ground = await layGround({ folder, config, lock, keep, reportProgress, signal });
    const { pairRatio } = ground.sample;
    if (pairRatio > STRONG_CHANGE) {
      warnings.push(
        `the pair's residuals differ by ${pairRatio.toPrecision(2)} of their square: weight noise that strong makes another model, which has directions of its own; a --control is the closer null`,
      );
    }
    const finished: (FinishedDraw & { name: string; seed: number })[] = [];
    for (let seed = 1; seed <= draws; seed += 1) {
      const draw = await drawNoise(ground, { seed, start: finished[0]?.noise.scale });
      finished.push({ ...draw, name: `null-${seed}`, seed });
    }
    const controlDraw = control === undefined ? undefined : await drawControl(ground, control);
    const dictionaryFolder = join(folder, studyPaths(config).dictionary);
    const { latents } = await readMeasure(dictionaryFolder);
    const real = candidateScores(latents);
    const counted = [...finished, ...(includeControl && controlDraw ? [controlDraw] : [])];
    const rows = nullRows(
      real,
      counted.map(({ scores }) => scores),
    );
    const record: NullRecord = {
      schemaVersion: 1,
      dictionarySha256: await dictionarySha256(dictionaryFolder),
      thresholds: { ...CLAIM_THRESHOLDS },
      settings: { draws, includeControl, sampleRows: CHANGE_SAMPLE.rows },
      changeRatio: pairRatio,
      sampledRows: ground.sample.rows.length,
      counts: countSides(real),
      draws: finished.map((draw) => ({ ...drawFields(draw), seed: draw.seed, scale: draw.noise.scale })),
      control: controlDraw
        ? {
            ...drawFields(controlDraw),
            path: controlDraw.path,
            modelHash: controlDraw.modelHash,
            included: includeControl,
          }
        : null,
      expectedFalseClaims: expectedClaims(counted),
      claimsUpTo: COUNTED_Q.map((q) => countUpTo(rows, q)),
    };
    await writeNull(dictionaryFolder, { rows, record });
    return { record, rows, dictionaryFolder, warnings };
  } finally {
    await guard.release();
  }
}

function nullRows(real: CandidateScores, nulls: readonly CandidateScores[]): NullRow[] {
  const [qFinetuned, qBase] = SIDES.map((side) =>
    qValues(
      real[side],
      nulls.map((scores) => scores[side]),
    ),
  );
  return Array.from(real.finetuned, (scoreFinetuned, latent) => {
    const scoreBase = real.base[latent];
    const q = scoreFinetuned < 1 ? qFinetuned[latent] : scoreBase < 1 ? qBase[latent] : Number.NaN;
    return { latent, scoreFinetuned, qFinetuned: qFinetuned[latent], scoreBase, qBase: qBase[latent], q };
  });
}

const countSides = ({ finetuned, base }: CandidateScores): NullRecord["counts"] => ({
  finetuned: countSide(finetuned),
  base: countSide(base),
});

const drawFields = (draw: FinishedDraw & { name: string }) => ({
  name: draw.name,
  dictionarySha256: draw.dictionarySha256,
  changeRatio: draw.noise.changeRatio,
  counts: countSides(draw.scores),
});

function expectedClaims(draws: readonly FinishedDraw[]): NullRecord["expectedFalseClaims"] {
  const mean = (side: (typeof SIDES)[number]): number =>
    draws.reduce((sum, { scores }) => sum + countSide(scores[side]).claims, 0) / draws.length;
  return { finetuned: mean("finetuned"), base: mean("base") };
}

function countUpTo(rows: readonly NullRow[], q: number): NullRecord["claimsUpTo"][number] {
  const claims = rows.filter((row) => row.q <= q);
  const finetuned = claims.filter((row) => row.scoreFinetuned < 1).length;
  return { q, finetuned, base: claims.length - finetuned };
}
