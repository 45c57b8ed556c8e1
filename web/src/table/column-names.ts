// Names of columns for people: how a heading reads, which are shown first, and the columns that come from notes.

import type { ColumnInfo } from "../../../src/dashboard/api-contract.ts";
import type { NotesOf } from "../queries.ts";
import type { ColumnValues } from "./select-latents.ts";

/** Shown when the address names none; those that a study lacks are passed over. */
export const USUAL_COLUMNS: readonly string[] = [
  "note_label",
  "tokensAtPeak",
  "claim",
  "verdict",
  "deltaNorm",
  "scalingFinetuned_nuReconstruction",
  "scalingFinetuned_nuError",
  "null_q",
  "frequency",
  "documents",
  "maxActivation",
  "note_tags",
];

/** Columns of what people wrote, made here from the list of notes; named as on the server, for export. */
export const NOTE_COLUMNS: readonly ColumnInfo[] = [
  noteColumn("note_label", "What people call the latent."),
  noteColumn("note_tags", "Tags of people."),
];

function noteColumn(name: string, description: string): ColumnInfo {
  return { name, table: "notes", kind: "text", description, range: null, words: null };
}

const TITLES: Record<string, string> = { tokensAtPeak: "strongest on", tokensBeforePeak: "strongest after" };

/** "scalingFinetuned_nuError" → "nuError · finetuned". */
export function columnTitle(name: string): string {
  const sided = /^(scaling|intervals|improvement)(Finetuned|Base)_(.+)$/.exec(name);
  if (sided !== null) {
    const prefix = sided[1] === "improvement" ? "improvement, " : "";
    return `${prefix}${sided[3]} · ${sided[2].toLowerCase()}`;
  }
  const byKind = /^frequencyBy_([A-Za-z]+)_(.*)$/.exec(name);
  if (byKind !== null) return `frequency, ${byKind[1]} ${byKind[2]}`;
  if (name in TITLES) return TITLES[name];
  return name.replace(/^activationQuantiles_q/, "activation quantile ").replace(/^(note|null|lens)_/, "");
}

/** The label and the tags of all latents as columns of text; "" where there is none. */
export function noteValues(notes: NotesOf, nLatents: number): Map<string, ColumnValues> {
  const labels = new Array<string>(nLatents).fill("");
  const tags = new Array<string>(nLatents).fill("");
  for (const [latent, note] of notes.byLatent) {
    labels[latent] = note.label;
    tags[latent] = note.tags.join(", ");
  }
  return new Map([
    ["note_label", { kind: "text", texts: labels }],
    ["note_tags", { kind: "text", texts: tags }],
  ]);
}
