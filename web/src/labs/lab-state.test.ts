// The labs' states in the address: what is written is read again, and what is not understood is left out.

import { expect, test } from "vitest";
import { boundedInteger, boundedNumber, parseSeeds, plainNumber, readLatents } from "./parse-numbers.ts";
import { parsePromptState, promptRequest, togglePin, withPromptState } from "./prompt-state.ts";
import {
  countAnswers,
  parseSteerState,
  type SteerState,
  steerFault,
  steerRequest,
  withSteerState,
} from "./steer-state.ts";

const STORE = { getItem: () => null, setItem: () => undefined };
const query = (text: string): URLSearchParams => new URLSearchParams(text);
const STEER: SteerState = {
  latents: [
    { latent: 1327, factor: -0.3 },
    { latent: 0, factor: 2 },
  ],
  unit: "code",
  positions: "prompt",
  prompts: [{ text: "a ~ b" }, { messages: [{ role: "user", content: "hi\nthere" }] }],
  temperature: 0.8,
  seeds: [3, 1, 4294967295],
  maxNewTokens: 7,
  models: "finetuned",
  where: "address",
};

test("a question to the steering lab comes back from its address, and other parameters stay", () => {
  const address = withSteerState(query("screen=steering-lab&study=0&push=5~1"), STEER, STORE).toString();
  expect(parseSteerState(query(address), STORE)).toEqual(STEER);
  expect(query(address).get("screen")).toBe("steering-lab");
  const first = parseSteerState(query(""), STORE);
  expect(parseSteerState(withSteerState(query(""), first, STORE), STORE)).toEqual(first);
});

test("a link that names latents alone gives them factor 1, and nonsense gives what is usual", () => {
  const state = parseSteerState(query("push=12&push=x~1&push=12~-2&push=7~1e9&push=8~NaN"), STORE);
  expect(state.latents).toEqual([{ latent: 12, factor: -2 }]);
  const odd = parseSteerState(
    query("unit=miles&positions=none&temperature=-1&seeds=a&max=0&models=god&prompt=god~be"),
    STORE,
  );
  expect(odd).toEqual(parseSteerState(query(""), STORE));
});

test("no more latents, prompts and seeds are taken from an address than a request may have", () => {
  const many = query("");
  for (let i = 0; i < 50; i += 1) {
    many.append("push", `${i}~1`);
    many.append("prompt", `text~${i}`);
  }
  const state = parseSteerState(many, STORE);
  expect([state.latents.length, state.prompts.length]).toEqual([16, 8]);
  expect(parseSeeds("0-7", 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(parseSeeds("0-8", 8)).toBeNull();
});

test("a question that cannot be asked says why", () => {
  expect(steerFault(STEER, 1328)).toBe("");
  expect(steerFault(STEER, 1327)).toContain("no latent 1327");
  expect(steerFault({ ...STEER, latents: [] }, 1328)).toContain("latent");
  expect(steerFault({ ...STEER, prompts: [...STEER.prompts, { text: "" }] }, 1328)).toContain("Prompt 3");
  // 8 · 20,000 characters of three bytes each are more than a body may have.
  const heavy = { ...STEER, prompts: Array.from({ length: 8 }, () => ({ text: "漢".repeat(20_000) })) };
  expect(steerFault(heavy, 1328)).toContain("too long together");
});

test("greedy answers are asked for once, whatever the seeds", () => {
  expect(steerRequest({ ...STEER, temperature: 0 }).seeds).toEqual([3]);
  expect(steerRequest(STEER).seeds).toEqual(STEER.seeds);
  expect(steerRequest(STEER)).not.toHaveProperty("where");
  expect(countAnswers(STEER)).toBe(2 * 2 * 3);
  expect(countAnswers({ ...STEER, models: "both" })).toBe(4 * 2 * 3);
});

test("a state of the prompt lab comes back from its address", () => {
  const state = {
    prompt: { text: "a" },
    where: "address",
    answer: "base",
    maxNewTokens: 9,
    pins: [40, 12],
    shade: 12,
    at: 3,
  } as const;
  const address = withPromptState(query("screen=prompt-lab"), { ...state, pins: [40, 12] }, STORE).toString();
  expect(parsePromptState(query(address), STORE)).toEqual(state);
  const unshaded = withPromptState(query(""), { ...state, pins: [40, 12], shade: null }, STORE);
  expect(parsePromptState(unshaded, STORE).shade).toBeNull();
  expect(promptRequest(parsePromptState(query(address), STORE))).toEqual({
    prompt: { text: "a" },
    answer: "base",
    maxNewTokens: 9,
    latents: [40, 12],
  });
  const first = parsePromptState(query(""), STORE);
  expect(withPromptState(query("screen=prompt-lab"), first, STORE).toString()).toBe("screen=prompt-lab");
});

test("the newest pin shades the text, and a pin that goes leaves the shade to the one before", () => {
  const one = togglePin({ pins: [], shade: null }, 5);
  const two = togglePin(one, 6);
  expect(two).toEqual({ pins: [5, 6], shade: 6 });
  expect(togglePin(two, 6)).toEqual({ pins: [5], shade: 5 });
  expect(togglePin(two, 5)).toEqual({ pins: [6], shade: 6 });
  expect(togglePin(one, 5)).toEqual({ pins: [], shade: null });
  expect(parsePromptState(query("pins=12"), STORE).shade).toBe(12);
});

test("numbers are read as people write them, and bounded", () => {
  expect(["-0.5", "−0,5", " 2 ", ".5", "1e-1"].map((text) => boundedNumber(text, [-1, 5]))).toEqual([
    -0.5, -0.5, 2, 0.5, 0.1,
  ]);
  expect(["", "x", "6", "-2", "Infinity", "0x1", null].map((text) => boundedNumber(text, [-1, 5]))).toEqual(
    Array(7).fill(null),
  );
  expect(["3", " 3 ", "3.0", "-3", "99"].map((text) => boundedInteger(text, [0, 9]))).toEqual([
    3,
    3,
    null,
    null,
    null,
  ]);
  expect(parseSeeds("0, 2,5-7 2", 8)).toEqual([0, 2, 5, 6, 7]);
  for (const text of ["", "a", "1-", "7-5", "4294967296", "-1"]) expect(parseSeeds(text, 8)).toBeNull();
  expect(readLatents("12~40, 12 x")).toEqual([12, 40]);
  expect(plainNumber(0.1 + 0.2)).toBe("0.3");
});

test("more pins than a reading takes push the oldest out", () => {
  let state: ReturnType<typeof togglePin> = { pins: [], shade: null };
  for (let latent = 0; latent < 20; latent += 1) state = togglePin(state, latent);
  expect([state.pins.length, state.pins[0], state.shade]).toEqual([16, 4, 19]);
});
