// The sweep against each model run whole, one text at a time; which rows are counted, and once only.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareRowReference } from "../harvest/next-token-reference.ts";
import { rightPad } from "../lm/batch.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { createFullModel } from "../lm/runner.ts";
import { TINY_CONFIG, tinyWeights, worstRowError, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import { ROLES } from "../store/rows.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { DifferenceRows } from "./difference-sums.ts";
import { type GlanceText, markRepeated } from "./glance-texts.ts";
import type { PredictedText } from "./kl-peaks.ts";
import type { PredictedRows } from "./logit-mining.ts";
import { sweep } from "./sweep.ts";

const folders: string[] = [];
const checkpoints = {} as Record<ModelSide, Checkpoint>;
beforeAll(async () => {
  for (const [i, side] of (["base", "finetuned"] as const).entries()) {
    // The fine-tune has three ids more, which the comparison leaves out.
    const config = { ...TINY_CONFIG, hidden_size: 16, vocab_size: 60 + 3 * i };
    folders.push(await writeTinyLlama(config, tinyWeights(config, 1 + i)));
    checkpoints[side] = await openCheckpoint(folders[i]);
  }
});
afterAll(async () => {
  for (const checkpoint of Object.values(checkpoints)) await checkpoint.close();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

function makeTexts(): GlanceText[] {
  const rng = createRng(5, "sweep");
  return Array.from({ length: 7 }, (_, d) => {
    const length = 3 + (rng.uint32(0, d) % 20);
    const finetuned = Uint32Array.from({ length }, (_, i) => (i < 2 ? 1 : rng.uint32(d + 1, i) % 60));
    // The base reads 5 where the text has 9.
    const base = finetuned.map((id) => (id === 9 ? 5 : id));
    const role = new Uint8Array(length).fill(ROLES.indexOf("text"));
    role[0] = ROLES.indexOf("bos");
    return {
      ...{ id: `t${d}`, dataset: "d", tokens: { base, finetuned }, role },
      ...{ nSkipped: d === 2 ? 2 : 0, isUnrelated: d % 2 === 0 },
    };
  });
}

async function runSweep(texts: GlanceText[], layers: Record<ModelSide, number>) {
  const seen = { rows: [] as DifferenceRows[], logits: [] as PredictedRows[], texts: [] as PredictedText[] };
  const site = (model: ModelSide) => ({ name: model, model, layer: layers[model], width: 16 });
  await sweep({
    pair: { checkpoints, sites: [site("base"), site("finetuned")] },
    texts,
    common: { vocabulary: { base: 60, finetuned: 63 } },
    threads: 1,
    onResiduals: async (rows) => {
      seen.rows.push(rows);
    },
    onLogits: (rows) => {
      seen.logits.push({ ...rows, tokens: rows.tokens.slice() });
    },
    onText: (one) => {
      seen.texts.push({
        ...one,
        columns: { ...one.columns, klFinetunedBase: one.columns.klFinetunedBase.slice() },
      });
    },
  });
  return seen;
}

test.each([
  ["a middle layer", { base: 1, finetuned: 0 }],
  ["the last layer", { base: 2, finetuned: 2 }],
])("residuals and KL are those of whole forwards, a text at a time: %s", async (_, layers) => {
  const texts = makeTexts();
  const seen = await runSweep(texts, layers);
  expect(seen.texts.map(({ text }) => text.id).sort()).toEqual(texts.map(({ id }) => id));
  const models = {
    base: await createFullModel(checkpoints.base, { layers: [layers.base], threads: 1 }),
    finetuned: await createFullModel(checkpoints.finetuned, { layers: [layers.finetuned], threads: 1 }),
  };
  const common = Array.from({ length: 60 }, (_, id) => id);
  try {
    const [rows] = seen.rows;
    for (const [d, text] of texts.entries()) {
      const base = await models.base.run(rightPad([text.tokens.base]));
      const finetuned = await models.finetuned.run(rightPad([text.tokens.finetuned]));
      const own = Array.from(rows.document.keys()).filter((row) => rows.document[row] === d);
      expect(own.map((row) => rows.position[row])).toEqual(Array.from(text.role.keys()).slice(text.nSkipped));
      expect(own.map((row) => rows.isBos[row])).toEqual(own.map((row) => (rows.position[row] === 0 ? 1 : 0)));
      expect(own.every((row) => (rows.isUnrelated[row] === 1) === text.isUnrelated)).toBe(true);
      for (const [name, whole] of [
        ["hBase", base],
        ["hFinetuned", finetuned],
      ] as const) {
        const got = own.flatMap((row) => [...rows[name].subarray(row * 16, (row + 1) * 16)]);
        // f32 sums of some hundred terms in another order.
        expect(worstRowError(got, whole.residuals[0].subarray(text.nSkipped * 16), 16)).toBeLessThan(1e-5);
      }
      const { columns } = seen.texts.find((one) => one.text === text)!;
      for (const [i, kl] of columns.klFinetunedBase.entries()) {
        const at = text.nSkipped + i;
        const expected = compareRowReference(
          {
            base: [...base.logits.subarray(at * 60, (at + 1) * 60)],
            finetuned: [...finetuned.logits.subarray(at * 63, (at + 1) * 63)],
          },
          common,
        ).klFinetunedBase;
        expect(expected).toBeGreaterThan(1e-3);
        expect(Math.abs(kl - expected) / expected).toBeLessThan(1e-3); // f32 logits of about 5, KL of about 1
      }
    }
  } finally {
    await models.base.dispose();
    await models.finetuned.dispose();
  }
});

test("of texts that begin alike the shared beginning is counted once", async () => {
  const texts = makeTexts().slice(3, 6);
  expect(markRepeated(texts).map((marks) => [...marks.slice(0, 3)])).toEqual([
    [0, 0, 0],
    [1, 1, 0],
    [1, 1, 0],
  ]);
  const { logits } = await runSweep(texts, { base: 1, finetuned: 1 });
  const marks = logits.flatMap(({ isRepeated }) => [...isRepeated]);
  expect(marks).toHaveLength(texts.reduce((sum, { role }) => sum + role.length, 0));
  expect(marks.filter((mark) => mark === 1)).toHaveLength(4);
});

test("an aborted signal stops it before the first batch", async () => {
  const site = (model: ModelSide) => ({ name: model, model, layer: 1, width: 16 });
  const stopped = sweep({
    pair: { checkpoints, sites: [site("base"), site("finetuned")] },
    texts: makeTexts(),
    common: { vocabulary: { base: 60, finetuned: 63 } },
    threads: 1,
    onResiduals: () => Promise.reject(new Error("must not run")),
    onLogits: () => undefined,
    onText: () => undefined,
    signal: AbortSignal.abort(),
  });
  await expect(stopped).rejects.toMatchObject({ exitCode: 130 });
});
