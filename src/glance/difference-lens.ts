// The activation-difference lens: what the mean of h_finetuned − h_base over the first tokens of unrelated text says.
//
// Minder et al. 2025 (arXiv:2510.13900). A narrow fine-tuning leaves a constant trace that shows on any text: its size, how alike
// it is on all texts, its tokens in either model's vocabulary (read-directions.ts) and as the fine-tune repeats it (patchscope.ts),
// and both models' words with it added and taken away (steer-difference.ts). BOS is reported and never the position that speaks
// for the pair: its residual is an outlier in many models and sees no text at all. Summing is difference-sums.ts;
// difference-lens-reference.ts is the readable twin of the numbers.

import { throwIfInterrupted } from "../errors.ts";
import { type Pair, SIDES } from "../harvest/open-pair.ts";
import type { Unembedding } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { createPromptTokenizer } from "../text/chat-prompt.ts";
import { findStopIds } from "../text/stop-ids.ts";
import type { PositionSums, SummedDifference } from "./difference-sums.ts";
import type {
  DifferenceSteering,
  LensFindings,
  PositionDifference,
  ReadDirection,
} from "./glance-contract.ts";
import { type ModelUse, openNextTokenModel } from "./next-token-model.ts";
import { patchscope, writeIdentityPrompt } from "./patchscope.ts";
import { readDirections, vectorNorm } from "./read-directions.ts";
import { NEUTRAL_REQUESTS, type SteeringPrompt, steerWithDifference } from "./steer-difference.ts";

export const DIFFERENCE_LENS = {
  /** First positions with a counted token that are read. */
  readPositions: 5,
} as const;

export interface DifferenceLensOptions extends ModelUse {
  sums: SummedDifference;
  pair: Pick<Pair, "checkpoints" | "sites" | "tokenizer" | "template" | "baseReplacements">;
  unembeddings: Record<ModelSide, Unembedding>;
  /** Tokens a list. */
  topK?: number | undefined;
  seed?: number;
  /** Default true. */
  steering?: boolean;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Opens each model by itself, for patchscope and steering. Throws NumericsError, InterruptedError, what models and tokenizer throw. */
export async function differenceLens(options: DifferenceLensOptions): Promise<LensFindings> {
  const { sums, pair, unembeddings, topK, threads, reportProgress, signal } = options;
  const nSteps = 3;
  const report = (done: number): void =>
    reportProgress?.({ stage: "difference lens", done, total: nSteps, unit: "steps" });
  report(0);
  const measured = sums.positions
    .map((own, position) => ({ position, own, ...measure(own) }))
    .filter(({ texts }) => texts > 0)
    .slice(0, DIFFERENCE_LENS.readPositions);
  const overall = measure(sums.overall);
  const mainPosition = choosePosition(measured.filter(({ own }) => !isBos(own)));
  const means = [...measured.map(({ own }) => own), sums.overall].map(meanDifference);
  const read = await readDirections({
    directions: means,
    unembeddings,
    tokenString: pair.tokenizer.tokenString,
    topK,
    threads,
  });
  report(1);
  throwIfInterrupted(signal);

  const main = measured.findIndex(({ position }) => position === mainPosition);
  const leftOut: string[] = [];
  const steering: DifferenceSteering[] = [];
  if (mainPosition !== null) {
    const spoken = [main, means.length - 1].filter((at) => vectorNorm(means[at]) > 0);
    const patched = await patch(
      options,
      spoken.map((at) => means[at]),
    );
    if ("leftOut" in patched) leftOut.push(patched.leftOut);
    else for (const [i, at] of spoken.entries()) read[at].push(patched[i]);
    report(2);
    if (options.steering === false) leftOut.push("Steering was left out, as asked for.");
    else steering.push(...(await steer(options, means[main], mainPosition)));
  }
  report(nSteps);
  return {
    texts: Math.max(0, ...sums.positions.map(({ rows }) => rows)),
    layer: layerOf(pair, "finetuned"),
    positions: measured.map(({ own, ...entry }, at): PositionDifference => ({ ...entry, read: read[at] })),
    overall: { ...overall, read: read[means.length - 1] },
    mainPosition,
    steering,
    leftOut,
  };
}

type Measured = Omit<PositionDifference, "position" | "read">;

/** The numbers of the formulas in PositionDifference. */
export function measure({ rows, difference, norm, baseNorm }: PositionSums): Measured {
  const size = vectorNorm(difference);
  return {
    texts: rows,
    relativeNorm: baseNorm > 0 ? size / baseNorm : null,
    consistency: norm > 0 ? size / norm : 0,
  };
}

function isBos({ rows, bosRows }: PositionSums): boolean {
  return 2 * bosRows > rows;
}

/** [dModel] f64, Σδ / rows. */
function meanDifference({ rows, difference }: PositionSums): Float64Array {
  return difference.map((value) => value / Math.max(1, rows));
}

/** The position whose mean difference is greatest beside the residual; null where there is no difference. */
export function choosePosition(
  measured: readonly Pick<PositionDifference, "position" | "relativeNorm">[],
): number | null {
  let best: { position: number; size: number } | undefined;
  for (const { position, relativeNorm } of measured) {
    const size = relativeNorm ?? 0;
    if (size > (best?.size ?? 0)) best = { position, size };
  }
  return best?.position ?? null;
}

function layerOf({ sites }: Pick<Pair, "sites">, side: ModelSide): number {
  return sites[SIDES.indexOf(side)].layer;
}

async function patch(
  options: DifferenceLensOptions,
  directions: readonly Float64Array[],
): Promise<ReadDirection[] | { leftOut: string }> {
  const { pair, sums, topK, signal } = options;
  const prompt = await writeIdentityPrompt(pair.tokenizer);
  if ("leftOut" in prompt) return prompt;
  const editLayer = layerOf(pair, "finetuned");
  const model = await openNextTokenModel(pair.checkpoints.finetuned, { ...options, editLayer });
  try {
    return await patchscope({
      model,
      prompt,
      directions,
      residualNorm: sums.overall.finetunedNorm / sums.overall.rows,
      tokenString: pair.tokenizer.tokenString,
      topK,
      signal,
    });
  } finally {
    await model.dispose();
  }
}

async function steer(
  options: DifferenceLensOptions,
  direction: Float64Array,
  position: number,
): Promise<DifferenceSteering[]> {
  const { pair, sums, seed = 0, signal } = options;
  const { tokenizer, template, checkpoints } = pair;
  const prompts = await neutralPrompts(pair);
  const stopIds = await findStopIds({
    folders: SIDES.map((side) => checkpoints[side].folder),
    tokenizer,
    template,
  });
  const { rows, baseNorm, finetunedNorm } = sums.overall;
  const norms = { base: baseNorm / rows, finetuned: finetunedNorm / rows };
  const steered: DifferenceSteering[] = [];
  for (const model of [...SIDES].reverse()) {
    throwIfInterrupted(signal);
    const part = await steerWithDifference({
      ...options,
      model,
      checkpoint: checkpoints[model],
      layer: layerOf(pair, model),
      direction,
      position,
      residualNorm: norms[model],
      prompts,
      stopIds,
      decode: tokenizer.decode,
      seed,
    });
    steered.push(...part);
  }
  return steered;
}

/** Requests that ask for nothing special; without a chat template one plain text of no words. */
async function neutralPrompts({
  tokenizer,
  template,
  baseReplacements,
}: DifferenceLensOptions["pair"]): Promise<SteeringPrompt[]> {
  const { tokenize } = createPromptTokenizer({ tokenizer, template, baseReplacements });
  const plain = tokenizer.bosId === undefined ? "The" : "";
  const asked =
    template === undefined
      ? [{ id: "plain text", text: plain, shown: plain }]
      : NEUTRAL_REQUESTS.map((content) => ({
          id: content,
          messages: [{ role: "user" as const, content }],
          shown: content,
        }));
  const tokenized = await tokenize(asked.map(({ shown: _, ...prompt }) => prompt));
  return tokenized.map(({ tokens }, i) => ({ text: asked[i].shown, tokens }));
}
