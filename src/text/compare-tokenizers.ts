// What two tokenizers have in common and where they part, as facts that a rule can be made of.
//
// Ids mean the same where the same token stands behind them; a text is cut the same where merges, normalizer and
// pre-tokenizer agree. Compares what files say, runs nothing. What follows from a difference is pair-rules.ts.

import { canonicalJson } from "../formats/canonical-json.ts";
import { type TokenizerJson, tokenizerParts, vocabularyEntries } from "./tokenizer-file.ts";

export interface IdConflict {
  id: number;
  base: string;
  finetuned: string;
}

export interface TokenizerComparison {
  /** BPE, Unigram, …; present when they differ. */
  algorithm?: { base: string; finetuned: string };
  /** Ids behind which both have a token of the vocabulary, and not the same. */
  conflicts: IdConflict[];
  /** The same of added tokens on both sides: a reserved token that was given a name. */
  renamed: IdConflict[];
  /** Ascending ids that only one of them has. */
  onlyBase: number[];
  onlyFinetuned: number[];
  /** "extended": the finetuned list begins with the base's. words: the first difference. */
  merges?: { kind: "extended" | "different"; words: string };
  /** Parts that differ besides, with their first difference in words. */
  parts: { part: "model options" | "normalizer" | "pre-tokenizer" | "added token flags"; words: string }[];
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : canonicalJson(value).slice(0, 120);
}

function tokensById(json: TokenizerJson): { tokens: Map<number, string>; added: Map<number, object> } {
  const tokens = new Map(vocabularyEntries(json).map(([token, id]) => [id, token]));
  const added = new Map<number, object>();
  for (const { id, content, ...flags } of json.added_tokens) {
    tokens.set(id, content);
    added.set(id, flags);
  }
  return { tokens, added };
}

function algorithmOf({ model }: TokenizerJson): string {
  return typeof model.type === "string" ? model.type : Array.isArray(model.merges) ? "BPE" : "unnamed";
}

/** Unigram scores count as merges: like them, they decide how a text is cut. */
function rankingOf(json: TokenizerJson): unknown[] {
  const { merges } = tokenizerParts(json);
  const { vocab } = json.model;
  return Array.isArray(vocab) ? vocab : (merges as unknown[]);
}

function compareRankings(base: unknown[], finetuned: unknown[]): TokenizerComparison["merges"] {
  let at = 0;
  while (
    at < Math.min(base.length, finetuned.length) &&
    canonicalJson(base[at]) === canonicalJson(finetuned[at])
  )
    at += 1;
  if (at === base.length && at === finetuned.length) return undefined;
  const words = `entry ${at}: base ${show(base[at])} of ${base.length}, finetuned ${show(finetuned[at])} of ${finetuned.length}`;
  return { kind: at === base.length ? "extended" : "different", words };
}

/** Post-processor, decoder, truncation and padding are left out: tunediff uses none of them. */
export function compareTokenizers(base: TokenizerJson, finetuned: TokenizerJson): TokenizerComparison {
  const comparison: TokenizerComparison = {
    conflicts: [],
    renamed: [],
    onlyBase: [],
    onlyFinetuned: [],
    parts: [],
  };
  const algorithm = { base: algorithmOf(base), finetuned: algorithmOf(finetuned) };
  if (algorithm.base !== algorithm.finetuned) comparison.algorithm = algorithm;

  const [a, b] = [tokensById(base), tokensById(finetuned)];
  let flags: string | undefined;
  for (const [id, token] of a.tokens) {
    const other = b.tokens.get(id);
    const isAdded = a.added.has(id) && b.added.has(id);
    if (other === undefined) comparison.onlyBase.push(id);
    else if (other !== token) {
      comparison[isAdded ? "renamed" : "conflicts"].push({ id, base: token, finetuned: other });
    } else if (canonicalJson(a.added.get(id) ?? null) !== canonicalJson(b.added.get(id) ?? null)) {
      flags ??= `"${token}" (id ${id}): base ${show(a.added.get(id))}, finetuned ${show(b.added.get(id))}`;
    }
  }
  for (const id of b.tokens.keys()) if (!a.tokens.has(id)) comparison.onlyFinetuned.push(id);
  const ascending = (x: number, y: number): number => x - y;
  comparison.onlyBase.sort(ascending);
  comparison.onlyFinetuned.sort(ascending);
  comparison.conflicts.sort((x, y) => x.id - y.id);
  comparison.renamed.sort((x, y) => x.id - y.id);

  const merges = compareRankings(rankingOf(base), rankingOf(finetuned));
  if (merges !== undefined) comparison.merges = merges;
  const [partsBase, partsFinetuned] = [tokenizerParts(base), tokenizerParts(finetuned)];
  for (const part of ["model options", "normalizer", "pre-tokenizer"] as const) {
    if (part === "model options" && comparison.algorithm !== undefined) continue; // the algorithm is among them
    const [x, y] = [partsBase[part], partsFinetuned[part]];
    if (canonicalJson(x) === canonicalJson(y)) continue;
    comparison.parts.push({ part, words: `base ${show(x)}, finetuned ${show(y)}` });
  }
  if (flags !== undefined) comparison.parts.push({ part: "added token flags", words: flags });
  return comparison;
}
