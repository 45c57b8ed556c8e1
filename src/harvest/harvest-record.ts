// harvest.json in a store's folder: what a harvest counted and warned of, written last, so that finding it finished
// needs no second tokenising.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../formats/atomic.ts";

const count = z.int().min(0);

const harvestRecord = z.object({
  schemaVersion: z.literal(1),
  counts: z.object({
    documents: count,
    duplicates: count,
    empty: count,
    truncated: count,
    neutralisedControlTokens: count,
    chatsWithoutBos: count,
    refused: count.default(0),
    chatsWithTwoBos: count.default(0),
    droppedMessages: count.default(0),
    datedChats: count.default(0),
    replacedTokens: count.default(0),
    rows: count,
  }),
  warnings: z.array(z.string()),
});

export type HarvestRecord = Omit<z.infer<typeof harvestRecord>, "schemaVersion">;
export type HarvestCounts = HarvestRecord["counts"];

export async function writeHarvestRecord(storeFolder: string, record: HarvestRecord): Promise<void> {
  const source = JSON.stringify({ schemaVersion: 1, ...record }, null, 2);
  await writeFileAtomic(join(storeFolder, "harvest.json"), `${source}\n`);
}

/** undefined when there is none that can be used. */
export async function readHarvestRecord(storeFolder: string): Promise<HarvestRecord | undefined> {
  const source = await readFile(join(storeFolder, "harvest.json"), "utf8").catch(() => undefined);
  if (source === undefined) return undefined;
  try {
    const { counts, warnings } = harvestRecord.parse(JSON.parse(source));
    return { counts, warnings };
  } catch {
    // Derived and small: whatever is wrong with it, tokenising again makes it anew.
    return undefined;
  }
}
