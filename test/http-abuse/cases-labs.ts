// What asks the live labs for more than they give: every case must be refused before a model is loaded or a stream begins.

import { API_LIMITS } from "../../src/dashboard/api-contract.ts";
import { type AbuseCase, changed, type HeaderChanges, MARKER, type RequestParts } from "./world.ts";

const PROMPT = "/api/studies/0/main/labs/prompt";
const STEER = "/api/studies/0/main/labs/steer";

const READ = { prompt: { text: MARKER }, answer: "none", maxNewTokens: 8, latents: [] };
const PUSH = {
  ...{ latents: [{ latent: 1, factor: 1 }], unit: "activation", positions: "all", models: "both" },
  ...{ prompts: [{ text: MARKER }], temperature: 0, seeds: [0], maxNewTokens: 8 },
};

const ask = (name: string, status: number, parts: RequestParts): AbuseCase => ({
  name,
  send: changed({ method: "POST", path: PROMPT, body: READ, ...parts }),
  status,
});
const read = (name: string, body: object, status = 400): AbuseCase =>
  ask(`reading: ${name}`, status, { body: { ...READ, ...body } });
const steer = (name: string, body: object, status = 400): AbuseCase =>
  ask(`steering: ${name}`, status, { path: STEER, body: { ...PUSH, ...body } });
const headed = (name: string, status: number, headers: HeaderChanges): AbuseCase =>
  ask(name, status, { headers });

const message = (content: string): object => ({ role: "user", content });
const long = MARKER.repeat(API_LIMITS.prompt / 10).slice(0, API_LIMITS.prompt);

export const LABS_CASES: AbuseCase[] = [
  ask("control: a right question reaches the models, which are not there", 409, {}),
  ask("control: a right steering reaches the measurement, which is not there", 409, {
    path: STEER,
    body: PUSH,
  }),
  ask("the labs of a study that is not served", 404, { path: PROMPT.replace("/0/", "/1/") }),
  ask("the labs of a dictionary of another folder", 404, { path: PROMPT.replace("main", "stores") }),
  { name: "GET of a question", send: changed({ path: PROMPT }), status: 404 },
  { name: "HEAD of a question", send: changed({ method: "HEAD", path: PROMPT }), status: 404 },
  ask("PUT of a question", 404, { method: "PUT" }),
  ask("DELETE of a question", 404, { method: "DELETE" }),
  ask("POST to what the labs say of themselves", 404, { path: "/api/studies/0/main/labs" }),
  headed("without our header", 403, { "x-tunediff": null }),
  headed("from another site", 403, { origin: "http://evil.example", "sec-fetch-site": "cross-site" }),
  headed("from nowhere", 403, { origin: null }),
  headed("by a stranger", 401, { cookie: null }),
  headed("as a form sends it", 415, { "content-type": "text/plain" }),
  ask("without a body", 400, { body: "" }),
  ask("with half a body", 400, { body: `{"prompt": {"text": "${MARKER}` }),
  ask("a list for a body", 400, { body: [MARKER] }),
  read("a field that is not known", { [MARKER]: 1 }),
  read("a prompt that is text and chat", { prompt: { text: MARKER, messages: [message("a")] } }),
  read("a prompt of numbers", { prompt: { text: 1 } }),
  read("a prompt above its length", { prompt: { text: `${long}aaaa` } }),
  read("messages above its length together", { prompt: { messages: [message(long), message("a")] } }),
  read("a chat without messages", { prompt: { messages: [] } }),
  read("a thousand messages", { prompt: { messages: Array(1000).fill(message("")) } }),
  read("a role that is none", { prompt: { messages: [{ role: MARKER, content: "" }] } }),
  read("an answer by nobody", { answer: MARKER }),
  read("a million tokens", { maxNewTokens: 1e6 }),
  read("half a token", { maxNewTokens: 0.5 }),
  read("a latent past the end", { latents: [10] }),
  read("a latent below none", { latents: [-1] }),
  read("more latents than the bound", {
    latents: Array.from({ length: API_LIMITS.labLatents + 1 }, (_, i) => i),
  }),
  ask("a number beyond all numbers", 400, { body: JSON.stringify(READ).replace("8", "1e999") }),
  steer("no latent", { latents: [] }),
  steer("a latent past the end", { latents: [{ latent: 10, factor: 1 }] }),
  steer("an immense factor", { latents: [{ latent: 1, factor: 1e9 }] }),
  steer("a factor in words", { latents: [{ latent: 1, factor: MARKER }] }),
  steer("nine prompts", { prompts: Array(API_LIMITS.labPrompts + 1).fill({ text: "" }) }),
  steer("nine seeds", { seeds: Array.from({ length: API_LIMITS.labSeeds + 1 }, (_, i) => i) }),
  steer("one seed twice", { seeds: [1, 1] }),
  steer("a seed past 32 bits", { seeds: [2 ** 32] }),
  steer("a temperature of the sun", { temperature: 5772 }),
  steer("models that are none", { models: MARKER }),
];
