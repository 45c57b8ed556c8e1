// A glance with every part filled in, for the tests of the file, the sentences and the command line.

import { GLANCE_SCHEMA, type Glance, type ReadDirection } from "./glance-contract.ts";

const read: ReadDirection[] = (["base", "finetuned"] as const).map((model) => ({
  ...{ model, by: "logit lens" },
  promoted: [{ token: " cake", tokenId: 7, score: 1.5 }],
  suppressed: [{ token: " boat", tokenId: 8, score: 1.25 }],
}));

export function sampleGlance(): Glance {
  const shown = { document: "chat-1", tokens: ["a", "b"], values: [0.5, 2], peak: 1 };
  const mined = {
    count: 40,
    share: 0.4,
    controlShare: 0.25,
    fractionPositive: 0.9,
    meanDifference: 2,
    occurrences: 3,
  };
  return {
    ...{ schemaVersion: GLANCE_SCHEMA, tunediff: "0.0.0", base: "/base", finetuned: "/finetuned" },
    layer: { base: 2, finetuned: 2 },
    text: {
      source: "written by the models",
      description: "written by the models",
      documents: 3,
      tokens: 100,
    },
    seconds: 4,
    kl: {
      ...{ tokens: 100, mean: 0.5, quantiles: { p50: 0.03, p90: 1, p99: 8, max: 9 }, shareOfTopPercent: 0.2 },
      byRole: [
        { role: "bos", tokens: 30, mean: 7 },
        { role: "assistant", tokens: 60, mean: 2 },
        { role: "text", tokens: 40, mean: 0.25 },
      ],
      byDataset: [{ dataset: "one", tokens: 100, mean: 0.5 }],
      byPosition: [0, 0.5],
      peaks: [
        {
          ...{ document: "chat-1", dataset: "one", tokens: ["Bake", " a"], kl: [0.5, 9], peak: 1 },
          nextBase: [{ token: " boat", probability: 0.6 }],
          nextFinetuned: [{ token: " cake", probability: 0.97 }],
        },
      ],
    },
    lens: {
      ...{ texts: 3, layer: 2, mainPosition: 1, leftOut: [] },
      positions: [{ position: 1, texts: 3, relativeNorm: 0.28, consistency: 0.5, read }],
      overall: { texts: 9, relativeNorm: 0.2, consistency: 0.4, read },
      steering: [
        {
          ...{ model: "base", strength: 2, sign: 1, position: 1, prompt: "Tell me something." },
          ...{ steered: "A cake.", unsteered: "A boat.", degenerate: "" },
        },
      ],
    },
    pca: {
      ...{ rows: 97, changeRatio: 0.4, meanShare: 0.1 },
      components: [{ share: 0.3, read, highest: [shown], lowest: [shown] }],
    },
    mining: {
      ...{ positions: 100, topK: 10 },
      risen: [{ token: " cake", tokenId: 7, ...mined }],
      fallen: [{ token: " boat", tokenId: 8, ...mined }],
    },
    findings: ["The fine-tune bakes."],
    warnings: [],
  };
}
