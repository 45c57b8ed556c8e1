// The glance as the browser shows it: glance.json with bounds on every list and text, and what was planted where it looked.
//
// What its numbers mean: glance/glance-contract.ts. Paths of the disk are reduced to their last names. Planted behaviours are looked up
// in the store once, and again when it changes.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJsonLines } from "../formats/jsonl.ts";
import type {
  ComponentFinding,
  Glance,
  MinedToken,
  OverallDifference,
  ReadDirection,
  ReadToken,
} from "../glance/glance-contract.ts";
import { GLANCE_FILE } from "../glance/glance-file.ts";
import { displayName } from "../report/display-name.ts";
import { type PlantedInPeaks, plantedInPeaks } from "../report/glance-of-study.ts";
import type { TermName } from "../report/terms.ts";
import type { DocumentRecord } from "../store/rows.ts";
import type {
  GlanceDifference,
  GlanceFindings,
  GlanceMined,
  GlancePage,
  GlanceRead,
  GlanceText,
  Limited,
  TokenScore,
} from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { withoutPaths } from "./errors-out.ts";
import { createFileMemo, type FileMemo } from "./file-memo.ts";
import { limited, orNull, termsOf } from "./page-values.ts";
import { NotMadeError, partOf } from "./parts.ts";

export const GLANCE_PAGE_LIMITS = {
  sentences: 50,
  groups: 100,
  /** Means by position. */
  byPosition: 512,
  peaks: 100,
  /** Tokens of one stretch of text, around its peak. */
  tokensOfText: 256,
  chances: 10,
  positions: 64,
  /** Tokens of one direction. */
  readTokens: 20,
  readWays: 8,
  steering: 60,
  /** Characters of an answer. */
  answer: 4000,
  components: 32,
  /** Texts at either end of a component. */
  ends: 10,
  mined: 200,
  planted: 100,
} as const;
const LIMITS = GLANCE_PAGE_LIMITS;

const TERMS: readonly TermName[] = [
  ...(["base", "residual", "kl", "differenceLens", "consistency", "component", "mined"] as const),
];

export interface GlancePages {
  read(view: DictionaryView): Promise<GlancePage>;
}

/** What was planted is kept until the store or the glance changes. */
export function createGlancePages(): GlancePages {
  const memo = createFileMemo();
  return {
    read: async (view) => ({
      glance: await view.part("glance", async (glance) => ({
        ...shapeGlance(glance),
        planted: await plantedOf(view, glance, memo),
      })),
      terms: termsOf(TERMS),
    }),
  };
}

async function plantedOf(
  view: DictionaryView,
  glance: Glance,
  memo: FileMemo,
): Promise<GlanceFindings["planted"]> {
  const truth = await view.part("truth", ({ conceptsFound, conceptsPlanted }) => ({
    found: conceptsFound,
    planted: conceptsPlanted,
  }));
  if (truth.state !== "made") return null;
  const { store, runningStages } = await view.study.facts();
  const folder = join(view.study.folder, "stores", store);
  const [manifest, documents] = [join(folder, "manifest.json"), join(folder, "rows", "documents.jsonl")];
  const names = { what: "the store of activations", command: "tunediff harvest STUDY" };
  const part = await partOf(
    { ...names, folder: view.study.folder, isRunning: runningStages.includes("harvest") },
    () => {
      if (!existsSync(manifest) || !existsSync(documents)) throw new NotMadeError("missing");
      const paths = [manifest, documents, join(view.study.folder, GLANCE_FILE)];
      const read = async () => ({ value: plantedInPeaks(glance, await readSpans(documents)) });
      return memo.use({ key: folder, paths, read }, (value: PlantedInPeaks | null) => value);
    },
  );
  if (part.state !== "made") return part;
  if (part.value === null) return null;
  const concepts = part.value.concepts.slice(0, LIMITS.planted);
  return { state: "made", value: { ...part.value, concepts, ...truth.value } };
}

/** Who the documents are and what is planted in them, without their text. */
async function readSpans(path: string): Promise<Pick<DocumentRecord, "id" | "dataset" | "spans">[]> {
  const found: Pick<DocumentRecord, "id" | "dataset" | "spans">[] = [];
  for await (const { value } of readJsonLines(path)) {
    const { id, dataset, spans } = value as DocumentRecord; // verified and written by the program
    found.push({ id, dataset, ...(spans !== undefined && { spans }) });
  }
  return found;
}

/** Without what was planted, which the store says. */
export function shapeGlance(glance: Glance): Omit<GlanceFindings, "planted"> {
  const { layer, tunediff, seconds, text, findings, warnings, kl, lens, pca, mining } = glance;
  return {
    ...{ base: displayName(glance.base), finetuned: displayName(glance.finetuned) },
    ...{ layer, tunediff, seconds },
    text: { ...text, description: withoutPaths(text.description) },
    findings: findings.slice(0, LIMITS.sentences),
    warnings: warnings.slice(0, LIMITS.sentences).map(withoutPaths),
    kl: klOf(kl),
    lens: lensOf(lens),
    pca: {
      rows: pca.rows,
      changeRatio: orNull(pca.changeRatio),
      meanShare: orNull(pca.meanShare),
      components: each(pca.components, LIMITS.components, componentOf),
    },
    mining: {
      positions: mining.positions,
      topK: mining.topK,
      risen: each(mining.risen, LIMITS.mined, minedOf),
      fallen: each(mining.fallen, LIMITS.mined, minedOf),
    },
  };
}

function each<T, R>(items: readonly T[], most: number, of: (item: T) => R): Limited<R> {
  const list = limited(items, most);
  return { total: list.total, items: list.items.map(of) };
}

function klOf(kl: Glance["kl"]): GlanceFindings["kl"] {
  const { p50, p90, p99, max } = kl.quantiles;
  const group = (name: string, { tokens, mean }: { tokens: number; mean: number }) => ({
    ...{ name, tokens, mean: orNull(mean) },
  });
  return {
    ...{ tokens: kl.tokens, mean: orNull(kl.mean), shareOfTopPercent: orNull(kl.shareOfTopPercent) },
    quantiles: { p50: orNull(p50), p90: orNull(p90), p99: orNull(p99), max: orNull(max) },
    byRole: kl.byRole.slice(0, LIMITS.groups).map((row) => group(row.role, row)),
    byDataset: kl.byDataset.slice(0, LIMITS.groups).map((row) => group(row.dataset, row)),
    byPosition: kl.byPosition.slice(0, LIMITS.byPosition).map(orNull),
    peaks: each(kl.peaks, LIMITS.peaks, ({ nextBase, nextFinetuned, kl: values, ...text }) => ({
      ...textOf({ ...text, values }),
      nextBase: nextBase.slice(0, LIMITS.chances),
      nextFinetuned: nextFinetuned.slice(0, LIMITS.chances),
    })),
  };
}

/** The tokens around the peak. A text without a dataset has "". */
export function textOf(text: {
  document: string;
  dataset?: string;
  tokens: readonly string[];
  values: readonly number[];
  peak: number;
}): GlanceText {
  const { document, dataset = "", tokens, values, peak } = text;
  const most = LIMITS.tokensOfText;
  const from = Math.max(0, Math.min(peak - Math.floor(most / 2), tokens.length - most));
  return {
    ...{ document, dataset },
    tokens: tokens.slice(from, from + most),
    values: values.slice(from, from + most).map(orNull),
    peak: peak - from,
  };
}

function lensOf(lens: Glance["lens"]): GlanceFindings["lens"] {
  const positions = each(lens.positions, LIMITS.positions, ({ position, ...rest }) =>
    differenceOf(position, rest),
  );
  return {
    ...{ texts: lens.texts, layer: lens.layer, mainPosition: lens.mainPosition },
    positions: {
      total: positions.total,
      items: lens.positions.length === 0 ? [] : [...positions.items, differenceOf(null, lens.overall)],
    },
    steering: each(lens.steering, LIMITS.steering, (one) => ({
      ...one,
      prompt: cut(one.prompt),
      steered: cut(one.steered),
      unsteered: cut(one.unsteered),
    })),
    leftOut: lens.leftOut.slice(0, LIMITS.sentences),
  };
}

function differenceOf(position: number | null, difference: OverallDifference): GlanceDifference {
  const { texts, relativeNorm, consistency, read } = difference;
  return {
    ...{ position, texts },
    relativeNorm: relativeNorm === null ? null : orNull(relativeNorm),
    consistency: orNull(consistency),
    read: readOf(read),
  };
}

function readOf(read: readonly ReadDirection[]): GlanceRead[] {
  const scores = (tokens: readonly ReadToken[]): TokenScore[] =>
    tokens.slice(0, LIMITS.readTokens).map(({ token, tokenId, score }) => ({ token, tokenId, score }));
  return read.slice(0, LIMITS.readWays).map(({ model, by, promoted, suppressed }) => ({
    ...{ model, by },
    ...{ promoted: scores(promoted), suppressed: scores(suppressed) },
  }));
}

function componentOf({ share, read, highest, lowest }: ComponentFinding) {
  const ends = (texts: ComponentFinding["highest"]): GlanceText[] =>
    texts.slice(0, LIMITS.ends).map((text) => textOf(text));
  return { share: orNull(share), read: readOf(read), highest: ends(highest), lowest: ends(lowest) };
}

function minedOf(mined: MinedToken): GlanceMined {
  const { token, tokenId, count, occurrences, share, controlShare, fractionPositive, meanDifference } = mined;
  return {
    ...{ token, tokenId, count, occurrences },
    ...{ share: orNull(share), controlShare: orNull(controlShare) },
    ...{ fractionPositive: orNull(fractionPositive), meanDifference: orNull(meanDifference) },
  };
}

/** At a whole character, with a mark where something is missing. */
function cut(text: string): string {
  // A character is two units of a string at most.
  const characters = [...text.slice(0, 2 * (LIMITS.answer + 1))];
  return characters.length > LIMITS.answer ? `${characters.slice(0, LIMITS.answer).join("")}…` : text;
}
