// What text the study stands on: rows by split, dataset and role, and which of them are left out of training and measuring.
//
// Counted from the columns of rows.safetensors, a block at a time; no activation and no document is read.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { openSafetensors } from "../formats/safetensors.ts";
import { readHarvestRecord } from "../harvest/harvest-record.ts";
import { ROLES, SPLITS } from "../store/rows.ts";
import { readFinishedManifest } from "../store/store.ts";
import type { DataPage, HarvestFacts, Part, StoreFacts } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { withoutPaths } from "./errors-out.ts";
import { createFileMemo, type FileMemo } from "./file-memo.ts";
import { NotMadeError, partOf } from "./parts.ts";

const ROWS_AT_A_TIME = 2 ** 20;

export interface DataPages {
  read(view: DictionaryView): Promise<DataPage>;
}

/** Counts are kept until the store changes. */
export function createDataPages(): DataPages {
  const memo = createFileMemo();
  return { read: (view) => readDataPage(view, memo) };
}

async function readDataPage(view: DictionaryView, memo: FileMemo): Promise<DataPage> {
  return {
    store: await storePart(view, (folder) => {
      const paths = [join(folder, "manifest.json"), join(folder, "outputs", "manifest.json")];
      const read = async () => ({ value: await countStore(folder) });
      return memo.use({ key: folder, paths, read }, (value: StoreFacts) => value);
    }),
    measured: await view.part("measure", ({ summary }) => ({
      ...{ nRows: summary.nRows, nBosRows: summary.nBosRows, nOutlierRows: summary.nOutlierRows },
      rows: Object.fromEntries(
        Object.entries(summary.categories).map(([kind, list]) => [
          kind,
          (list as readonly string[]).map((name, i) => ({
            name,
            rows: summary.rowsByCategory[kind as keyof typeof summary.rowsByCategory][i],
          })),
        ]),
      ),
    })),
    trained: await view.part("training", ({ store, rows }) => ({
      ...{ store, nRows: rows.trained, nBosRows: rows.bosLeftOut, nOutlierRows: rows.outliersLeftOut },
    })),
    harvest: await readHarvest(view),
  };
}

/** What `work` makes of the study's finished store, by its folder; or why there is none. */
export async function storePart<T>(
  view: DictionaryView,
  work: (folder: string) => T | Promise<T>,
): Promise<Part<T>> {
  const { store, runningStages } = await view.study.facts();
  const folder = join(view.study.folder, "stores", store);
  const names = { what: "the store of activations", command: "tunediff harvest STUDY" };
  return partOf(
    { ...names, folder: view.study.folder, isRunning: runningStages.includes("harvest") },
    async () => {
      if (!existsSync(join(folder, "manifest.json"))) throw new NotMadeError("missing");
      return work(folder);
    },
  );
}

/** Null for a store that is not there, or does not say it. */
async function readHarvest(view: DictionaryView): Promise<HarvestFacts | null> {
  const part = await storePart(view, async (folder) => {
    const { identity } = await readFinishedManifest(folder);
    const asked = (identity.harvest ?? {}) as Record<string, unknown>;
    const count = (value: unknown): number | null => (Number.isSafeInteger(value) ? (value as number) : null);
    const record = await readHarvestRecord(folder);
    return {
      ...{ maxTokens: count(asked.maxTokens), skipFirst: count(asked.skipFirst) },
      nBaseReplacements: Array.isArray(asked.baseReplacements) ? asked.baseReplacements.length : null,
      ...{ counts: { ...record?.counts }, warnings: (record?.warnings ?? []).map(withoutPaths) },
    };
  });
  return part.state === "made" ? part.value : null;
}

async function countStore(folder: string): Promise<StoreFacts> {
  const { storeId: _, ...manifest } = await readFinishedManifest(folder);
  const columns = await openSafetensors(join(folder, "rows", "rows.safetensors"));
  try {
    const count = async (name: "dataset" | "role" | "slot", names: readonly string[]) => {
      const counts = new Float64Array(256);
      const block = new Uint8Array(Math.min(ROWS_AT_A_TIME, manifest.nRows));
      for (let row = 0; row < manifest.nRows; row += block.length) {
        const part = block.subarray(0, Math.min(block.length, manifest.nRows - row));
        await columns.readRowBytes(name, row, row + part.length, part);
        for (const code of part) counts[code] += 1;
        await setImmediate();
      }
      return names.map((word, i) => ({ name: word, rows: counts[i] }));
    };
    return {
      ...{ name: manifest.name, nRows: manifest.nRows, nDocuments: manifest.nDocuments },
      splits: SPLITS.map((name) => ({ name, rows: manifest.rowsBySplit[name] })),
      datasets: await count("dataset", manifest.datasets),
      roles: await count("role", ROLES),
      slots: await count("slot", manifest.slots),
      sites: manifest.sites.map(({ name, model, layer, width, dtype, roundingErrorRelative }) => ({
        ...{ name, model, layer, width, dtype, roundingErrorRelative },
      })),
      hasOutputs: existsSync(join(folder, "outputs", "manifest.json")),
    };
  } finally {
    await columns.close();
  }
}
