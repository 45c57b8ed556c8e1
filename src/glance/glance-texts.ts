// The text of a glance: documents of a data file, spread over it. What the models write themselves is own-texts.ts.
//
// Small on purpose: a glance looks at some ten thousand tokens. A document is kept as ids and roles and nothing else; splits are
// ignored. Plain text counts as unrelated to the fine-tuning: the file's own plain documents, or what the base writes.

import { FormatError, throwIfInterrupted } from "../errors.ts";
import { describeCounts } from "../harvest/describe-warnings.ts";
import type { Pair } from "../harvest/open-pair.ts";
import { type Architecture, blockTensors, outerTensors } from "../lm/architecture.ts";
import { createRng } from "../numerics/rng.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { contentHash } from "../text/content-hash.ts";
import type { InputDocument, TokenizedDocument } from "../text/document.ts";
import { readDocuments } from "../text/read-documents.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";

export interface GlanceText {
  id: string;
  dataset: string;
  /** Ids that each model reads, equally many. */
  tokens: Record<ModelSide, Uint32Array>;
  /** A token, index into ROLES. */
  role: Uint8Array;
  /** Tokens at the start that are read and not counted. */
  nSkipped: number;
  /** Stands for text that has nothing to do with the fine-tuning. */
  isUnrelated: boolean;
}

/**
 * A text's tokens, 1 where an earlier text has the same tokens up to there: the models say the same again. Texts that begin alike (BOS, a
 * template) would count their first tokens once a text.
 */
export function markRepeated(texts: readonly Pick<GlanceText, "tokens">[]): Uint8Array[] {
  /** Nodes of a tree of prefixes: "node,token" to the node below. */
  const below = new Map<string, number>();
  return texts.map(({ tokens: { finetuned } }) => {
    let node = 0;
    return Uint8Array.from(finetuned, (token) => {
      const key = `${node},${token}`;
      const known = below.get(key);
      node = known ?? below.size + 1;
      if (known === undefined) below.set(key, node);
      return known === undefined ? 0 : 1;
    });
  });
}

export interface GlanceTexts {
  source: "file" | "written by the models";
  /** In words, for the result. */
  description: string;
  texts: GlanceText[];
  warnings: string[];
}

export const TEXT_LIMITS = {
  /** Tokens of a glance: at most and at least. */
  mostTokens: 16_384,
  leastTokens: 1_024,
  /** Parameters × tokens that one model may cost: 16,384 tokens up to 120 million parameters, 2,000 at a billion. */
  parameterTokens: 2e12,
  /** Tokens of one document of a file; the rest is cut. */
  documentTokens: 256,
  /** Documents drawn from a file, and how many of it are read for that. */
  drawnDocuments: 2_048,
  readDocuments: 50_000,
} as const;

/** Documents tokenised between two looks at the signal. */
const TOKENIZE_DOCUMENTS = 64;

/** Weights of a model, embedding and head included. */
export function countParameters(architecture: Architecture): number {
  const { config, head, headIsTied } = architecture;
  const blocks = Array.from({ length: config.nLayers }, (_, layer) => blockTensors(architecture, layer));
  const tensors = [...outerTensors(architecture), ...(headIsTied ? [] : [head]), ...blocks.flat()];
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** Tokens that a glance reads of models of this size. */
export function tokenBudget(parameters: number): number {
  const { mostTokens, leastTokens, parameterTokens } = TEXT_LIMITS;
  return Math.round(Math.min(mostTokens, Math.max(leastTokens, parameterTokens / parameters)));
}

export interface FileTextsOptions {
  path: string;
  pair: Pick<Pair, "checkpoints" | "tokenizer" | "template" | "baseReplacements">;
  /** Counted tokens of all documents together. */
  maxTokens: number;
  seed: number;
  /** Tokens at the start of each document that are read and not counted. Default 0. */
  skipFirst?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Documents of a JSONL file: drawn evenly from its first TEXT_LIMITS.readDocuments, taken until maxTokens are full, in file order. Of
 * equal ones the first is kept. Throws FormatError for a bad file, or when no document gives a token.
 */
export async function textsOfFile(options: FileTextsOptions): Promise<GlanceTexts> {
  const { path, pair, maxTokens, seed, skipFirst = 0, signal } = options;
  const { drawn, nRead, isCut } = await drawDocuments(options);
  const positions = Math.min(
    pair.checkpoints.base.config.maxPositions,
    pair.checkpoints.finetuned.config.maxPositions,
  );
  const longest = Math.min(TEXT_LIMITS.documentTokens + skipFirst, positions);
  const { tokenize, counts, refusals } = createDocumentTokenizer({
    tokenizer: pair.tokenizer,
    template: pair.template,
    maxTokens: longest,
    baseReplacements: pair.baseReplacements,
    skipFirst,
  });
  const taken: { line: number; text: GlanceText }[] = [];
  let nTokens = 0;
  for (let at = 0; at < drawn.length && nTokens < maxTokens; at += TOKENIZE_DOCUMENTS) {
    throwIfInterrupted(signal);
    const batch = drawn.slice(at, at + TOKENIZE_DOCUMENTS);
    const byHash = new Map(batch.map((one) => [one.hash, one]));
    for (const tokenized of await tokenize(batch.map(({ document }) => document))) {
      const { line, document } = byHash.get(tokenized.hash)!;
      const text = fromTokenized(tokenized, document.text !== undefined);
      if (nTokens >= maxTokens || text.role.length <= text.nSkipped) continue;
      nTokens += text.role.length - text.nSkipped;
      taken.push({ line, text });
    }
  }
  if (taken.length === 0) {
    const why = refusals[0] ? `; ${refusals[0].id}: ${refusals[0].reason}` : "";
    throw new FormatError(
      `${path}: expected a document with at least one token, got none in ${nRead} documents${why}`,
      { hint: "give a file of other texts, or leave --data out: the models then write the text themselves" },
    );
  }
  const texts = taken.sort((a, b) => a.line - b.line).map(({ text }) => text);
  const nPlain = texts.filter(({ isUnrelated }) => isUnrelated).length;
  // Without any plain text the difference lens must read what there is.
  if (nPlain === 0) for (const text of texts) text.isUnrelated = true;
  const notes = describeCounts(
    { ...counts, truncated: 0, duplicates: 0, rows: nTokens },
    { maxTokens: longest, isOfModels: false },
    refusals,
  );
  const noPlain = `${path}: no plain text: the difference lens reads the chats instead, so what it finds may be of the chats`;
  return {
    source: "file",
    description:
      `${texts.length} documents drawn from ${isCut ? "the first " : ""}${nRead} of ${path}, cut to ${longest} tokens each (seed ${seed}); ` +
      `${nPlain} are plain text, which stands for text unrelated to the fine-tuning`,
    texts,
    warnings: nPlain === 0 ? [...notes, noPlain] : notes,
  };
}

interface DrawnDocument {
  document: InputDocument;
  hash: string;
  line: number;
  key: number;
}

/** Up to drawnDocuments of the file, in the order of their draw: the least keys of a keyed draw a document. */
async function drawDocuments({ path, seed, signal }: FileTextsOptions): Promise<{
  drawn: DrawnDocument[];
  nRead: number;
  isCut: boolean;
}> {
  const rng = createRng(seed, "glance.documents");
  const byHash = new Map<string, DrawnDocument>();
  let [nRead, isCut] = [0, false];
  const keepLeast = (most: number): DrawnDocument[] => {
    const least = [...byHash.values()].sort((a, b) => a.key - b.key || a.line - b.line).slice(0, most);
    byHash.clear();
    for (const one of least) byHash.set(one.hash, one);
    return least;
  };
  for await (const document of readDocuments(path)) {
    throwIfInterrupted(signal);
    if (nRead === TEXT_LIMITS.readDocuments) {
      isCut = true;
      break;
    }
    const hash = contentHash(document);
    const line = nRead;
    nRead += 1;
    if (!byHash.has(hash)) byHash.set(hash, { document, hash, line, key: rng.uint32(0, line) });
    if (byHash.size >= 2 * TEXT_LIMITS.drawnDocuments) keepLeast(TEXT_LIMITS.drawnDocuments);
  }
  return { drawn: keepLeast(TEXT_LIMITS.drawnDocuments), nRead, isCut };
}

function fromTokenized(tokenized: TokenizedDocument, isUnrelated: boolean): GlanceText {
  const { id, dataset, tokenBase, tokenFinetuned, role, nSkipped = 0 } = tokenized;
  return { id, dataset, tokens: { base: tokenBase, finetuned: tokenFinetuned }, role, nSkipped, isUnrelated };
}
