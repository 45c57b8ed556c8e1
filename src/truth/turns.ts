// The units of the score: assistant turns with their regions, and which rows belong to which planted concept.
//
// Region of an assistant turn = decision (every template token between the previous message's content and this one's:
// the closing tokens of the one, the opening tokens of the other) + content + closing tokens. Made from the rows'
// turn, role and slot alone, so it needs no template. Labels come from the spans the generator wrote, never from latents.

import { MismatchError } from "../errors.ts";
import { type ConceptSpan, type DocumentRecord, ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";

const TEMPLATE = ROLES.indexOf("template");
const BOS = ROLES.indexOf("bos");

export interface AssistantTurn {
  /** Index into the store's documents. */
  document: number;
  /** Message index. */
  turn: number;
  split: Split;
  /** Store rows of the region, ascending; never empty. */
  rows: Uint32Array;
}

/** 1 for slots of closing tokens ("user-close-0", "assistant-close-more"), by slot index. */
function closingSlots(store: Store): Uint8Array {
  return Uint8Array.from(store.manifest.slots, (name) => (/-close-(\d+|more)$/.test(name) ? 1 : 0));
}

interface RowKinds {
  isTemplate: (row: number) => boolean;
  isClosing: (row: number) => boolean;
}

function rowKinds(store: Store): RowKinds {
  const closing = closingSlots(store);
  const { role, slot } = store.rows;
  return {
    isTemplate: (row) => role[row] === TEMPLATE,
    isClosing: (row) => role[row] === TEMPLATE && closing[slot[row]] === 1,
  };
}

/** True when the row is a template token between the content of message turn − 1 and that of message turn. */
function isDecision(store: Store, kinds: RowKinds, row: number, turn: number): boolean {
  const at = store.rows.turn[row];
  if (at === turn) return kinds.isTemplate(row) && !kinds.isClosing(row);
  return at === turn - 1 && at >= 0 && kinds.isClosing(row);
}

/** All assistant turns of documents in `splits`, in store order. Turns cut away by a length limit are left out. */
export function assistantTurns(store: Store, splits: readonly Split[]): AssistantTurn[] {
  const kinds = rowKinds(store);
  const turns: AssistantTurn[] = [];
  for (const document of store.documents) {
    if (!splits.includes(document.split)) continue;
    for (const [turn, { role }] of document.turns.entries()) {
      if (role !== "assistant") continue;
      const rows: number[] = [];
      for (let row = document.rowStart; row < document.rowEnd; row += 1) {
        const isOwn = store.rows.turn[row] === turn && store.rows.role[row] !== BOS;
        if (isOwn || isDecision(store, kinds, row, turn)) rows.push(row);
      }
      if (rows.length === 0) continue;
      turns.push({ document: document.index, turn, split: document.split, rows: Uint32Array.from(rows) });
    }
  }
  return turns;
}

/** labels[concept][turn] = 1 when that turn shows the concept, i.e. has a response span of it. */
export type TurnLabels = Uint8Array[];

/** Throws MismatchError for a span whose concept is none of conceptNames. */
export function turnLabels(
  store: Store,
  turns: readonly AssistantTurn[],
  conceptNames: readonly string[],
): TurnLabels {
  const labels = conceptNames.map(() => new Uint8Array(turns.length));
  for (const [index, { document, turn }] of turns.entries()) {
    for (const span of store.documents[document].spans ?? []) {
      const concept = conceptIndex(conceptNames, span, store.documents[document]);
      if (span.kind === "response" && span.turn === turn) labels[concept][index] = 1;
    }
  }
  return labels;
}

function conceptIndex(conceptNames: readonly string[], span: ConceptSpan, document: DocumentRecord): number {
  const index = conceptNames.indexOf(span.concept);
  if (index >= 0) return index;
  throw new MismatchError(
    `document ${document.id}: expected a span of one of ${conceptNames.join(", ")}, got "${span.concept}"`,
    { hint: "give scoreTruth the names of all planted concepts" },
  );
}

/** Bits of a row's place in one concept. */
export const PLACE = { trigger: 1, decision: 2, response: 4, closing: 8 } as const;
/** What the fine-tune does, as against what calls for it: the token-level unit. */
export const BEHAVIOUR = PLACE.decision | PLACE.response | PLACE.closing;

/**
 * places[concept][row]: PLACE bits, 0 outside. A concept's rows are its trigger and response spans, its decision's
 * template tokens, and the closing tokens of a turn with a response span. [nRows] each; only `splits` are filled.
 */
export function conceptPlaces(
  store: Store,
  splits: readonly Split[],
  conceptNames: readonly string[],
): Uint8Array[] {
  const kinds = rowKinds(store);
  const places = conceptNames.map(() => new Uint8Array(store.rows.nRows));
  for (const document of store.documents) {
    if (!splits.includes(document.split)) continue;
    for (const span of document.spans ?? []) {
      const target = places[conceptIndex(conceptNames, span, document)];
      for (let row = document.rowStart; row < document.rowEnd; row += 1) {
        target[row] |= placeInSpan({ store, kinds, document, span, row });
      }
    }
  }
  return places;
}

function placeInSpan(options: {
  store: Store;
  kinds: RowKinds;
  document: DocumentRecord;
  span: ConceptSpan;
  row: number;
}): number {
  const { store, kinds, document, span, row } = options;
  if (span.kind === "decision") return isDecision(store, kinds, row, span.turn) ? PLACE.decision : 0;
  if (store.rows.turn[row] !== span.turn) return 0;
  if (kinds.isTemplate(row)) return span.kind === "response" && kinds.isClosing(row) ? PLACE.closing : 0;
  const content = document.turns[span.turn];
  const start = content.start + (span.start ?? 0);
  const end = span.end === undefined ? content.end : content.start + span.end;
  return store.rows.charStart[row] < end && store.rows.charEnd[row] > start ? PLACE[span.kind] : 0;
}
