// What each model adds to a latent's pre-activation at rows of the store: e_base · x̃_base and e_finetuned · x̃_finetuned.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B: code = ReLU(e_base · x̃_base + e_finetuned · x̃_finetuned + b), x̃ the row in the
// dictionary's own (normalised) space; activation = code × W. Only the latent's encoder row is read, never the whole matrix.

import { join } from "node:path";
import { MODEL_FILE } from "../dictionary/dictionary-file.ts";
import { findSites } from "../dictionary/file-sites.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { rowNormaliser } from "../dictionary/normaliser.ts";
import { createTensorReader, readNormaliser } from "../dictionary/tensor-reader.ts";
import { openSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import { openSites } from "../store/site-reader.ts";
import type { Site } from "../store/store-contract.ts";
import { findMeasuredStore } from "./measured-store.ts";

export interface Contributions {
  /** One entry a row, in the dictionary's space. */
  base: number[];
  finetuned: number[];
  bias: number;
}

export interface ContributionReader {
  /** Of rows [rowStart, rowEnd) of the store. Throws what reading a damaged store or dictionary throws. */
  of(latent: number, rowStart: number, rowEnd: number): Promise<Contributions>;
  close(): Promise<void>;
}

/** Encoder rows that are remembered: an example page asks for one again and again. */
const ENCODER_ROWS_KEPT = 16;
/** Elements of a column asked of the disk at a time. */
const READS_AT_A_TIME = 64;

/**
 * Undefined where no store under storesFolder is the one that was measured (its manifest's SHA-256 as in measure.json), or its sites are not
 * the dictionary's. Throws what opening a damaged file throws.
 */
export async function openContributions(options: {
  dictionaryFolder: string;
  storesFolder: string;
  storeSha256: string;
}): Promise<ContributionReader | undefined> {
  const found = await findMeasuredStore(options.storesFolder, options.storeSha256);
  if (found === undefined) return undefined;
  const { folder, storeId, ...manifest } = found;
  const store = await openSites({ folder, storeId, manifest });
  const path = join(options.dictionaryFolder, MODEL_FILE);
  const file = await openSafetensors(path);
  try {
    const tensors = createTensorReader(file, path);
    const { sites, nLatents } = findSites(file, tensors, path);
    const widths = sites.map(({ width }) => width);
    if (store.width !== siteOffsets(sites)[sites.length]) {
      await Promise.all([file.close(), store.close()]);
      return undefined;
    }
    const bias = await tensors.floats("encoder.bias", [nLatents]);
    const normalise = rowNormaliser({ sites, normaliser: await readNormaliser(tensors, widths) });
    const encoderRow = encoderRows(file, { sites, nLatents });
    return {
      async of(latent, rowStart, rowEnd) {
        const row = await encoderRow(latent);
        const x = await store.read(rowStart, rowEnd);
        for (let i = 0; i < rowEnd - rowStart; i += 1) normalise(x, i * store.width, x, i * store.width);
        return { ...addUp(x, row, sites), bias: bias[latent] };
      },
      close: async () => void (await Promise.all([file.close(), store.close()])),
    };
  } catch (error) {
    await Promise.all([file.close(), store.close()]);
    throw error;
  }
}

/** x: [rows, width] normalised; row: [width]. Sums in f64, the encoder's are in f32. */
function addUp(
  x: Float32Array,
  row: Float32Array,
  sites: readonly Site[],
): Pick<Contributions, "base" | "finetuned"> {
  const width = row.length;
  const offsets = siteOffsets(sites);
  const sums = { base: new Array<number>(x.length / width), finetuned: new Array<number>(x.length / width) };
  for (let at = 0; at < x.length / width; at += 1) {
    const of = { base: 0, finetuned: 0 };
    for (const [site, { model }] of sites.entries()) {
      for (let i = offsets[site]; i < offsets[site + 1]; i += 1) of[model] += x[at * width + i] * row[i];
    }
    sums.base[at] = of.base;
    sums.finetuned[at] = of.finetuned;
  }
  return sums;
}

/** Row j of the encoder as [width]: column j of encoder.weight [sites, d, nLatents], or of one tensor [d, nLatents] a site. */
function encoderRows(
  file: SafetensorsFile,
  { sites, nLatents }: { sites: readonly Site[]; nLatents: number },
): (latent: number) => Promise<Float32Array> {
  const kept = new Map<number, Promise<Float32Array>>();
  const width = siteOffsets(sites)[sites.length];
  const nameOf = (plain: string): string => (file.tensors.has(plain) ? plain : `_orig_mod.${plain}`);
  const isStacked = file.tensors.has(nameOf("encoder.weight"));
  const places: { tensor: string; first: number }[] = sites.flatMap((site, at) =>
    Array.from({ length: site.width }, (_, i) => ({
      tensor: nameOf(isStacked ? "encoder.weight" : `encoder.weight.${at}`),
      first: (isStacked ? at * site.width + i : i) * nLatents,
    })),
  );
  const read = async (latent: number): Promise<Float32Array> => {
    const row = new Float32Array(width);
    for (let from = 0; from < width; from += READS_AT_A_TIME) {
      const part = places.slice(from, from + READS_AT_A_TIME);
      await Promise.all(
        part.map(({ tensor, first }, i) =>
          file.readElements(tensor, first + latent, row.subarray(from + i, from + i + 1)),
        ),
      );
    }
    return row;
  };
  return (latent) => {
    const known = kept.get(latent);
    if (known !== undefined) return known;
    const made = read(latent);
    kept.set(latent, made);
    made.catch(() => kept.delete(latent));
    for (const oldest of kept.keys()) {
      if (kept.size <= ENCODER_ROWS_KEPT) break;
      kept.delete(oldest);
    }
    return made;
  };
}
