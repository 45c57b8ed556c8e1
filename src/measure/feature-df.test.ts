import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { averageRanks, featureCsv, featureTable, writeFeatureDf } from "./feature-df.ts";
import { MADE_CATEGORIES, madeLatent, madeScaling } from "./latent-measure.test.helper.ts";
import type { LatentMeasure, LatentTwin } from "./measure-contract.ts";

/** Encoder rows by hand: cosines 0.6, −1, none, 1. */
const dictionary: Dictionary = {
  ...randomDictionary({ widths: [2, 2], nLatents: 4 }),
  encoderWeight: Float32Array.of(3, 4, 5, 0, 1, 2, -1, -2, 0, 0, 1, 1, 2, 0, 2, 0),
};

const ratios = (nuReconstruction: number, nuError: number) => madeScaling({ nuReconstruction, nuError });
const chatOnly = { latentClass: "finetuned-only" as const, deltaNorm: 0.875 };

const latents: LatentMeasure[] = [
  madeLatent(0, {
    ...chatOnly,
    decoderNormBase: 0.25,
    decoderNormFinetuned: 1,
    encoderNormBase: 1,
    encoderNormFinetuned: 2,
    scalingFinetuned: ratios(0.5, 0.25),
    // 10 of 40 template rows, 30 of 360 others: 25 % and 30/360
    frequencyBy: { ...madeLatent(0).frequencyBy, role: [0.05, Number.NaN, 0.1, 0.1, 0.25, Number.NaN] },
  }),
  madeLatent(1, { latentClass: "base-only", deltaNorm: 0, scalingFinetuned: ratios(0.1, 0.1) }),
  madeLatent(2, {
    ...chatOnly,
    frequency: 0,
    maxActivation: Number.NaN,
    scalingFinetuned: ratios(Number.NaN, Number.NaN),
    frequencyBy: { ...madeLatent(2).frequencyBy, role: [0, Number.NaN, 0, 0, 0, Number.NaN] },
  }),
  madeLatent(3, {
    ...chatOnly,
    latentClass: "finetuned-only",
    scalingFinetuned: { ...ratios(0.5, -0.05), nuActivation: Number.POSITIVE_INFINITY },
  }),
];

const twin: LatentTwin = {
  finetuned: 0,
  base: 1,
  cosine: 0.95,
  maxActivation: 3,
  divergencePaper: 0.25,
  divergenceCode: 0.5,
  byDataset: {
    prose: { paper: 0.25, code: 0.75, highRowsPaper: 4, highRowsCode: 4 },
    "chäts, all": { paper: null, code: null, highRowsPaper: 0, highRowsCode: 0 },
  },
  firedFinetuned: 9,
  firedBase: 9,
  firedBoth: 3,
  jaccard: 0.2,
  phi: 0.1,
};

const summary = {
  categories: MADE_CATEGORIES,
  rowsByCategory: {
    role: [120, 0, 140, 100, 40, 0],
    dataset: [],
    slot: [],
    positionDecile: [],
  },
  twins: [{ ...twin, base: 3, cosine: 0.91 }, twin],
};

const table = featureTable({ latents, summary, dictionary });
const column = (name: string) => table.rows.map((row) => row[table.columns.indexOf(name)]);

test("norm differences run the other way round than deltaNorm: 0 is the fine-tune's alone", () => {
  expect(column("dec_norm_diff")).toEqual([0.125, 1, 0.125, 0.125]);
  // encoder norms 1 and 2: deltaNorm ½·(1 + 1/2) = 0.75
  expect(column("enc_norm_diff")).toEqual([0.25, 0.5, 0.5, 0.5]);
  expect(column("tag")).toEqual(["Chat only", "Base only", "Chat only", "Chat only"]);
  expect(column("dec_base_norm")[0]).toBe(0.25);
  expect(column("dec_instruct_norm")[0]).toBe(1);
  expect(column("enc_cos_sim")).toEqual([0.6, -1, Number.NaN, 1]); // exact in f64
});

test("a latent that never fired is dead, without activation, ratios and template share", () => {
  expect(column("dead")).toEqual([false, false, true, false]);
  expect(column("freq")).toEqual(column("freq_val"));
  expect(column("max_act_val")[2]).toBeNaN();
  // 10 firings on template tokens, 0.05·120 + 0.1·140 + 0.1·100 = 30 elsewhere
  expect(column("lmsys_ctrl_%")[0]).toBeCloseTo(0.25, 12);
  expect(column("lmsys_ctrl_freq")[0]).toBe(0.25);
  expect(column("lmsys_ctrl_%")[2]).toBeNaN();
});

test("betas are those along the fine-tune's direction, ratios base over fine-tune", () => {
  expect(column("beta_error_base")[0]).toBe(0.5);
  expect(column("beta_error_chat")[0]).toBe(0.625);
  expect(column("beta_ratio_error")[0]).toBe(0.25);
  expect(column("beta_ratio_reconstruction")[0]).toBe(0.5);
  expect(column("beta_activation_chat")[0]).toBe(1.5);
  expect(column("beta_activation_ratio")[0]).toBe(1.25 / 1.5);
});

test("rank_sum ranks the fine-tune's own latents with ordinary ratios, equal values sharing a rank", () => {
  // latents 0 and 3: reconstruction 0.5 and 0.5 share rank 1.5; error 0.25 is second, −0.05 first
  expect(column("rank_sum")).toEqual([3.5, null, null, 2.5]);
  expect(averageRanks([3, 1, 3, 2, 3])).toEqual([4, 1, 4, 2, 4]);
  const outside = latents.map((latent) =>
    latent.latent === 0 ? { ...latent, scalingFinetuned: ratios(2.5, 0.25) } : latent,
  );
  const { columns, rows } = featureTable({ latents: outside, summary, dictionary });
  expect(rows.map((row) => row[columns.indexOf("rank_sum")])).toEqual([null, null, null, 2]);
});

test("a latent's twin is the nearest one, and twins name each other", () => {
  expect(column("twin_latent")).toEqual([1, 0, -1, 0]);
  expect(column("twin_div_val")).toEqual([0.5, 0.5, null, 0.5]);
  expect(column("twin_div_prose_val")).toEqual([0.75, 0.75, null, 0.75]);
  expect(column("twin_div_chäts, all_val")).toEqual([null, null, null, null]);
  const without = featureTable({ latents, summary: { ...summary, twins: [] }, dictionary });
  expect(without.columns.filter((name) => name.startsWith("twin"))).toEqual([]);
});

test("a store without template tokens gives no template columns", () => {
  const rowsByCategory = { ...summary.rowsByCategory, role: [120, 0, 140, 140, 0, 0] };
  const { columns } = featureTable({ latents, summary: { ...summary, rowsByCategory }, dictionary });
  expect(columns.filter((name) => name.includes("ctrl"))).toEqual([]);
});

test("the CSV is as pandas writes it: an unnamed index, empty cells for NaN, inf, True and False, quotes where needed", async () => {
  const csv = featureCsv({
    columns: ["a,b", 'say "it"', "c"],
    rows: [
      [Number.NaN, true, "Chat only"],
      [1e-7, false, "x,y"],
      [Number.NEGATIVE_INFINITY, null, Number.POSITIVE_INFINITY],
    ],
  });
  expect(csv).toBe(',"a,b","say ""it""",c\n0,,True,Chat only\n1,1e-7,False,"x,y"\n2,-inf,,inf\n');
  const folder = await mkdtemp(join(tmpdir(), "feature-df-"));
  try {
    const path = join(folder, "feature_df.csv");
    expect(await writeFeatureDf(path, { latents, summary, dictionary })).toEqual(table);
    const lines = (await readFile(path, "utf8")).split("\n");
    expect(lines).toHaveLength(latents.length + 2);
    expect(lines[0].startsWith(",tag,dec_norm_diff,")).toBe(true);
    expect(lines[1].startsWith("0,Chat only,0.125,0.25,1,0.75,0.25,1,2,0.6")).toBe(true);
    expect(lines[4]).toContain(",inf,");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
