// Documents that models are spliced over: held-out text and chats with their token ids, and which leading rows no dictionary ever saw.

import { ConfigError } from "../errors.ts";
import { type DocumentRecord, ROLES, type RowTable, type Split } from "../store/rows.ts";
import type { TokenizedDocument } from "../text/document.ts";
import { drawEvenly } from "./conversations.ts";

/** All arrays have an entry a token, position 0 first. */
export interface SpliceDocument {
  id: string;
  tokenBase: Uint32Array;
  tokenFinetuned: Uint32Array;
  /** 1 for BOS and for leading tokens that gave no rows: nothing is measured there, and they stay as they are by default. */
  isLeft: Uint8Array;
}

/** What is read of a store. */
export interface DocumentSource {
  folder: string;
  rows: Pick<RowTable, "position" | "role" | "tokenBase" | "tokenFinetuned">;
  documents: readonly Pick<DocumentRecord, "id" | "split" | "rowStart" | "rowEnd">[];
}

const BOS = ROLES.indexOf("bos");

/**
 * At most `most` documents of a split, text and chats alike, evenly drawn; the same arguments give the same ones. Left out and counted:
 * documents whose leading tokens gave no rows (the store does not have what the models read there) and those beyond `most`.
 * Throws ConfigError when none is left.
 */
export function spliceDocumentsOfStore(
  { rows, documents, folder }: DocumentSource,
  { split, most, seed }: { split: Split; most: number; seed: number },
): { documents: SpliceDocument[]; excluded: Record<string, number> } {
  const ofSplit = documents.filter((one) => one.split === split && one.rowStart < one.rowEnd);
  const whole = ofSplit.filter(({ rowStart }) => rows.position[rowStart] === 0);
  if (whole.length === 0) {
    throw new ConfigError(
      `${folder}, split ${split}: expected a document that begins with its first token, got none of ${ofSplit.length}`,
      { hint: "give documents of your own: `--data FILE`" },
    );
  }
  const drawn = drawEvenly(whole, { most, seed });
  const counts = {
    "leading tokens were skipped at harvest": ofSplit.length - whole.length,
    "not drawn": whole.length - drawn.length,
  };
  return {
    documents: drawn.map(({ id, rowStart, rowEnd }) => ({
      id,
      tokenBase: rows.tokenBase.slice(rowStart, rowEnd),
      tokenFinetuned: rows.tokenFinetuned.slice(rowStart, rowEnd),
      isLeft: rows.role.slice(rowStart, rowEnd).map((role) => Number(role === BOS)),
    })),
    excluded: Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
  };
}

/** Freshly tokenised documents, in their order, without the empty ones. */
export function spliceDocumentsOf(documents: readonly TokenizedDocument[]): SpliceDocument[] {
  return documents
    .filter(({ tokenFinetuned }) => tokenFinetuned.length > 0)
    .map(({ id, tokenBase, tokenFinetuned, role, nSkipped = 0 }) => ({
      ...{ id, tokenBase, tokenFinetuned },
      isLeft: role.map((of, position) => Number(of === BOS || position < nSkipped)),
    }));
}
