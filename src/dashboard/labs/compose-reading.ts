// A reading as the browser shows it: what the models' side found, joined with claims, maxima and tokens of the tables and people's labels.
//
// Latents: claims first, then by greatest activation, the lower number first among equals; the pinned ones are always there.

import { setImmediate as nextTurn } from "node:timers/promises";
import { TunediffError } from "../../errors.ts";
import type { TokenScore } from "../../lens/lens-contract.ts";
import { API_LIMITS, type PromptReading, type ReadLatent } from "../api-contract.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { withoutPaths } from "../errors-out.ts";
import { eachText, type HeldTable } from "../held-table.ts";
import type { Notes } from "../notes.ts";
import type { RawReading } from "./lab-protocol.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";

/** Of every latent; undefined: the dictionary is not measured. */
export interface ReadTables {
  claim(latent: number): string;
  deltaNorm: Float64Array;
  maxActivation: Float64Array;
}

export interface ComposeOptions {
  tables: ReadTables | undefined;
  /** Latents that the browser wants in any case. */
  pinned: readonly number[];
  labelOf: (latent: number) => string;
  /** Strongest first. */
  promotedOf: (latent: number) => string[];
}

export function composeReading(
  raw: RawReading,
  { tables, pinned, labelOf, promotedOf }: ComposeOptions,
): PromptReading {
  const found = maxima(raw);
  const isClaimed = (latent: number): boolean => (tables?.claim(latent) ?? "") !== "";
  const firing = [...found].sort(
    ([a, most], [b, other]) => Number(isClaimed(b)) - Number(isClaimed(a)) || other - most || a - b,
  );
  const others = firing.map(([latent]) => latent).filter((latent) => !pinned.includes(latent));
  const kept = new Set([...pinned, ...others.slice(0, API_LIMITS.readingLatents - pinned.length)]);
  const shown = [
    ...firing.map(([latent]) => latent).filter((latent) => kept.has(latent)),
    ...pinned.filter((latent) => !found.has(latent)),
  ];
  const rows = activationRows(raw, shown);
  const latents: ReadLatent[] = [];
  for (const latent of shown) {
    latents.push({
      latent,
      claim: tables?.claim(latent) ?? "",
      deltaNorm: finiteOr(tables?.deltaNorm[latent] ?? raw.deltaNorm[latent], NO_LEAN),
      label: labelOf(latent),
      promoted: promotedOf(latent),
      activations: Array.from(rows.get(latent) ?? [], short),
      max: short(found.get(latent) ?? 0),
      maxMeasured: short(finiteOr(tables?.maxActivation[latent] ?? 0, 0)),
    });
  }
  return {
    ...{ tokens: raw.tokens, roles: raw.roles, isAnswer: raw.isAnswer, kl: Array.from(raw.kl, short) },
    ...{ nextBase: shortNext(raw.next.base), nextFinetuned: shortNext(raw.next.finetuned) },
    ...{ latents, nFiring: found.size, warnings: raw.warnings },
  };
}

/** deltaNorm of a latent that has no direction in either model. */
const NO_LEAN = 0.5;

/** Digits that tell f32 numbers apart; the f64 that one is in JavaScript would be written with 17. */
const F32_DIGITS = 9;

function short(value: number): number {
  return Number(value.toPrecision(F32_DIGITS));
}

function shortNext(next: RawReading["next"]["base"]): PromptReading["nextBase"] {
  return next.map((top) => top.map(({ token, probability }) => ({ token, probability: short(probability) })));
}

function finiteOr(value: number, otherwise: number): number {
  return Number.isFinite(value) ? value : otherwise;
}

/** Greatest activation of each latent that fires. */
function maxima({ latent, activation }: RawReading): Map<number, number> {
  const found = new Map<number, number>();
  for (let i = 0; i < latent.length; i += 1) {
    found.set(latent[i], Math.max(activation[i], found.get(latent[i]) ?? 0));
  }
  return found;
}

/** [n] a latent. */
function activationRows(
  { tokens, rowStart, latent, activation }: RawReading,
  shown: readonly number[],
): Map<number, Float32Array> {
  const rows = new Map(shown.map((one) => [one, new Float32Array(tokens.length)]));
  for (let row = 0; row < tokens.length; row += 1) {
    for (let i = rowStart[row]; i < rowStart[row + 1]; i += 1) {
      const own = rows.get(latent[i]);
      if (own !== undefined) own[row] = activation[i];
    }
  }
  return rows;
}

/** What a view's tables and a study's notes say of latents; and warnings where a table is not made. */
export async function readingTables(
  view: DictionaryView,
  notes: Notes,
): Promise<Omit<ComposeOptions, "pinned"> & { warnings: string[] }> {
  const measure = await view.part("measure", async ({ table }) => {
    const { words, codes } = await table.words("claim");
    return {
      claim: (latent: number) => (words[codes[latent]] === "none" ? "" : words[codes[latent]]),
      deltaNorm: await table.numbers("deltaNorm"),
      maxActivation: await table.numbers("maxActivation"),
    };
  });
  const lens = await view.part("lens", promotedTokens);
  const { labels, warnings: unread } = labelsOf(notes, await view.sha256());
  const warnings = [measure, lens].flatMap((part) =>
    part.state === "made" ? [] : [`${part.words}${part.command === "" ? "" : ` Run ${part.command}.`}`],
  );
  return {
    tables: measure.state === "made" ? measure.value : undefined,
    labelOf: (latent) => labels.get(latent) ?? "",
    promotedOf: (latent) => (lens.state === "made" ? lens.value[latent] : []),
    warnings: [...warnings, ...unread],
  };
}

/** A reading is of use without labels: notes that cannot be read are a warning. */
function labelsOf(notes: Notes, sha256: string): { labels: Map<number, string>; warnings: string[] } {
  try {
    const list = notes.list(sha256);
    return { labels: new Map(list.map(({ latent, label }) => [latent, label])), warnings: [] };
  } catch (error) {
    if (!(error instanceof TunediffError)) throw error;
    return { labels: new Map(), warnings: [`Labels are not shown: ${withoutPaths(error.message)}.`] };
  }
}

/** Per table, so that another one is read anew. */
const promoted = new WeakMap<HeldTable, Promise<string[][]>>();

/** Of every latent: a page of the table costs as much to read as one cell of it, and a reading asks for hundreds. */
function promotedTokens(table: HeldTable): Promise<string[][]> {
  const known = promoted.get(table) ?? readPromoted(table);
  promoted.set(table, known);
  known.catch(() => promoted.delete(table));
  return known;
}

async function readPromoted({ file }: HeldTable): Promise<string[][]> {
  const strings = new Map<string, string>();
  const lists: string[][] = [];
  for await (const texts of eachText(file, "promotedFinetuned")) {
    for (const text of texts) {
      const scores = text === "" ? [] : (JSON.parse(text) as TokenScore[]);
      lists.push(
        scores.slice(0, LAB_SETTINGS.promoted).map(({ token }) => {
          if (!strings.has(token)) strings.set(token, token);
          return strings.get(token)!;
        }),
      );
    }
    await nextTurn();
  }
  return lists;
}
