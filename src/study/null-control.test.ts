// The positive control: null pairs of the tiny model, into one of which a single concept is planted.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { harvest } from "../harvest/harvest.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { addWeightNoise } from "../lm/noisy-checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { candidateScores, countSide, qValues } from "../measure/false-discovery.ts";
import { measure } from "../measure/measure.ts";
import { createRng } from "../numerics/rng.ts";
import { normLimits } from "../store/norm-outliers.ts";
import { ROLES } from "../store/rows.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import type { InputDocument } from "../text/document.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "../training/config.ts";
import { train } from "../training/train.ts";
import { plantConcept, randomDirection } from "./plant-concept.test.helper.ts";

const LAYER = 1;
/** Noise of the null pairs: moves the residuals by about a fifth of their square. */
const SCALE = 0.07;
/** Of the planted pair's noise; the draws it is held against have others. */
const PLANTED_SEED = 9;
const WORDS = ["hi", "user", "her", "us", "sir", "hush", "ruse", "hers", "she", "rush"];
const TRAINING: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  nLatents: 48,
  k: 4,
  steps: 300,
  batchRows: 192,
  threads: 1,
};

let folder = "";
let base = "";
const stores: Store[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-control-"));
  const config = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64 };
  base = await writeTinyTokenizer(await writeTinyLlama(config, tinyWeights(config, 1)));
});
afterAll(async () => {
  for (const store of stores) await store.close();
  await rm(folder, { recursive: true, force: true });
  await rm(base, { recursive: true, force: true });
});

/** Seeded sentences of ten words, half of them held out. */
function sentences(): InputDocument[] {
  const rng = createRng(1, "control text");
  return Array.from({ length: 120 }, (_, d) => ({
    id: `d${d}`,
    dataset: "words",
    split: d % 2 === 0 ? "train" : "heldout",
    text: Array.from({ length: 12 }, (_, i) => WORDS[Math.floor(WORDS.length * rng.uniform(d, i))]).join(" "),
  }));
}

async function nullPair(seed: number): Promise<Store> {
  const storeFolder = join(folder, `store-${seed}`);
  await harvest({
    base,
    finetuned: base,
    documents: sentences(),
    layer: LAYER,
    storeFolder,
    storeName: `null-${seed}`,
    threads: 1,
    standIn: {
      layer: LAYER,
      open: async () => addWeightNoise(await openCheckpoint(base), { seed, scale: SCALE }),
    },
  });
  const store = await openStore(storeFolder);
  stores.push(store);
  return store;
}

/** Scores of the dictionary learned from a store, and the cosine of every finetuned decoder row with a direction. */
async function learn(store: Store, { name, direction }: { name: string; direction?: Float32Array }) {
  const dictionaryFolder = join(folder, name);
  await train({ store, config: TRAINING, folder: dictionaryFolder });
  const dictionary = await loadDictionary(dictionaryFolder);
  const { latents } = await measure({
    store,
    dictionary,
    folder: dictionaryFolder,
    tokenString: String,
    threads: 1,
  });
  const { width, decoderWeight, sites } = dictionary;
  const [, offset] = siteOffsets(sites);
  const cosines = latents.map(({ latent, decoderNormFinetuned }) => {
    let dot = 0;
    for (const [c, value] of (direction ?? []).entries())
      dot += value * decoderWeight[latent * width + offset + c];
    return dot / decoderNormFinetuned;
  });
  return { scores: candidateScores(latents), cosines };
}

/** The commonest token that is on less than 3 % of the rows: most documents have it. */
function patternToken({ rows }: Store): number {
  const counts = new Map<number, number>();
  for (let row = 0; row < rows.nRows; row += 1) {
    if (ROLES[rows.role[row]] === "bos") continue;
    counts.set(rows.tokenBase[row], (counts.get(rows.tokenBase[row]) ?? 0) + 1);
  }
  const byCount = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  return (byCount.find(([, count]) => count < 0.03 * rows.nRows) as [number, number])[0];
}

test("a concept planted in a null pair is claimed first, and little else is", async () => {
  const draws = [];
  for (const seed of [1, 2, 3])
    draws.push((await learn(await nullPair(seed), { name: `draw-${seed}` })).scores);

  const store = await nullPair(PLANTED_SEED);
  const width = store.manifest.sites[1].width;
  const direction = randomDirection(width, 1);
  const token = patternToken(store);
  const [, limit] = await normLimits(store);
  const planted = plantConcept(store, {
    direction,
    magnitude: limit / 10, // the limit is ten medians: the size of an ordinary residual
    hasConcept: (row) => store.rows.tokenBase[row] === token,
  });
  const { scores, cosines } = await learn(planted, { name: "planted", direction });

  const concept = cosines.indexOf(Math.max(...cosines));
  expect(cosines[concept]).toBeGreaterThan(0.8);
  const { finetuned } = scores;
  expect(finetuned[concept]).toBeLessThan(1);
  const others = [
    ...draws.flatMap((draw) => [...draw.finetuned]),
    ...finetuned.filter((_, latent) => latent !== concept),
  ];
  for (const other of others) if (!Number.isNaN(other)) expect(finetuned[concept]).toBeLessThan(other);
  const q = qValues(
    finetuned,
    draws.map((draw) => draw.finetuned),
  );
  expect(q[concept]).toBe(Math.min(...q.filter((value) => !Number.isNaN(value))));
  for (const side of ["finetuned", "base"] as const) {
    const ofNull = Math.max(...draws.map((draw) => countSide(draw[side]).claims));
    const found = countSide(scores[side]).claims - (side === "finetuned" ? 1 : 0);
    expect(found, side).toBeLessThanOrEqual(ofNull);
  }
});
