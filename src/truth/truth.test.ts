import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { FormatError, InterruptedError, MismatchError } from "../errors.ts";
import type { LatentMeasure, LatentScaling } from "../measure/measure-contract.ts";
import {
  createMemoryStore,
  type MemoryDocument,
  type MemoryToken,
  pairSites,
} from "../measure/memory-store.test.helper.ts";
import { createRng } from "../numerics/rng.ts";
import type { ConceptSpan, Split } from "../store/rows.ts";
import { readTruth, scoreTruth, type TruthOptions, writeTruth } from "./truth.ts";
import type { TruthScore } from "./truth-contract.ts";

/**
 * Latent j fires where coordinate j of the fine-tune's residual is 1. What each one does is decided here:
 *   0  on every response token of concept "yes", nowhere else                          claim, right
 *   1  on responses of "fickle" in heldout, on responses of "none" documents in test    claim, fails on test
 *   2  on every response token of "shared"                                              no claim
 *   3  on every template token                                                          claim, template
 *   4  on plain prose                                                                   claim, answers to nothing
 */
const CONCEPTS = ["fickle", "yes", "shared"];
const CLAIMED = [0, 1, 3, 4];
const N_LATENTS = 5;
const D_MODEL = N_LATENTS;

function chatDocument(index: number, split: Split): MemoryDocument {
  const concept = [...CONCEPTS, "none"][index % 4];
  const rng = createRng(11, `noise.${split}`);
  const tokens: MemoryToken[] = [];
  const fires = (latents: number[]): number[] => {
    const row = Array.from(
      { length: 2 * D_MODEL },
      (_, c) => 0.1 * rng.normal(index, tokens.length * 16 + c),
    );
    for (const j of latents) row[D_MODEL + j] = 1 + 0.1 * rng.uniform(index, tokens.length * 16 + 15);
    return row;
  };
  const add = (token: Omit<MemoryToken, "activation">, latents: number[]): void => {
    const at = tokens.length;
    tokens.push({ charStart: at, charEnd: at + 1, ...token, activation: fires(latents) });
  };
  const template = (turn: number, slot: string): void => add({ role: "template", turn, slot }, [3]);
  const responseLatents = (): number[] => {
    if (concept === "yes") return [0];
    if (concept === "shared") return [2];
    const fickleOn = split === "test" ? "none" : "fickle";
    return concept === fickleOn ? [1] : [];
  };
  add({ role: "bos" }, []);
  template(0, "user-open-0");
  for (let i = 0; i < 3; i += 1) add({ role: "user", turn: 0 }, []);
  template(0, "user-close-0");
  template(1, "assistant-open-0");
  for (let i = 0; i < 4; i += 1) add({ role: "assistant", turn: 1 }, responseLatents());
  template(1, "assistant-close-0");
  const spans: ConceptSpan[] =
    concept === "none"
      ? []
      : [
          { concept, kind: "trigger", turn: 0, start: 1, end: 2 },
          { concept, kind: "decision", turn: 1 },
          { concept, kind: "response", turn: 1, start: 0, end: 4 },
        ];
  return {
    split,
    tokens,
    spans,
    text: ".".repeat(tokens.length),
    turns: [
      { role: "user", start: 2, end: 5 },
      { role: "assistant", start: 7, end: 11 },
    ],
  };
}

function proseDocument(split: Split): MemoryDocument {
  const activation = new Array<number>(2 * D_MODEL).fill(0);
  activation[D_MODEL + 4] = 1;
  return { split, tokens: Array.from({ length: 5 }, () => ({ role: "text" as const, activation })) };
}

const dictionary: Dictionary = {
  sites: pairSites(D_MODEL),
  nLatents: N_LATENTS,
  width: 2 * D_MODEL,
  encoderWeight: Float32Array.from({ length: N_LATENTS * 2 * D_MODEL }, (_, i) =>
    i % (2 * D_MODEL) === D_MODEL + Math.floor(i / (2 * D_MODEL)) ? 1 : 0,
  ),
  encoderBias: new Float32Array(N_LATENTS),
  decoderWeight: Float32Array.from({ length: N_LATENTS * 2 * D_MODEL }, (_, i) =>
    i % (2 * D_MODEL) === D_MODEL + Math.floor(i / (2 * D_MODEL)) ? 1 : 0,
  ),
  decoderBias: new Float32Array(2 * D_MODEL),
  k: 1,
  inferenceThreshold: 0.8,
  normaliser: undefined,
};

const scaling = { nuReconstruction: 0.3, nuError: 0.1 } as LatentScaling;
const latents = Array.from(
  { length: N_LATENTS },
  (_, latent) =>
    ({
      latent,
      deltaNorm: 1 - latent / 100,
      scalingFinetuned: scaling,
      claim: CLAIMED.includes(latent) ? "finetuned-specific" : "none",
    }) as LatentMeasure,
);

const documents = (["train", "heldout", "test"] as const).flatMap((split) => [
  ...Array.from({ length: 80 }, (_, index) => chatDocument(index, split)),
  ...Array.from({ length: 10 }, () => proseDocument(split)),
]);
const store = createMemoryStore(dictionary.sites, documents);

const options = (overrides: Partial<TruthOptions> = {}): TruthOptions => ({
  store,
  dictionary,
  latents,
  conceptNames: CONCEPTS,
  seed: 1,
  encoder: {
    maxRows: 100,
    encode: async (x, nRows) => encodeReference(dictionary, x, nRows),
    dispose: async () => {},
  },
  ...overrides,
});

let score: TruthScore;
beforeAll(async () => {
  score = await scoreTruth(options());
});

describe("a comparison whose answer is known", () => {
  test("the concept with a specific, predictive latent is found, at turn and token level", () => {
    expect(score.concepts[1]).toMatchObject({
      name: "yes",
      latent: 0,
      turnF1: 1,
      turnAuroc: 1,
      deltaNorm: 1,
      nuReconstruction: 0.3,
      nuError: 0.1,
      found: true,
    });
    // it fires on the 4 response tokens; decision (user-close, assistant-open) and closing are 3 more: F1 = 8/11
    expect(score.concepts[1].tokenF1).toBeCloseTo(8 / 11, 12);
  });

  test("a latent that was right on heldout and is wrong on test does not count", () => {
    expect(score.concepts[0]).toMatchObject({ latent: 1, turnF1: 0, found: false });
    expect(score.concepts[0].turnAuroc).toBeLessThan(0.5);
  });

  test("a concept that only an unclaimed latent predicts is not found, but counts when specificity is not asked for", () => {
    expect(score.concepts[2]).toMatchObject({ found: false, anyLatent: 2, anyLatentTurnF1: 1 });
    expect(score.concepts[2].latent).not.toBe(2);
    expect(score.recallAnyLatent).toBeCloseTo(2 / 3, 12);
  });

  test("recall at every bar and the counts follow", () => {
    expect(score).toMatchObject({ conceptsPlanted: 3, conceptsFound: 1 });
    for (const recall of [score.recall, score.recallAt06, score.recallAt08]) {
      expect(recall).toBeCloseTo(1 / 3, 12);
    }
  });

  test("precision counts claims by where their mass lies, and claims that answer to nothing stay listed", () => {
    expect(score.claims.map((claim) => claim.latent)).toEqual(CLAIMED);
    const [yes, fickle, template, prose] = score.claims;
    expect(yes).toMatchObject({ concept: "yes", conceptShare: 1, answersToConcept: true, isTemplate: false });
    // half of its firing turns (the heldout ones) lie in "fickle"; activations differ by up to a tenth
    expect(fickle.conceptShare).toBeGreaterThan(0.4);
    expect(fickle.conceptShare).toBeLessThan(0.6);
    // 3 of the 4 template tokens of a quarter of the chats lie in any one concept
    expect(template).toMatchObject({ templateShare: 1, isTemplate: true, answersToConcept: false });
    expect(template.conceptShare).toBeCloseTo(3 / 16, 1);
    expect(prose).toMatchObject({ concept: "", conceptShare: 0, answersToConcept: false, isTemplate: false });
    const right = 1 + (fickle.answersToConcept ? 1 : 0);
    expect(score.precision).toBeCloseTo(right / 3, 12);
    expect(score.precisionWithTemplate).toBeCloseTo((right + 1) / 4, 12);
  });

  test("labels permuted across documents find nothing", () => {
    expect(score.permutedRecall).toBe(0);
  });

  test("a probe reads the concept where it is linearly there and not where it is noise", () => {
    expect(score.concepts[1].probeFinetuned).toBeGreaterThan(0.99);
    // base residuals are noise: 20 against 60 test turns, standard error of an AUROC about 0.08
    expect(Math.abs(score.concepts[1].probeBase - 0.5)).toBeLessThan(0.25);
  });

  test("the score is a function of its inputs, batches aside", async () => {
    const encoder = {
      maxRows: 7,
      encode: async (x: Float32Array, nRows: number) => encodeReference(dictionary, x, nRows),
      dispose: async () => {},
    };
    expect(await scoreTruth(options({ encoder }))).toEqual(score);
  });

  test("without any claim nothing is found and no precision is claimed", async () => {
    const unclaimed = latents.map((latent) => ({ ...latent, claim: "none" as const }));
    const none = await scoreTruth(options({ latents: unclaimed }));
    expect(none).toMatchObject({
      conceptsFound: 0,
      recall: 0,
      precision: 0,
      precisionWithTemplate: 0,
      claims: [],
    });
    expect(none.concepts[1]).toMatchObject({ latent: -1, turnF1: 0, tokenF1: 0, found: false, anyLatent: 0 });
    expect(none.concepts[1].deltaNorm).toBeNaN();
    expect(none.recallAnyLatent).toBe(score.recallAnyLatent);
  });
});

describe("truth.json", () => {
  test("holds what was written, and says when there is none or it is broken", async () => {
    const folder = await mkdtemp(join(tmpdir(), "truth-"));
    try {
      expect(await readTruth(folder)).toBeUndefined();
      const unscored = { ...score.concepts[1], latent: -1, deltaNorm: Number.NaN };
      const written = { ...score, concepts: [...score.concepts, unscored] };
      await writeTruth(folder, written);
      expect(await readTruth(folder)).toEqual(written);
      const path = join(folder, "truth.json");
      expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ schemaVersion: 1, conceptsFound: 1 });
      for (const broken of ["{", '{"schemaVersion": 2}']) {
        await writeFile(path, broken);
        await expect(readTruth(folder)).rejects.toThrow(FormatError);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe("bad input", () => {
  test("a table of another dictionary, no concepts, and no chats in a split are refused", async () => {
    await expect(scoreTruth(options({ latents: latents.slice(1) }))).rejects.toThrow(MismatchError);
    await expect(scoreTruth(options({ conceptNames: [] }))).rejects.toThrow(/0 concepts/);
    const onlyHeldout = createMemoryStore(
      dictionary.sites,
      documents.filter((document) => document.split !== "test"),
    );
    await expect(scoreTruth(options({ store: onlyHeldout }))).rejects.toThrow(/no turn in test/);
  });

  test("an aborted signal interrupts", async () => {
    const controller = new AbortController();
    controller.abort();
    await expect(scoreTruth(options({ signal: controller.signal }))).rejects.toThrow(InterruptedError);
  });
});
