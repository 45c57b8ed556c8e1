// The matrix of what two models may differ in: one row a difference, with what it leads to.
//
// docs/pairs.md shows the same table to people; a test holds the two together and sees to it that every row has a case.
// How a row is recognised is check-pair.ts.

export const PAIR_LEVELS = ["allowed", "warning", "refused"] as const;
export type PairLevel = (typeof PAIR_LEVELS)[number];

export interface PairRule {
  /** What the row is about. */
  aspect: string;
  difference: string;
  level: PairLevel;
  why: string;
}

export const PAIR_RULES = {
  "vocabulary-conflict": {
    aspect: "vocabulary",
    difference: "an id stands for one token in the base and another in the fine-tune",
    level: "refused",
    why: "both models read the same ids, so the ids must mean the same",
  },
  "vocabulary-conflict-replaced": {
    aspect: "vocabulary",
    difference: "the same, but every such id is replaced for the base",
    level: "warning",
    why: "the base reads the replacements",
  },
  "added-token-renamed": {
    aspect: "added tokens",
    difference: "an added token (a reserved one, as a rule) has another name in the fine-tune",
    level: "warning",
    why: "the base has never seen it used so; replace it for the base",
  },
  "ids-only-base": {
    aspect: "vocabulary",
    difference: "the base has ids that the fine-tune lacks",
    level: "allowed",
    why: "text is cut by the fine-tune's tokenizer, which never gives them",
  },
  "ids-only-finetuned-with-rows": {
    aspect: "vocabulary size",
    difference:
      "the fine-tune has ids that the base's tokenizer lacks, and the base has embedding rows for them",
    level: "warning",
    why: "the base's rows are there (padding) and untrained",
  },
  "ids-only-finetuned-without-rows": {
    aspect: "vocabulary size",
    difference: "the fine-tune has ids for which the base has no embedding row (resized embedding)",
    level: "warning",
    why: "fine as long as the text uses none of them, which is checked once it is tokenised",
  },
  "ids-only-finetuned-replaced": {
    aspect: "vocabulary size",
    difference: "the same, but every such id is replaced for the base",
    level: "allowed",
    why: "the base never reads them",
  },
  "used-id-without-row": {
    aspect: "vocabulary size",
    difference: "the text uses an id for which a model has no embedding row",
    level: "refused",
    why: "there is nothing to look up",
  },
  "tokenizer-beyond-embedding": {
    aspect: "vocabulary size",
    difference: "a model's own tokenizer has ids beyond its embedding",
    level: "refused",
    why: "tokenizer and weights of that folder do not belong together",
  },
  "embedding-rows": {
    aspect: "vocabulary size",
    difference: "the embeddings have different numbers of rows (padding, resizing), the tokenizers agree",
    level: "warning",
    why: "shared ids are used",
  },
  "tokenizer-algorithm": {
    aspect: "tokenizer",
    difference: "another algorithm (BPE, Unigram, WordPiece)",
    level: "refused",
    why: "the base would read a text cut in a way it was not trained on",
  },
  "merges-different": {
    aspect: "merges",
    difference: "merges (or Unigram scores) differ",
    level: "refused",
    why: "the base would read a text cut in a way it was not trained on",
  },
  "merges-extended": {
    aspect: "merges",
    difference: "the fine-tune's merges begin with the base's and go on",
    level: "warning",
    why: "text that uses the new tokens is refused or replaced, see vocabulary size",
  },
  normalizer: {
    aspect: "normalizer",
    difference: "normalizers differ",
    level: "refused",
    why: "the base would read a text cut in a way it was not trained on",
  },
  "pre-tokenizer": {
    aspect: "pre-tokenizer",
    difference: "pre-tokenizers differ",
    level: "refused",
    why: "the base would read a text cut in a way it was not trained on",
  },
  "model-options": {
    aspect: "tokenizer",
    difference: "options of the algorithm differ (byte fallback, unknown token, ignore_merges)",
    level: "refused",
    why: "the base would read a text cut in a way it was not trained on",
  },
  "added-token-flags": {
    aspect: "added tokens",
    difference: "the same token is special, stripped or normalised in one and not in the other",
    level: "warning",
    why: "ids mean the same; the fine-tune's flags are used for both",
  },
  "post-processor": {
    aspect: "post-processor",
    difference: "post-processor, decoder, truncation or padding differ",
    level: "allowed",
    why: "tunediff uses none of them",
  },
  bos: {
    aspect: "special tokens",
    difference: "another BOS, or only one of them has one",
    level: "warning",
    why: "the fine-tune's BOS rule is used for both, and a base that expects another start is thrown off",
  },
  "eos-pad": {
    aspect: "special tokens",
    difference: "another EOS or pad",
    level: "allowed",
    why: "neither is put into a row",
  },
  "template-missing-base": {
    aspect: "chat template",
    difference: "the base has none",
    level: "allowed",
    why: "the usual case: the fine-tune's is used for both",
  },
  "template-missing-finetuned": {
    aspect: "chat template",
    difference: "only the base has one",
    level: "warning",
    why: "the base's is used for both",
  },
  "template-different": {
    aspect: "chat template",
    difference: "they differ",
    level: "warning",
    why: "the fine-tune's is used for both",
  },
  "template-missing-both": {
    aspect: "chat template",
    difference: "neither has one",
    level: "allowed",
    why: "plain text needs none; a document with messages is refused when it is read",
  },
  family: {
    aspect: "model family",
    difference: "another model_type",
    level: "warning",
    why: "residual streams may be compared, but much that differs is not fine-tuning",
  },
  width: {
    aspect: "width",
    difference: "dModel differs",
    level: "warning",
    why: "each model has encoder and decoder of its own width; cosines between models do not exist",
  },
  depth: {
    aspect: "layers",
    difference: "number of blocks differs",
    level: "warning",
    why: "legal; say which blocks to compare with --layer base:finetuned",
  },
  "layer-different": {
    aspect: "layers",
    difference: "another layer is compared, at equal depth",
    level: "warning",
    why: "legal, and rarely meant",
  },
  "layer-last": {
    aspect: "layers",
    difference: "the layer is the last block",
    level: "allowed",
    why: "the residual before the final norm is taken",
  },
  "layer-out-of-range": {
    aspect: "layers",
    difference: "the layer is not a block of the model",
    level: "refused",
    why: "blocks count from 0",
  },
  rope: {
    aspect: "rope",
    difference: "theta, scaling or share of rotated dimensions differ",
    level: "warning",
    why: "positions are encoded differently: part of the difference is that",
  },
  "max-positions": {
    aspect: "max positions",
    difference: "one model reads longer texts",
    level: "allowed",
    why: "documents are cut at the smaller number, and cuts are counted and reported",
  },
  dtype: {
    aspect: "dtype",
    difference: "weights are stored in different dtypes",
    level: "warning",
    why: "both are computed in f32, but rounding of weights is part of the difference",
  },
  tied: {
    aspect: "head",
    difference: "tied to the embedding in one, stored in the other",
    level: "allowed",
    why: "each model is read through its own head",
  },
  "same-model": {
    aspect: "identity",
    difference: "both are the same folder",
    level: "warning",
    why: "a null pair: every claim is false, which is a useful control",
  },
  adapter: {
    aspect: "adapter",
    difference: "the fine-tune is a LoRA adapter made for this base",
    level: "allowed",
    why: "it is merged over the base",
  },
  "adapter-other-base": {
    aspect: "adapter",
    difference: "the adapter names another base model",
    level: "warning",
    why: "names are often local paths; shapes are checked when it is merged",
  },
  "adapter-kind": {
    aspect: "adapter",
    difference: "an adapter of another kind than LoRA",
    level: "refused",
    why: "only LoRA can be merged exactly",
  },
  "adapter-as-base": {
    aspect: "adapter",
    difference: "the base is an adapter",
    level: "refused",
    why: "there is nothing to merge it over",
  },
} as const satisfies Record<string, PairRule>;

export type PairRuleName = keyof typeof PAIR_RULES;
