// Which split and which statistics group a document belongs to: a pure function of the hash of its content.
//
// Equal documents therefore always fall on the same side, whatever file or order they come in.

import { ShapeError } from "../errors.ts";
import { N_DOCUMENT_GROUPS, type Split } from "./rows.ts";

/** Shares of the hash space: 80 % train, 10 % heldout, 10 % test. */
const TRAIN_SHARE = 0.8;
const HELDOUT_SHARE = 0.1;

/** hash: SHA-256 hex of the content. Uses its first 32 bits. Throws ShapeError for anything else. */
export function splitOf(hash: string): Split {
  const share = word(hash, 0) / 2 ** 32;
  if (share < TRAIN_SHARE) return "train";
  return share < TRAIN_SHARE + HELDOUT_SHARE ? "heldout" : "test";
}

/** 0 … 63. hash: SHA-256 hex of the content. Uses its second 32 bits, so that groups and splits are independent. */
export function groupOf(hash: string): number {
  return word(hash, 1) % N_DOCUMENT_GROUPS;
}

function word(hash: string, index: number): number {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new ShapeError(`expected 64 hex digits of SHA-256, got "${hash}"`);
  return Number.parseInt(hash.slice(index * 8, index * 8 + 8), 16);
}
