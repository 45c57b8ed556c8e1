// Both models of a study, opened as its study.yaml names them, and what steering them at the compared layer must know.
//
// For work that asks the models again after the study is made: the steering command and the dashboard's labs. A study's own stages
// open theirs themselves, because they also lock and hash them.

import { openPair, type Pair, SIDES } from "../harvest/open-pair.ts";
import { openModel } from "../lm/adapter.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { StudyConfig } from "./config.ts";

export interface StudyModels {
  pair: Pair;
  /** Closes both checkpoints. */
  close(): Promise<void>;
}

/** The caller closes them. Throws what openCheckpoint, openModel and openPair throw; nothing stays open then. */
export async function openStudyModels(config: StudyConfig): Promise<StudyModels> {
  const base = await openCheckpoint(config.base);
  try {
    const finetuned = await openModel(config.finetuned, config);
    try {
      const question = { ...config, baseReplacements: config.store.baseReplacements };
      const pair = await openPair(question, { base, finetuned });
      return {
        pair,
        close: async () => {
          await Promise.all([base.close(), finetuned.close()]);
        },
      };
    } catch (error) {
      await finetuned.close();
      throw error;
    }
  } catch (error) {
    await base.close();
    throw error;
  }
}

/** The compared layer of each model. */
export function layersOf({ sites }: Pick<Pair, "sites">): Record<ModelSide, number> {
  const layer = (side: ModelSide): number => sites.find(({ model }) => model === side)!.layer;
  return { base: layer("base"), finetuned: layer("finetuned") };
}

/** What a push after the last block cannot do; empty at any other layer. */
export function lastBlockWarning(pair: Pick<Pair, "sites" | "checkpoints">): string[] {
  const layers = layersOf(pair);
  const isLast = SIDES.some((side) => layers[side] === pair.checkpoints[side].config.nLayers - 1);
  return isLast
    ? [
        "the compared layer is a model's last block: no later block reads the push, it only shifts what comes next at each token (pushed at the prompt alone: the first token of the answer)",
      ]
    : [];
}
