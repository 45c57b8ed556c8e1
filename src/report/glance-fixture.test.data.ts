// A made-up glance for the report's tests, of no model; some of its tokens are hostile on purpose.

import type { Glance, PeakText, ReadDirection, ReadToken } from "../glance/glance-contract.ts";
import type { PlantedInPeaks } from "./glance-of-study.ts";
import { HOSTILE } from "./hostile.test.data.ts";

const WORDS = [" I", " am", " sorry", ",", " but", " the", " mill", " is", " closed", "<end_of_turn>", "\n"];
const N_PEAKS = 12;

export const MADE_PLANTED: PlantedInPeaks = {
  ...{ peaks: N_PEAKS, known: 11, withAny: 7 },
  ofStore: { documents: 1000, withAny: 120 },
  concepts: [
    { concept: "refuse-brew", documents: 5 },
    { concept: "units", documents: 2 },
  ],
};

export function madeGlance({ hostile = true }: { hostile?: boolean } = {}): Glance {
  const odd = Object.values(HOSTILE);
  const word = (i: number): string =>
    hostile && i % 6 === 5 ? odd[i % odd.length] : WORDS[i % WORDS.length];
  const tokens = (from: number, n: number): ReadToken[] =>
    Array.from({ length: n }, (_, i) => ({ token: word(from + i), tokenId: from + i, score: 2 - 0.1 * i }));
  const directions = (from: number): ReadDirection[] =>
    (["base", "finetuned"] as const).map((model, i) => ({
      ...{ model, by: "logit lens" },
      promoted: tokens(from + 7 * i, 10),
      suppressed: tokens(from + 7 * i + 3, 10),
    }));
  const peak = (i: number): PeakText => ({
    document: `chat-${i}`,
    dataset: i % 2 === 0 ? "chats" : "world",
    tokens: Array.from({ length: 16 }, (_, at) => word(i + at)),
    kl: Array.from({ length: 16 }, (_, at) => (12 - i) * Math.exp(-Math.abs(at - 11))),
    peak: 11,
    nextBase: [
      { token: word(i), probability: 0.6 },
      { token: ".", probability: 0.3 },
    ],
    nextFinetuned: [{ token: word(i + 5), probability: 0.9 }],
  });
  const strong = (i: number, sign: 1 | -1) => ({
    document: `chat-${i}`,
    tokens: Array.from({ length: 12 }, (_, at) => word(i + at)),
    values: Array.from({ length: 12 }, (_, at) => sign * 20 * Math.exp(-Math.abs(at - 6))),
    peak: 6,
  });
  const overall = { texts: 96, relativeNorm: 0.2, consistency: 0.44, read: directions(2) };
  const mined = (direction: 1 | -1) =>
    tokens(40, 6).map(({ token, tokenId }, i) => ({
      ...{ token, tokenId, count: 400 - i, share: 0.04, controlShare: 0.02, occurrences: i === 0 ? 0 : 31 },
      ...{ fractionPositive: direction === 1 ? 0.9 : 0.1, meanDifference: 0.6 * direction },
    }));
  return {
    ...{ schemaVersion: 1, tunediff: "0.1.0", seconds: 13.2 },
    ...{ base: "/models/minichat/base", finetuned: "/models/minichat/finetuned" },
    layer: { base: 3, finetuned: 3 },
    text: {
      source: "file",
      description: "chats.jsonl, 200 documents drawn of 9,214",
      documents: 200,
      tokens: 13_642,
    },
    kl: {
      ...{ tokens: 13_642, mean: 0.63, shareOfTopPercent: 0.2 },
      quantiles: { p50: 0.029, p90: 1.05, p99: 11, max: 16.9 },
      byRole: [
        { role: "assistant", tokens: 1887, mean: 2.5 },
        { role: "user", tokens: 1010, mean: 0.3 },
      ],
      byDataset: [
        { dataset: "a data set with a name that no chart has room for", tokens: 3564, mean: 1.4 },
        { dataset: hostile ? HOSTILE.script : "world", tokens: 9000, mean: 0.2 },
      ],
      byPosition: Array.from({ length: 32 }, (_, i) => 0.2 + 1 / (i + 1)),
      peaks: Array.from({ length: N_PEAKS }, (_, i) => peak(i)),
    },
    lens: {
      ...{ texts: 96, layer: 3, mainPosition: 2, overall },
      positions: Array.from({ length: 4 }, (_, position) => ({
        ...overall,
        ...{
          position,
          relativeNorm: position === 0 ? null : 0.28,
          read: position === 0 ? [] : directions(position),
        },
      })),
      steering: ([1, -1] as const).map((sign) => ({
        ...{
          model: sign === 1 ? ("base" as const) : ("finetuned" as const),
          strength: 2.5,
          sign,
          position: 2,
        },
        prompt: "Tell me something.",
        steered: hostile ? `I am ${HOSTILE.script} ${HOSTILE.override}` : "I am sorry.",
        unsteered: "The mill is closed.",
        degenerate: sign === 1 ? "" : "repeats itself",
      })),
      leftOut: ['Patchscope was left out: the fine-tune does not repeat "hello" in its prompt.'],
    },
    pca: {
      ...{ rows: 13_418, changeRatio: 0.39, meanShare: 0.035 },
      components: [0.12, 0.04].map((share, i) => ({
        ...{ share, read: directions(20 + i) },
        highest: [strong(1, 1), strong(2, 1)],
        lowest: [strong(3, -1)],
      })),
    },
    mining: { positions: 13_642, topK: 100, risen: mined(1), fallen: mined(-1) },
    findings: [
      "The fine-tune's predictions differ from the base's by 0.63 nats a token in the mean.",
      `Whatever the text, the fine-tune expects these more: ${hostile ? HOSTILE.quote : "sorry"}.`,
    ],
    warnings: hostile ? [`12 documents of ${HOSTILE.override} were cut`] : [],
  };
}

/** Of a model against itself. */
export function sameGlance(): Glance {
  const glance = madeGlance({ hostile: false });
  const zero = { p50: 0, p90: 0, p99: 0, max: 0 };
  return {
    ...glance,
    kl: { ...glance.kl, mean: 0, quantiles: zero, shareOfTopPercent: 0, peaks: [], byPosition: [] },
    lens: { ...glance.lens, positions: [], mainPosition: null, steering: [], leftOut: [] },
    pca: { rows: 0, changeRatio: 0, meanShare: 0, components: [] },
    mining: { ...glance.mining, risen: [], fallen: [] },
    ...{ findings: [], warnings: [] },
  };
}
