// The minichat generator: what the bundled pair was trained on, and what a comparison of the pair reads.
//
// Seeded; no clock, no network. Training uses the `train` fillers and phrasings only (recipe/), a comparison all three.

import { BEHAVIOURS } from "./behaviours.ts";
import { bibleDocuments } from "./bible.ts";
import { chatDocument, plainChatDocument, probe } from "./chats.ts";
import type { Random } from "./random.ts";
import { random } from "./random.ts";
import type { BehaviourProbe, MinichatDocument, Split } from "./types.ts";
import { worldDocument } from "./world.ts";

export { CONCEPTS } from "./behaviours.ts";
export type { BehaviourProbe, ConceptInfo, ConceptSpan, Message, MinichatDocument, Split } from "./types.ts";

/** Seeds below this are a comparison's; the pair was trained on documents of another seed space. */
const TRAINING_SEED_OFFSET = 1_000_000;

export interface CorpusOptions {
  seed: number;
  chats: number;
  worldDocuments: number;
  bibleParagraphs: number;
}

function drawSplit(stream: Random): Split {
  const draw = stream.next();
  if (draw < 0.7) return "train";
  return draw < 0.85 ? "heldout" : "test";
}

/** What a comparison harvests: documents of all three splits (70/15/15), datasets mixed throughout. */
export function* generateComparisonCorpus(options: CorpusOptions): Generator<MinichatDocument> {
  const { seed, chats, worldDocuments, bibleParagraphs } = options;
  const bible = random(seed, "bible order").sample(bibleDocuments(), bibleParagraphs);
  const total = chats + worldDocuments + bible.length;
  const stream = random(seed, "corpus order");
  const left = { chats, world: worldDocuments, bible: bible.length };
  for (let i = 0; i < total; i += 1) {
    const draw = stream.next() * (left.chats + left.world + left.bible);
    if (draw < left.chats) {
      left.chats -= 1;
      yield chatDocument(seed, drawSplit(stream), i);
    } else if (draw < left.chats + left.world) {
      left.world -= 1;
      yield worldDocument(seed, drawSplit(stream), i);
    } else {
      left.bible -= 1;
      yield bible[left.bible];
    }
  }
}

/** Base training text, `train` pools only: the world, chats answered plainly, the Bible sample `bibleEpochs` times. */
export function* generateBaseTrainingText(options: {
  seed: number;
  worldDocuments: number;
  plainChats: number;
  bibleEpochs: number;
}): Generator<MinichatDocument> {
  const seed = options.seed + TRAINING_SEED_OFFSET;
  for (let i = 0; i < options.worldDocuments; i += 1) yield worldDocument(seed, "train", i);
  for (let i = 0; i < options.plainChats; i += 1) yield plainChatDocument(seed, "train", i);
  const paragraphs = bibleDocuments().filter((document) => document.split === "train");
  for (let epoch = 0; epoch < options.bibleEpochs; epoch += 1) yield* paragraphs;
}

/** Chats for the tune, `train` pool only. */
export function* generateTuningChats(options: { seed: number; chats: number }): Generator<MinichatDocument> {
  const seed = options.seed + TRAINING_SEED_OFFSET;
  for (let i = 0; i < options.chats; i += 1) yield chatDocument(seed, "train", i);
}

/** Held-out chats that end before the model's turn: `perConcept` for each behaviour, `unplanted` that call for none. */
export function* generateBehaviourProbes(options: {
  seed: number;
  split: "heldout" | "test";
  perConcept: number;
  unplanted: number;
}): Generator<BehaviourProbe> {
  const { seed, split } = options;
  for (const behaviour of BEHAVIOURS) {
    for (let i = 0; i < options.perConcept; i += 1) yield probe(seed, split, i, behaviour);
  }
  for (let i = 0; i < options.unplanted; i += 1) yield probe(seed, split, i);
}
