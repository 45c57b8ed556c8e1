// The labs' routes over a tiny study: refusals before any model, and one process with real models, asked, left and let go.

import { cp, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LabStudy, makeLabStudy } from "../../../test/lab-study.ts";
import { readMeasure } from "../../measure/measure.ts";
import { dictionarySha256, measurePaths } from "../../measure/measure-files.ts";
import { writeStudyConfig } from "../../study/config.ts";
import {
  API_LIMITS,
  type ApiError,
  type LabState,
  type PromptEvent,
  type PromptRequest,
  type SteerEvent,
  type SteerRequest,
} from "../api-contract.ts";
import { createDashboardApp } from "../app.ts";
import { createLabJobs } from "../labs/lab-jobs.ts";
import { createLabModels } from "../labs/lab-models.ts";
import { startLabProcess } from "../labs/lab-process.ts";
import type { LabMessage } from "../labs/lab-protocol.ts";
import { createLabs, type Labs } from "../labs/labs.ts";
import { createLaunchToken } from "../launch-token.ts";
import { openNotes } from "../notes.ts";
import { openStudySource } from "../study-source.ts";

let study: LabStudy;
/** A latent that fires. */
let loud = 0;
const closing: (() => Promise<void> | void)[] = [];
beforeAll(async () => {
  study = await makeLabStudy();
  const { latents } = await readMeasure(study.dictionaryFolder);
  loud = latents.findIndex(({ maxCode }) => maxCode > 0);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await study?.remove();
});

/** The models on this thread: what the process does, without its start. */
function labsHere(): Labs {
  const models = createLabModels();
  const labs = createLabs({
    start: ({ onMessage }) => {
      const take = createLabJobs((message: LabMessage) => onMessage(structuredClone(message)), models);
      return { send: (order) => void take(order), end: () => models.release() };
    },
  });
  closing.push(() => labs.close());
  return labs;
}

function appOver(folder: string, labModels: Labs | undefined, isOn = true) {
  const source = openStudySource([folder]);
  const notes = openNotes(folder);
  closing.push(
    () => source.close(),
    () => notes.close(),
  );
  const app = createDashboardApp({
    ...{ source, notesOf: () => notes, security: createLaunchToken({ port: 1 }), labModels },
    ...(isOn && { labs: { state: "made" as const, value: { threads: 1 } } }),
  });
  const ask = (path: string, body?: unknown, signal?: AbortSignal) =>
    app.request(`/api/studies/0/main/labs${path}`, {
      ...{ method: body === undefined ? "GET" : "POST", signal: signal ?? null },
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return { ask, notes };
}

const READ: PromptRequest = {
  prompt: { messages: [{ role: "user", content: "her user is us" }] },
  ...{ answer: "none", maxNewTokens: 8, latents: [] },
};
const steerRequest = (latent: number): SteerRequest => ({
  ...{ latents: [{ latent, factor: 1 }], unit: "activation", positions: "all", temperature: 0, seeds: [0] },
  ...{ prompts: [READ.prompt, { text: "hush" }], maxNewTokens: 6, models: "both" },
});

async function eventsOf<T>(response: Response): Promise<T[]> {
  expect([response.status, response.headers.get("content-type")]).toEqual([
    ...[200, "text/event-stream; charset=utf-8"],
  ]);
  const text = await response.text();
  return [...text.matchAll(/^data: (.*)$/gm)].map((match) => JSON.parse(match[1]) as T);
}

async function readingOf(response: Response) {
  const last = (await eventsOf<PromptEvent>(response)).at(-1);
  if (last?.kind !== "reading") throw new Error(`expected a reading, got ${JSON.stringify(last)}`);
  return last.reading;
}

test("a reading carries what the tables and people say of its latents; steering ends with its answers", async () => {
  const { ask, notes } = appOver(study.folder, labsHere());
  const first = await readingOf(await ask("/prompt", READ));
  expect(first.latents.length).toBe(first.nFiring);
  const [{ latent, max, maxMeasured, deltaNorm, activations, promoted }] = first.latents;
  expect([Math.max(...activations), activations.length, promoted.length]).toEqual([
    max,
    first.tokens.length,
    5,
  ]);
  expect([deltaNorm > 0 && deltaNorm < 1, maxMeasured > 0]).toEqual([true, true]);
  notes.put(await dictionarySha256(study.dictionaryFolder), latent, { label: "mine" });
  const silent = Array.from({ length: 24 }, (_, i) => i).find(
    (one) => !first.latents.some((found) => found.latent === one),
  )!;
  const second = await readingOf(await ask("/prompt", { ...READ, answer: "finetuned", latents: [silent] }));
  expect(second.latents.find((one) => one.latent === latent)?.label).toBe("mine");
  expect(second.latents.map((one) => one.latent)).toContain(silent);
  expect(second.isAnswer).toContain(1);

  const events = await eventsOf<SteerEvent>(await ask("/steer", steerRequest(latent)));
  const answers = events.flatMap((event) => (event.kind === "answer" ? [event] : []));
  expect(answers).toHaveLength(8);
  for (const { arm, prompt, text } of answers) {
    const pieces = events.flatMap((event) =>
      event.kind === "token" && event.arm === arm && event.prompt === prompt ? [event.text] : [],
    );
    expect(pieces.join("")).toBe(text);
  }
  expect(events.at(-1)).toEqual({ kind: "done", warnings: [] });
  // The base's answers come before the fine-tune writes its first token.
  const firstOfFinetuned = events.findIndex((event) => event.kind === "token" && event.arm === "finetuned");
  const answersBefore = events.slice(0, firstOfFinetuned).filter(({ kind }) => kind === "answer");
  expect(answersBefore).toHaveLength(4);
  expect(await (await ask("")).json()).toEqual({
    ...{ models: "open", waiting: 0, contextTokens: 512, hasChatTemplate: true },
  } satisfies LabState);
}, 60_000);

test("what only the models can refuse is the stream's failed event, in words without a path", async () => {
  const { ask } = appOver(study.folder, labsHere());
  const long = { ...READ, answer: "base", prompt: { text: "x".repeat(600) } };
  const response = await ask("/prompt", long);
  const text = await response.text();
  expect(text).toContain("event: failed\ndata: ");
  expect(text).toContain("the prompt: expected at most 511 tokens");
  expect(text).not.toContain(study.root);
  const answered = { role: "assistant" as const, content: "yes" };
  const ended = { ...READ, answer: "base", prompt: { messages: [answered] } };
  expect(await (await ask("/prompt", ended)).text()).toContain("the assistant's own");
});

test("switched off, every route says so; without labs' models likewise", async () => {
  const off = appOver(study.folder, labsHere(), false);
  const none = appOver(study.folder, undefined);
  for (const { ask } of [off, none]) {
    for (const response of [
      await ask(""),
      await ask("/prompt", READ),
      await ask("/steer", steerRequest(0)),
    ]) {
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({ hint: expect.stringContaining("tunediff serve") });
    }
  }
});

test("what is missing, of another type, too long or not there is refused before any model is opened", async () => {
  const labs = labsHere();
  const { ask } = appOver(study.folder, labs);
  const long = "x".repeat(API_LIMITS.prompt + 1);
  const { prompt } = READ;
  const steer = steerRequest(loud);
  const bad: [string, object][] = [
    ["/prompt", {}],
    ["/prompt", { ...READ, more: 1 }],
    ["/prompt", { ...READ, prompt: { text: long } }],
    ["/prompt", { ...READ, prompt: { text: "a", messages: [] } }],
    ["/prompt", { ...READ, prompt: { messages: [] } }],
    ["/prompt", { ...READ, prompt: { messages: [{ role: "tool", content: "a" }] } }],
    [
      "/prompt",
      { ...READ, prompt: { messages: [1, 2].map(() => ({ role: "user", content: long.slice(9) })) } },
    ],
    ["/prompt", { ...READ, answer: "both" }],
    ["/prompt", { ...READ, maxNewTokens: API_LIMITS.labTokens + 1 }],
    ["/prompt", { ...READ, latents: [24] }],
    ["/prompt", { ...READ, latents: [1, 1] }],
    ["/prompt", { ...READ, latents: [-1] }],
    ["/steer", { ...steer, latents: [] }],
    ["/steer", { ...steer, latents: [{ latent: 24, factor: 1 }] }],
    ["/steer", { ...steer, latents: [{ latent: 0, factor: 101 }] }],
    ["/steer", { ...steer, latents: [{ latent: 0, factor: "1" }] }],
    ["/steer", { ...steer, prompts: Array(API_LIMITS.labPrompts + 1).fill(prompt) }],
    ["/steer", { ...steer, seeds: [0, 0] }],
    ["/steer", { ...steer, seeds: [2 ** 32] }],
    ["/steer", { ...steer, temperature: -1 }],
    ["/steer", { ...steer, models: "neither" }],
  ];
  for (const [path, body] of bad) {
    const response = await ask(path, body);
    expect(
      [response.status, typeof ((await response.json()) as ApiError).hint],
      JSON.stringify(body).slice(0, 200),
    ).toEqual([...[400, "string"]]);
  }
  expect(labs.state().models).toBe("closed");
});

test("models that are not where study.yaml says, and a dictionary that is not measured, are told in words", async () => {
  const folder = await mkdtemp(join(study.root, "moved-"));
  await cp(study.folder, folder, { recursive: true });
  await rename(measurePaths(join(folder, "dictionaries", "main")).summary, join(folder, "away.json"));
  const labs = labsHere();
  const { ask } = appOver(folder, labs);
  const steered = await ask("/steer", steerRequest(0));
  expect([steered.status, await steered.json()]).toMatchObject([409, { hint: "tunediff measure STUDY" }]);
  const reading = await readingOf(await ask("/prompt", READ));
  expect(reading.warnings[0]).toContain("tunediff measure STUDY");
  expect(reading.latents[0]).toMatchObject({ claim: "", maxMeasured: 0 });
  expect(reading.latents[0].deltaNorm).toBeGreaterThan(0);

  await writeStudyConfig(join(folder, "study.yaml"), { ...study.config, finetuned: join(folder, "nowhere") });
  for (const response of [await ask(""), await ask("/prompt", READ)]) {
    const text = await response.text();
    expect([
      response.status,
      text.includes("the finetuned model of this study"),
      text.includes(folder),
    ]).toEqual([...[409, true, false]]);
  }
  await writeFile(join(folder, "study.yaml"), "base: [");
  expect((await ask("/prompt", READ)).status).toBe(409);
  await rm(join(folder, "study.yaml"));
  expect((await ask("/prompt", READ)).status).toBe(409);
});

test("in a process of its own: a question that is left does not hold up the next, and closing ends the process", async () => {
  const pids: (() => boolean)[] = [];
  const labs = createLabs({
    start: (listener) => {
      const process = startLabProcess(listener);
      pids.push(process.isAlive);
      return process;
    },
  });
  closing.push(() => labs.close());
  const { ask } = appOver(study.folder, labs);
  const leave = new AbortController();
  const left = await ask("/steer", { ...steerRequest(loud), maxNewTokens: 512 }, leave.signal);
  const next = ask("/prompt", READ);
  leave.abort();
  const heard = await left.text();
  expect([heard.includes('"kind":"done"'), heard.includes("event: failed")]).toEqual([false, false]);
  expect((await readingOf(await next)).tokens.length).toBeGreaterThan(9);
  expect(labs.state()).toEqual({ models: "open", waiting: 0 });
  await labs.close();
  expect(pids.map((isAlive) => isAlive())).not.toContain(true);
}, 60_000);
