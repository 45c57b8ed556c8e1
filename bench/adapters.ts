// The pair made by rank-1 adapters: how many are found by BatchTopK over three seeds. No peer does this job.
//
// The common model against itself with all adapters, over the demo's text; store in f32, so that gates read off it are exact.
// Settings were chosen on seed 0 of an earlier common model (organisms/minichat/README.md says what was tried).

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateComparisonCorpus } from "../organisms/minichat/generator/index.ts";
import { harvest } from "../src/harvest/harvest.ts";
import { measure } from "../src/measure/measure.ts";
import { packageRoot } from "../src/package-root.ts";
import { openStore } from "../src/store/store.ts";
import { DEFAULT_TRAIN_CONFIG } from "../src/training/config.ts";
import { trainMany } from "../src/training/train-many.ts";
import { readPlantedAdapters } from "../src/truth/adapter-file.ts";
import { type AdapterTruth, scoreAdapters } from "../src/truth/adapter-scores.ts";
import type { BenchRow } from "./run.ts";

const SEEDS = [0, 1, 2];
/** As `tunediff demo` reads it. */
const CORPUS = { seed: 1, chats: 3500, worldDocuments: 1000, bibleParagraphs: 400 };
const DICTIONARY = { ...DEFAULT_TRAIN_CONFIG, nLatents: 1024, k: 16, steps: 800, dataSeed: 0 };

export async function benchAdapters(): Promise<BenchRow[]> {
  const organism = join(packageRoot(), "organisms", "minichat", "adapters");
  const { layer, adapters } = await readPlantedAdapters(organism);
  const names = new Set(adapters.map(({ name }) => name));
  const out = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  try {
    const storeFolder = join(out, "stores", "main");
    await harvest({
      base: join(organism, "common"),
      finetuned: join(organism, "all"),
      documents: Array.from(generateComparisonCorpus(CORPUS)).filter(({ spans = [] }) =>
        spans.every(({ concept }) => names.has(concept)),
      ),
      layer,
      storeFolder,
      storeName: "main",
      dtype: "f32",
    });
    const store = await openStore(storeFolder);
    try {
      const folders = SEEDS.map((seed) => join(out, "dictionaries", `seed-${seed}`));
      const runs = SEEDS.map((seed, i) => ({ config: { ...DICTIONARY, seed }, folder: folders[i] }));
      const trained = await trainMany({ store, runs });
      const rows: BenchRow[] = [];
      for (const [i, { dictionary }] of trained.entries()) {
        const { latents, summary } = await measure({
          store,
          dictionary,
          folder: folders[i],
          tokenString: String,
        });
        const claims = latents.flatMap(({ latent, claim }) =>
          claim === "finetuned-specific" ? [latent] : [],
        );
        const truth = await scoreAdapters({ store, dictionary, adapters, claims });
        rows.push(
          ...figuresOf(`seed ${SEEDS[i]}`, truth),
          row(`seed ${SEEDS[i]}`, "fve finetuned", summary.fve.finetuned, "share"),
          row(`seed ${SEEDS[i]}`, "l0", summary.l0, "latents a row"),
        );
      }
      return rows;
    } finally {
      await store.close();
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function figuresOf(name: string, truth: AdapterTruth): BenchRow[] {
  return [
    ...truth.adapters.flatMap(({ name: adapter, cosine, correlation, found }) => [
      row(name, `${adapter}: cosine`, cosine, found ? "found" : "not found"),
      row(name, `${adapter}: correlation`, correlation, found ? "found" : "not found"),
    ]),
    row(name, "adapters", truth.planted, "adapters"),
    row(name, "adapters found", truth.found, "adapters"),
    row(name, "claims", truth.claims.length, "latents"),
    row(name, "claims that answer to no adapter", truth.strayClaims, "latents"),
    row(name, "their share", truth.strayShare, "share of claims"),
    row(name, "difference outside the adapters' span", truth.unexplainedShare, "share"),
  ];
}

function row(name: string, metric: string, ours: number, unit: string): BenchRow {
  return { case: name, metric, ours, peer: null, peerName: null, ratio: null, unit };
}
