// Every column of the joined tables of a dictionary: what there is, and one column at a time as numbers, codes or texts.
//
// Names are those of latents.parquet: measure's as they are, others with their table before them (null_q, causal_gapClosed). A table that
// is missing or outdated gives no columns. What the numbers mean: docs/glossary.md.

import { setImmediate } from "node:timers/promises";
import type { LatentEffect } from "../causal/causal-contract.ts";
import { StorageError } from "../errors.ts";
import { TERMS, type TermName } from "../report/terms.ts";
import type { ColumnInfo } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { eachText, type HeldTable } from "./held-table.ts";
import type { Notes } from "./notes.ts";
import { notesPart } from "./notes-part.ts";

export type ColumnData =
  | { kind: "number"; values: Float64Array }
  | { kind: "category"; codes: Uint16Array; words: readonly string[] }
  | { kind: "text"; texts: string[] };

export interface Column {
  name: string;
  /** Of the joined tables: measure, null, stability, causal, lens, truth, notes. */
  table: string;
  kind: ColumnInfo["kind"];
  description: string;
  /** [nLatents]. */
  read(): Promise<ColumnData>;
}

export const COLUMN_LIMITS = {
  /** Tokens or latents of a list that stand in a cell. */
  listed: 5,
} as const;

export const CATEGORIES: readonly string[] = ["latentClass", "verdict", "claim", "exclusion", "side"];
/** Too long for a cell, and nothing to sort by: the page of a latent draws it. */
const PAGE_ONLY: readonly string[] = ["activationHistogram"];
const LENS_LISTS = ["promotedBase", "suppressedBase", "promotedFinetuned", "suppressedFinetuned"];
export const STABILITY_COLUMNS = [
  "nCompared",
  "directionFound",
  "claimReplicated",
  "bestCosine",
  "bestCorrelation",
];
export const NULL_COLUMNS = ["scoreFinetuned", "qFinetuned", "scoreBase", "qBase", "q"];
/** Numbers of a row of causal.parquet. */
export const EFFECTS: Record<string, (row: LatentEffect) => number> = {
  gapClosed: (row) => row.gapClosed.mean,
  gapClosedLow: (row) => row.gapClosed.interval.low,
  gapClosedHigh: (row) => row.gapClosed.interval.high,
  gapClosedP: (row) => row.gapClosedP,
  damage: (row) => row.damage.mean,
  damageLow: (row) => row.damage.interval.low,
  damageHigh: (row) => row.damage.interval.high,
  damageP: (row) => row.damageP,
  controlGapClosed: (row) => row.controlGapClosed,
  controlDamage: (row) => row.controlDamage,
  conversationsFired: (row) => row.conversationsFired,
};

/** Columns by name, in the order in which they are shown; empty for a dictionary that is not measured. */
export async function readColumns(view: DictionaryView, notes?: Notes): Promise<Map<string, Column>> {
  const columns: Column[] = [];
  const add = (table: string, name: string, rest: Pick<Column, "kind" | "read">): void => {
    columns.push({ table, name, description: describe(name), ...rest });
  };
  const whole = await view.part("measure", ({ table, summary }) => ({
    columns: table.file.columns,
    nLatents: summary.nLatents,
  }));
  if (whole.state !== "made") return new Map();
  const { nLatents } = whole.value;

  const tableColumn = (part: "measure" | "nulls" | "stability", name: string, isText: boolean) => {
    const use = <R>(work: (table: HeldTable) => Promise<R>): Promise<R> =>
      made(view, part, ({ table }) => work(table));
    if (!isText)
      return {
        kind: "number" as const,
        read: () => use(async (table) => ({ kind: "number" as const, values: await table.numbers(name) })),
      };
    if (CATEGORIES.includes(name))
      return {
        kind: "category" as const,
        read: () => use(async (table) => ({ kind: "category" as const, ...(await table.words(name)) })),
      };
    return {
      kind: "text" as const,
      read: () => use(async (table) => ({ kind: "text" as const, texts: await shortTexts(table, name) })),
    };
  };

  for (const { name, type } of whole.value.columns)
    if (!PAGE_ONLY.includes(name)) add("measure", name, tableColumn("measure", name, type === "STRING"));
  if ((await view.part("nulls", () => true)).state === "made")
    for (const name of NULL_COLUMNS) add("null", `null_${name}`, tableColumn("nulls", name, false));
  if ((await view.part("stability", () => true)).state === "made")
    for (const name of STABILITY_COLUMNS)
      add("stability", `stability_${name}`, tableColumn("stability", name, false));
  if ((await view.part("causal", ({ effects }) => effects.length)).state === "made") {
    for (const [name, of] of Object.entries(EFFECTS)) {
      add("causal", `causal_${name}`, {
        kind: "number",
        read: () =>
          made(view, "causal", ({ effects }) => {
            const values = new Float64Array(nLatents).fill(Number.NaN);
            // A latent may be a candidate and, elsewhere, a control: the candidate's row is about itself.
            for (const row of effects) {
              if (row.latent < nLatents && (row.role === "candidate" || Number.isNaN(values[row.latent])))
                values[row.latent] = of(row);
            }
            return { kind: "number" as const, values };
          }),
      });
    }
  }
  if ((await view.part("lens", () => true)).state === "made") {
    for (const name of LENS_LISTS) {
      add("lens", `lens_${name}`, {
        kind: "text",
        read: () =>
          made(view, "lens", async (table) => ({
            kind: "text" as const,
            texts: await shortTexts(table, name),
          })),
      });
    }
  }
  if ((await view.part("truth", () => true)).state === "made") addTruth(view, nLatents, add);
  if (notes !== undefined && (await notesPart(notes, () => true)).state === "made")
    addNotes({ view, notes, nLatents }, add);
  return new Map(columns.map((column) => [column.name, column]));
}

type Add = (table: string, name: string, rest: Pick<Column, "kind" | "read">) => void;

function addTruth(view: DictionaryView, nLatents: number, add: Add): void {
  add("truth", "truth_concept", {
    kind: "category",
    read: () =>
      made(view, "truth", ({ claims }) => {
        const words = [...new Set(["", ...claims.map(({ concept }) => concept)])];
        const codes = new Uint16Array(nLatents);
        for (const { latent, concept } of claims) codes[latent] = words.indexOf(concept);
        return { kind: "category" as const, codes, words };
      }),
  });
  add("truth", "truth_conceptShare", {
    kind: "number",
    read: () =>
      made(view, "truth", ({ claims }) => {
        const values = new Float64Array(nLatents).fill(Number.NaN);
        for (const { latent, conceptShare } of claims) values[latent] = conceptShare;
        return { kind: "number" as const, values };
      }),
  });
}

/** What people wrote; read anew every time. */
function addNotes(
  { view, notes, nLatents }: { view: DictionaryView; notes: Notes; nLatents: number },
  add: Add,
): void {
  const texts = (of: (note: ReturnType<Notes["list"]>[number]) => string) => async () => {
    const list = new Array<string>(nLatents).fill("");
    for (const note of notes.list(await view.sha256()))
      if (note.latent < nLatents) list[note.latent] = of(note);
    return { kind: "text" as const, texts: list };
  };
  add("notes", "note_label", { kind: "text", read: texts(({ label }) => label) });
  add("notes", "note_tags", { kind: "text", read: texts(({ tags }) => tags.join(", ")) });
  add("notes", "note_starred", {
    kind: "category",
    read: async () => {
      const codes = new Uint16Array(nLatents);
      for (const { latent, starred } of notes.list(await view.sha256())) if (starred) codes[latent] = 1;
      return { kind: "category", codes, words: ["", "starred"] };
    },
  });
}

/** What the table chooser shows: reads every column of numbers once. */
export async function columnInfos(columns: ReadonlyMap<string, Column>): Promise<ColumnInfo[]> {
  const infos: ColumnInfo[] = [];
  for (const { name, table, kind, description, read } of columns.values()) {
    const data = kind === "text" ? undefined : await read();
    infos.push({
      ...{ name, table, kind, description },
      range: data?.kind === "number" ? rangeOf(data.values) : null,
      words: data?.kind === "category" ? [...data.words] : null,
    });
    await setImmediate(); // a turn for other requests
  }
  return infos;
}

const ranges = new WeakMap<Float64Array, ColumnInfo["range"]>();

/** Over finite values; null when there is none. values must not change afterwards. */
export function rangeOf(values: Float64Array): ColumnInfo["range"] {
  const known = ranges.get(values);
  if (known !== undefined) return known;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const range = low <= high ? { low, high } : null;
  ranges.set(values, range);
  return range;
}

/** Little-endian f64, or u16 codes; a JSON list of strings. */
export function columnBytes(data: ColumnData): Uint8Array<ArrayBuffer> | string[] {
  if (data.kind === "text") return data.texts;
  const array = data.kind === "number" ? data.values : data.codes;
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

/** Lists as the few words that a cell holds; other text as it is. */
async function shortTexts(table: HeldTable, name: string): Promise<string[]> {
  const short: string[] = [];
  for await (const texts of eachText(table.file, name)) {
    for (const text of texts) short.push(shortText(text));
    await setImmediate();
  }
  return short;
}

function shortText(text: string): string {
  if (!text.startsWith("[")) return text;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return text; // no list after all
  }
  if (!Array.isArray(list)) return text;
  return (list as { token?: string; latent?: number }[])
    .slice(0, COLUMN_LIMITS.listed)
    .map(({ token, latent }) => token ?? String(latent))
    .join(" · ");
}

/** What a part that was made a moment ago holds. Throws StorageError with the part's words when it is gone since. */
async function made<Name extends Parameters<DictionaryView["part"]>[0], R>(
  view: DictionaryView,
  name: Name,
  work: Parameters<typeof view.part<Name, R>>[1],
): Promise<R> {
  const part = await view.part(name, work);
  if (part.state === "made") return part.value;
  throw new StorageError(part.words, { hint: part.command });
}

const TERM_OF: readonly [RegExp, TermName][] = [
  [/^deltaNorm$/, "deltaNorm"],
  [/^decoderCosine$/, "decoderCosine"],
  [/^latentClass$/, "class"],
  [/nuReconstruction(Low|High)$/, "interval"],
  [/nu(Error|Activation)(Low|High)$/, "interval"],
  [/nuReconstruction$/, "nuReconstruction"],
  [/nuError$/, "nuError"],
  [/nuActivation$/, "nuActivation"],
  [/^scaling/, "scaling"],
  [/^frequency/, "frequency"],
  [/^documents$/, "documents"],
  [/^documentEntropy$/, "spread"],
  [/^maxActivation$/, "maxActivation"],
  [/^maxCode$/, "code"],
  [/^meanActivation$/, "activation"],
  [/^templateShare$/, "templateShare"],
  [/^activationQuantiles/, "quantiles"],
  [/^tokens(At|Before)Peak$/, "peakTokens"],
  [/^nearest/, "nearest"],
  [/^(verdict|claim|exclusion)$/, "verdict"],
  [/^null_/, "qValue"],
  [/^stability_/, "foundAgain"],
  [/^lens_/, "lens"],
  [/^causal_.*[gG]ap/, "gapClosed"],
  [/^causal_.*[dD]amage/, "damage"],
  [/^latent$/, "latent"],
];

/** One sentence of the report's words; "" for a column that has none there. */
function describe(name: string): string {
  if (name === "claim" || name === "exclusion") return TERMS[name].short;
  const found = TERM_OF.find(([pattern]) => pattern.test(name));
  return found === undefined ? "" : TERMS[found[1]].short;
}
