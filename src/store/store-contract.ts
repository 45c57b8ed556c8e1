// What a store promises its readers: rows, documents and activations of one or more sites over the same rows.

import type { DocumentRecord, RowTable, Split } from "./rows.ts";

export type ModelSide = "base" | "finetuned";

/** Where activations were taken: the residual stream after block `layer` (0-based) of one model. */
export interface Site {
  /** Folder name, e.g. "base-L3". */
  name: string;
  model: ModelSide;
  layer: number;
  width: number;
}

export type StoreDtype = "bf16" | "f32";

/** stores/NAME/manifest.json, written once when rows and every site are complete. */
export interface StoreManifest {
  schemaVersion: 1;
  name: string;
  nRows: number;
  nDocuments: number;
  /** Rows of each split, BOS rows included. */
  rowsBySplit: Record<Split, number>;
  datasets: string[];
  slots: string[];
  /** Base first. */
  sites: SiteManifest[];
  tokenizerHash: string;
  /** What the rows and sites were made from: file hashes, layers, options. Equality means the store can be reused. */
  identity: Record<string, unknown>;
}

export interface SiteManifest extends Site {
  dtype: StoreDtype;
  rowsPerShard: number;
  nShards: number;
  /** sqrt(Σ‖stored − exact‖² / Σ‖h_finetuned − h_base‖²) over all rows; null when there is no second site. */
  roundingErrorRelative: number | null;
}

/** Read side. Shards are verified (CRC32) the first time they are touched. */
export interface Store {
  folder: string;
  manifest: StoreManifest;
  rows: RowTable;
  documents: DocumentRecord[];
  /** Σ of the sites' widths. */
  width: number;
  /**
   * Activations of rows [rowStart, rowEnd), sites side by side, base first.
   * Returns [rowEnd − rowStart, width] f32 raw activation units; `target` is filled and returned when given.
   */
  read(rowStart: number, rowEnd: number, target?: Float32Array): Promise<Float32Array>;
  /**
   * The bf16 bit patterns of one site's rows as stored, into target [rowEnd − rowStart, site width]: half the bytes, no conversion.
   * Undefined for a store with a site of another dtype.
   */
  readBits?(site: number, rowStart: number, rowEnd: number, target: Uint16Array): Promise<void>;
  close(): Promise<void>;
}
