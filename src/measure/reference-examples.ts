// examples.db in the schema of the reference code, from examples.sqlite of ours: for dashboards and scripts that know theirs.
//
// science-of-finetuning/sparsity-artifacts-crosscoders, scripts/collect_activating_examples.py: sequences(sequence_idx, token_ids),
// quantile_examples(feature_idx, quantile_idx, activation, sequence_idx), activation_details(feature_idx, sequence_idx, positions,
// activation_values). Theirs hold whole sequences and 100 examples a bin; here a sequence is a window of text around a peak, and
// there are as many examples as the measurement kept. Written only.

import { rm } from "node:fs/promises";
import { FormatError } from "../errors.ts";
import { commitFile, temporaryBeside } from "../formats/atomic.ts";
import { openDatabase, type SqliteDatabase } from "../formats/sqlite.ts";
import { binOf } from "./example-sample.ts";
import { openExamplesFile, TOP_BIN } from "./examples-file.ts";
import { WINDOW_RADIUS } from "./window.ts";

const SCHEMA = `
CREATE TABLE sequences (sequence_idx INTEGER PRIMARY KEY, token_ids BLOB);
CREATE TABLE quantile_examples (
  feature_idx INTEGER, quantile_idx INTEGER, activation REAL, sequence_idx INTEGER,
  PRIMARY KEY (feature_idx, sequence_idx),
  FOREIGN KEY (sequence_idx) REFERENCES sequences(sequence_idx)
);
CREATE TABLE activation_details (
  feature_idx INTEGER, sequence_idx INTEGER, positions BLOB, activation_values BLOB,
  PRIMARY KEY (feature_idx, sequence_idx),
  FOREIGN KEY (sequence_idx) REFERENCES sequences(sequence_idx),
  FOREIGN KEY (feature_idx, sequence_idx) REFERENCES quantile_examples(feature_idx, sequence_idx)
);`;

/** More than the ids of any window take: row and length in one number. */
const MOST_BYTES = 4 * (2 * WINDOW_RADIUS + 2);

export interface ReferenceExamples {
  path: string;
  nExamples: number;
  nSequences: number;
}

/**
 * Writes the database in one step, replacing an older file. examples: path of examples.sqlite.
 *
 * Throws StorageError when either cannot be opened or written, FormatError when `examples` is no such file.
 */
export async function writeReferenceExamples({
  examples,
  path,
}: {
  examples: string;
  path: string;
}): Promise<ReferenceExamples> {
  openExamplesFile(examples).close(); // refuses what is none, and other versions
  const temporary = temporaryBeside(path);
  try {
    const source = openDatabase(examples, { readOnly: true });
    let counts: Omit<ReferenceExamples, "path">;
    try {
      counts = copyExamples(source, temporary);
    } finally {
      source.close();
    }
    await commitFile(temporary, path);
    return { path, ...counts };
  } finally {
    await rm(temporary, { force: true });
  }
}

interface WindowRow {
  latent: number;
  bin: number;
  row_start: number;
  max_activation: number;
  token_ids: Uint8Array;
  activations: Uint8Array;
}

function copyExamples(source: SqliteDatabase, path: string): Omit<ReferenceExamples, "path"> {
  const target = openDatabase(path);
  try {
    target.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; ${SCHEMA} BEGIN;`);
    const addSequence = target.prepare("INSERT INTO sequences VALUES (?, ?)");
    const addExample = target.prepare("INSERT INTO quantile_examples VALUES (?, ?, ?, ?)");
    const addDetails = target.prepare("INSERT INTO activation_details VALUES (?, ?, ?, ?)");
    /** Latents that fire in the same window share the sequence. */
    const sequences = new Map<number, number>();
    let nExamples = 0;
    let latent = -1;
    let maximum = Number.NaN;
    // The strongest list comes first, and in it the strongest of all.
    const rows = source.prepare("SELECT * FROM examples ORDER BY latent, bin, rank").iterate();
    for (const value of rows) {
      const row = value as unknown as WindowRow;
      if (row.latent !== latent) {
        latent = row.latent;
        maximum = row.max_activation;
      }
      const { positions, activations } = firingsOf(row);
      const window = row.row_start * MOST_BYTES + row.token_ids.length;
      let sequence = sequences.get(window);
      if (sequence === undefined) {
        sequence = sequences.size;
        sequences.set(window, sequence);
        addSequence.run(sequence, row.token_ids);
      }
      const quantile = row.bin === TOP_BIN ? binOf(row.max_activation / maximum) : row.bin;
      addExample.run(latent, quantile, row.max_activation, sequence);
      addDetails.run(latent, sequence, bytesOf(positions), bytesOf(activations));
      nExamples += 1;
    }
    target.exec("COMMIT;");
    return { nExamples, nSequences: sequences.size };
  } finally {
    target.close();
  }
}

/** Tokens of a window on which the latent fires. Throws FormatError when none does: every example has a peak. */
function firingsOf({ latent, activations }: WindowRow): {
  positions: Int32Array;
  activations: Float32Array;
} {
  const values = new Float32Array(Uint8Array.from(activations).buffer);
  const positions = Int32Array.from([...values.keys()].filter((i) => values[i] > 0));
  if (positions.length === 0) {
    throw new FormatError(`examples of latent ${latent}: expected a token with an activation, got none`, {
      hint: "run `tunediff measure` again to write the examples anew",
    });
  }
  return { positions, activations: Float32Array.from(positions, (at) => values[at]) };
}

function bytesOf(array: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
