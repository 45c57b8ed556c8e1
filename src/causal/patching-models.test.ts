// The experiment through two tiny models; with a stand-in for them it is patching.test.ts.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { madeLatent } from "../measure/latent-measure.test.helper.ts";
import { TOKEN_SETS } from "./causal-contract.ts";
import { madeChat } from "./fake-evaluator.test.helper.ts";
import { firingStats } from "./firing-stats.ts";
import { createPatchEvaluator, type PatchEvaluator } from "./patch-evaluator.ts";
import { runPatching } from "./patching.ts";
import { planPatching } from "./patching-plan.ts";
import { patchingReference } from "./patching-reference.ts";
import { selectLatents } from "./selection.ts";

const N_LATENTS = 40;
const LAYER = 1;
const conversations = [3, 14, 6].map((answer, i) => madeChat(`chat-${i}`, answer));
const latents = Array.from({ length: N_LATENTS }, (_, latent) =>
  madeLatent(
    latent,
    latent < 10 ? { deltaNorm: 0.7, claim: latent < 3 ? "finetuned-specific" : "none" } : {},
  ),
);
const common = {
  conversations,
  latents,
  origin: { source: "stored", answers: "written", split: "heldout", excluded: {} },
  ...{ draws: 41, seed: 5, controlDraws: 2 },
} as const;

const folders: string[] = [];
let base: Checkpoint;
let finetuned: Checkpoint;

async function open(seed: number): Promise<Checkpoint> {
  const folder = await writeTinyLlama(TINY_CONFIG, tinyWeights(TINY_CONFIG, seed));
  folders.push(folder);
  return openCheckpoint(folder);
}

async function withEvaluator<T>(
  checkpoints: { base: Checkpoint; finetuned: Checkpoint },
  use: (evaluator: PatchEvaluator) => Promise<T>,
): Promise<T> {
  const width = TINY_CONFIG.hidden_size;
  const dictionary = randomDictionary({ widths: [width, width], nLatents: N_LATENTS, inferenceThreshold: 3 });
  const sites = dictionary.sites.map((site) => ({ ...site, layer: LAYER }));
  const layers = { base: LAYER, finetuned: LAYER };
  const evaluator = await createPatchEvaluator({
    ...{ checkpoints, layers, dictionary: { ...dictionary, sites }, threads: 1 },
  });
  try {
    return await use(evaluator);
  } finally {
    await evaluator.dispose();
  }
}

beforeAll(async () => {
  base = await open(1);
  finetuned = await open(2);
});
afterAll(async () => {
  for (const checkpoint of [base, finetuned]) await checkpoint.close();
  for (const folder of folders) await rm(folder, { recursive: true });
});

test("the table of two models equals the twin, one intervention and one chat at a time", async () => {
  await withEvaluator({ base, finetuned }, async (evaluator) => {
    const result = await runPatching({ evaluator, ...common });
    const plan = planPatching({
      selection: selectLatents(latents, { nuRank: "signed" }),
      stats: await firingStats(evaluator, conversations, { batchTokens: 100 }),
      ...{ draws: 2, seed: 5 },
    });
    const twin = await patchingReference(plan, { evaluator, conversations, draws: 41, seed: 5 });
    // Other batches: f32 sums of the blocks in another order, on KL of some nats.
    const tolerance = 1e-5;
    const [none] = result.outcomes;
    expect(none.sets.all.kl.mean).toBeGreaterThan(0.1);
    for (const [i, { name, sets }] of twin.outcomes.entries()) {
      for (const set of TOKEN_SETS) {
        const { kl, gapClosed } = result.outcomes[i].sets[set];
        for (const [ours, theirs] of [
          [kl, sets[set].kl],
          [gapClosed, sets[set].gapClosed],
        ]) {
          expect(Math.abs((ours?.mean ?? NaN) - (theirs?.mean ?? NaN)), name).toBeLessThan(tolerance);
          expect(Math.abs((ours?.interval.high ?? NaN) - (theirs?.interval.high ?? NaN)), name).toBeLessThan(
            tolerance,
          );
        }
      }
    }
    const own = result.outcomes.find(({ name }) => name === "Finetuned");
    // Its own residual in another batch than its own forward.
    expect(own?.sets.all.kl.mean).toBeLessThan(1e-9);
  });
});

test("a model against itself has no gap to close", async () => {
  await withEvaluator({ base: finetuned, finetuned }, async (evaluator) => {
    const { outcomes } = await runPatching({ evaluator, ...common });
    for (const { sets } of outcomes) expect(sets.all.gapClosed).toBeNull();
    expect(outcomes[0].sets.all.kl.mean).toBeLessThan(1e-9);
  });
});
