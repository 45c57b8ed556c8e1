// Everything that is known of one latent, joined from the tables of its dictionary and from people's notes.

import type { LatentEffect } from "../causal/causal-contract.ts";
import type { TokenScore } from "../lens/lens-contract.ts";
import { activationEdges, parseActivationBins } from "../measure/activation-bins.ts";
import type {
  Interval,
  LatentIntervals,
  MeasureSummary,
  Neighbour,
  TokenCount,
} from "../measure/measure-contract.ts";
import { CATEGORY_KINDS, type Exclusion, NU_NAMES } from "../measure/measure-contract.ts";
import { verdictReason } from "../measure/verdict.ts";
import type { LatentPage, Note, Part } from "./api-contract.ts";
import { CATEGORIES, EFFECTS, NULL_COLUMNS, STABILITY_COLUMNS } from "./columns.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import type { HeldTable } from "./held-table.ts";
import type { Notes } from "./notes.ts";
import { notesPart } from "./notes-part.ts";

export const EMPTY_NOTE: Note = { label: "", text: "", tags: [], starred: false, updated: "" };

/** Shares of firing rows between the quantiles that the table holds: up to q10, q50, q90, q99 and the maximum. */
const HISTOGRAM_SHARES: readonly number[] = [0.1, 0.4, 0.4, 0.09, 0.01];
const QUANTILES = ["q10", "q50", "q90", "q99"] as const;

/**
 * The page of a latent, or why there is none: a dictionary that is not measured. Undefined for a latent that is none of it.
 *
 * A part that is missing says so in the page itself.
 */
export async function readLatentPage(
  view: DictionaryView,
  { latent, notes }: { latent: number; notes?: Notes },
): Promise<Part<LatentPage> | undefined> {
  const size = await view.part("measure", ({ summary }) => summary.nLatents);
  if (size.state !== "made") return size;
  if (!(Number.isInteger(latent) && latent >= 0 && latent < size.value)) return undefined;
  const { numbers, categories } = await cells(view, latent);
  const lists = await view.part("measure", async ({ table, summary }) => ({
    reasons: reasonsOf({ numbers, categories, summary }),
    where: whereOf(numbers, summary),
    tokensAtPeak: await listAt<TokenCount>(table, "tokensAtPeak", latent),
    tokensBeforePeak: await listAt<TokenCount>(table, "tokensBeforePeak", latent),
    histogram: (await countedHistogram(table, latent)) ?? estimatedHistogram(numbers, summary),
    nearest: {
      finetuned: await listAt<Neighbour>(table, "nearestFinetuned", latent),
      base: await listAt<Neighbour>(table, "nearestBase", latent),
      across: await listAt<Neighbour>(table, "nearestAcross", latent),
    },
    twins: twinsOf(summary, latent),
  }));
  if (lists.state !== "made") return lists;
  const shown = Object.fromEntries(
    Object.entries(numbers).map(([name, value]) => [name, shownNumber(value)]),
  );
  const counted = ({ token, count }: TokenCount) => ({ token, count });
  return {
    state: "made",
    value: {
      ...lists.value,
      tokensAtPeak: lists.value.tokensAtPeak.map(counted),
      tokensBeforePeak: lists.value.tokensBeforePeak.map(counted),
      ...{ latent, numbers: shown, categories },
      lens: await view.part("lens", async (table) => {
        const of = (name: string) => listAt<TokenScore>(table, name, latent);
        const [promotedBase, suppressedBase] = [await of("promotedBase"), await of("suppressedBase")];
        const [promotedFinetuned, suppressedFinetuned] = [
          await of("promotedFinetuned"),
          await of("suppressedFinetuned"),
        ];
        return { promotedBase, suppressedBase, promotedFinetuned, suppressedFinetuned };
      }),
      causal: await causalOf(view, latent),
      note: await noteOf(view, { latent, notes }),
    },
  };
}

async function noteOf(
  view: DictionaryView,
  { latent, notes }: { latent: number; notes?: Notes },
): Promise<Part<Note>> {
  if (notes === undefined) return { state: "made", value: EMPTY_NOTE };
  const sha256 = await view.sha256();
  return notesPart(notes, (open) => open.get(sha256, latent));
}

/** NaN and infinities by name: JSON has neither. */
export function shownNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** One latent's cells of all columns, by the names of columns.ts; one visit to each table. */
async function cells(
  view: DictionaryView,
  latent: number,
): Promise<{ numbers: Record<string, number>; categories: Record<string, string> }> {
  const numbers: Record<string, number> = {};
  const categories: Record<string, string> = {};
  const readTable = async (table: HeldTable, prefix: string, names: readonly string[]): Promise<void> => {
    for (const name of names) {
      if (CATEGORIES.includes(name)) {
        const { words, codes } = await table.words(name);
        categories[`${prefix}${name}`] = words[codes[latent]];
      } else numbers[`${prefix}${name}`] = (await table.numbers(name))[latent];
    }
  };
  await view.part("measure", ({ table }) =>
    readTable(
      table,
      "",
      table.file.columns
        .filter(({ name, type }) => type !== "STRING" || CATEGORIES.includes(name))
        .map(({ name }) => name),
    ),
  );
  await view.part("nulls", ({ table }) => readTable(table, "null_", NULL_COLUMNS));
  await view.part("stability", ({ table }) => readTable(table, "stability_", STABILITY_COLUMNS));
  await view.part("causal", ({ effects }) => {
    const row = effectOfLatent(effects, latent);
    for (const [name, of] of Object.entries(EFFECTS))
      numbers[`causal_${name}`] = row === undefined ? Number.NaN : of(row);
  });
  await view.part("truth", ({ claims }) => {
    const claim = claims.find((entry) => entry.latent === latent);
    categories.truth_concept = claim?.concept ?? "";
    numbers.truth_conceptShare = claim?.conceptShare ?? Number.NaN;
  });
  return { numbers, categories };
}

/** A latent may be a candidate and, elsewhere, a control: the candidate's row is about itself. */
function effectOfLatent(effects: readonly LatentEffect[], latent: number): LatentEffect | undefined {
  const own = effects.filter((effect) => effect.latent === latent);
  return own.find(({ role }) => role === "candidate") ?? own[0];
}

async function listAt<T>(table: HeldTable, name: string, latent: number): Promise<T[]> {
  const text = await table.stringAt(name, latent);
  return text === "" ? [] : (JSON.parse(text) as T[]);
}

interface Cells {
  numbers: Record<string, number>;
  categories: Record<string, string>;
  summary: MeasureSummary;
}

function reasonsOf({ numbers, categories, summary }: Cells): string[] {
  const interval = (side: "Finetuned" | "Base", nu: string): Interval => ({
    low: numbers[`intervals${side}_${nu}Low`],
    high: numbers[`intervals${side}_${nu}High`],
  });
  const of = (side: "Finetuned" | "Base") =>
    Object.fromEntries(NU_NAMES.map((nu) => [nu, interval(side, nu)]));
  const intervals = {
    ...{ finetuned: of("Finetuned"), base: of("Base") },
    nGroupsFired: numbers.groupsFired,
  } as unknown as LatentIntervals;
  const { deltaNorm, documents } = numbers;
  const reason = verdictReason({ deltaNorm, documents, fired: documents, intervals }, summary.thresholds);
  const leans = `deltaNorm is ${deltaNorm.toFixed(3)}: the latent leans to neither model, so nothing is claimed of it.`;
  return [reason === "" ? leans : reason, exclusionWords(categories.exclusion)].filter(
    (words) => words !== "",
  );
}

const EXCLUSION_WORDS: Record<Exclusion, string> = {
  "not-candidate": "",
  dead: "",
  "too-rare": "",
  "negative-beta":
    "It could not be judged: along its direction the model it leans to has a beta that is not above 0.",
  "nu-out-of-range": "It could not be judged: a nu lies outside the range in which it means anything.",
};

/** Those that the verdict has not said already. */
function exclusionWords(exclusion: string | undefined): string {
  return EXCLUSION_WORDS[exclusion as Exclusion] ?? "";
}

function whereOf(numbers: Record<string, number>, summary: MeasureSummary): LatentPage["where"] {
  return Object.fromEntries(
    CATEGORY_KINDS.map((kind) => [
      kind,
      summary.categories[kind].flatMap((name, i) => {
        const share = numbers[`frequencyBy_${kind}_${name}`];
        const rows = summary.rowsByCategory[kind][i];
        return rows > 0 && Number.isFinite(share) ? [{ name, share, rows }] : [];
      }),
    ]),
  );
}

/** As counted while measuring; undefined for a latent that never fired, and in a table from before there were counts. */
async function countedHistogram(
  table: HeldTable,
  latent: number,
): Promise<LatentPage["histogram"] | undefined> {
  const name = "activationHistogram";
  if (!table.file.columns.some((column) => column.name === name)) return undefined;
  const bins = parseActivationBins(await table.stringAt(name, latent), `${name} of row ${latent}`);
  if (bins.counts.length === 0) return undefined;
  return { from: "counted", edges: activationEdges(bins), counts: [...bins.counts] };
}

/** Rows in which it fired between the quantiles that the table keeps: five bins of unequal width; null where it never fired. */
function estimatedHistogram(
  numbers: Record<string, number>,
  summary: MeasureSummary,
): LatentPage["histogram"] {
  const { frequency, maxActivation } = numbers;
  const fired = Math.round(frequency * summary.nRows);
  if (!(fired > 0)) return null;
  const lowest = Math.max(0, summary.inferenceThreshold || 0);
  const inner = QUANTILES.map((name) => numbers[`activationQuantiles_${name}`]);
  if (inner.some((value) => !Number.isFinite(value))) return null;
  const edges = [Math.min(lowest, inner[0]), ...inner, maxActivation];
  return { from: "quantiles", edges, counts: HISTOGRAM_SHARES.map((share) => share * fired) };
}

function twinsOf({ twins }: MeasureSummary, latent: number): LatentPage["twins"] {
  return twins
    .filter(({ finetuned, base }) => finetuned === latent || base === latent)
    .map(({ finetuned, base, cosine, divergenceCode }) => ({
      latent: finetuned === latent ? base : finetuned,
      cosine,
      divergence: divergenceCode,
    }));
}

async function causalOf(view: DictionaryView, latent: number): Promise<LatentPage["causal"]> {
  let wasMeasured = true;
  const part = await view.part("causal", ({ effects }) => {
    const row = effectOfLatent(effects, latent);
    wasMeasured = row !== undefined;
    return row === undefined ? undefined : effectOf(row);
  });
  if (part.state !== "made") return part;
  if (wasMeasured && part.value !== undefined) return { state: "made", value: part.value };
  return {
    state: "missing",
    words: "This latent was neither a candidate nor a control of the causal experiment.",
    command: "",
  };
}

function effectOf(row: LatentEffect) {
  const estimate = ({ mean, interval }: LatentEffect["damage"]) => ({ mean, ...interval });
  return {
    gapClosed: estimate(row.gapClosed),
    damage: estimate(row.damage),
    controlGapClosed: row.controlGapClosed,
    controlDamage: row.controlDamage,
    movedTexts: row.movedTexts.map(({ conversation, change }) => ({ conversation, change })),
    movedTokens: row.movedTokens.map(({ token, change, count }) => ({ token, change, count })),
  };
}
