// The queue, against a process that does what it is told; the real one is lab-process.test.ts.

import { expect, test } from "vitest";
import { ApiFailure } from "../errors-out.ts";
import type { LabListener } from "./lab-process.ts";
import type { LabJob, LabOrder } from "./lab-protocol.ts";
import { LAB_SETTINGS, type LabTimes } from "./lab-settings.ts";
import { createLabs, type LabAnswer } from "./labs.ts";

const JOB = { kind: "steer" } as unknown as LabJob;
const DONE: LabAnswer = { kind: "answers", answers: [], warnings: [] };

/** Processes that were started, each with the orders it got. */
function makeLabs(times: Partial<LabTimes> = {}) {
  const started: { listener: LabListener; orders: LabOrder[]; isEnded: boolean }[] = [];
  const labs = createLabs({
    times: { idleMs: 1e6, jobMs: 1e6, cancelMs: 1e6, ...times },
    start: (listener) => {
      const own = { listener, orders: [] as LabOrder[], isEnded: false };
      started.push(own);
      return {
        send: (order) => own.orders.push(order),
        end: async () => {
          own.isEnded = true;
        },
      };
    },
  });
  const answer = (process: number, id: number): void =>
    started[process].listener.onMessage({ id, event: DONE });
  return { labs, started, answer };
}

async function collect(events: AsyncIterable<LabAnswer>): Promise<string[]> {
  const kinds: string[] = [];
  for await (const event of events) kinds.push(event.kind === "progress" ? event.words : event.kind);
  return kinds;
}

const open = () => new AbortController().signal;

test("one question at a time, in order, by one process; who waits is told how many are before", async () => {
  const { labs, started, answer } = makeLabs();
  const all = [1, 2, 3].map(() => collect(labs.ask(JOB, open())));
  expect(started).toHaveLength(1);
  expect(started[0].orders).toEqual([{ id: 1, kind: "job", job: JOB }]);
  expect(labs.state()).toEqual({ models: "busy", waiting: 2 });
  answer(0, 1);
  answer(0, 2);
  answer(0, 3);
  expect(await Promise.all(all)).toEqual([
    ["starting", "answers"],
    ["waiting: 1 question is before this one", "answers"],
    ["waiting: 2 questions are before this one", "waiting: 1 question is before this one", "answers"],
  ]);
  expect([started.length, labs.state()]).toEqual([1, { models: "open", waiting: 0 }]);
});

test("beyond the queue a question is refused in words, and one that leaves makes room", async () => {
  const { labs } = makeLabs();
  const leave = new AbortController();
  labs.ask(JOB, open());
  const waiting = Array.from({ length: LAB_SETTINGS.waiting }, () => collect(labs.ask(JOB, leave.signal)));
  expect(() => labs.ask(JOB, open())).toThrow(expect.objectContaining({ status: 429 }));
  leave.abort();
  expect(labs.state().waiting).toBe(0);
  labs.ask(JOB, open());
  expect((await Promise.all(waiting)).map((events) => events.at(-1))).not.toContain("answers");
});

test("a question that is left is cancelled, and the next begins when it has stopped", async () => {
  const { labs, started, answer } = makeLabs();
  const leave = new AbortController();
  const left = collect(labs.ask(JOB, leave.signal));
  leave.abort();
  expect(started[0].orders.at(-1)).toEqual({ id: 1, kind: "cancel" });
  expect(await left).toEqual(["starting"]);
  const next = collect(labs.ask(JOB, open()));
  expect(started[0].orders).toHaveLength(2);
  const error = { error: "interrupted", hint: "" };
  started[0].listener.onMessage({ id: 1, event: { kind: "failed", error, fault: "" } });
  expect(started[0].orders.at(-1)).toMatchObject({ id: 2, kind: "job" });
  answer(0, 2);
  expect((await next).at(-1)).toBe("answers");
});

test("one that does not stop is ended with its process, and the next has a new one", async () => {
  const { labs, started, answer } = makeLabs({ cancelMs: 1 });
  for await (const event of labs.ask(JOB, open())) {
    expect(event).toMatchObject({ words: "starting" });
    break; // leaving the iteration is leaving the question
  }
  const next = collect(labs.ask(JOB, open()));
  await expect.poll(() => started.length).toBe(2);
  expect(started[0].isEnded).toBe(true);
  answer(0, 2); // the old one is not heard any more
  answer(1, 2);
  expect((await next).at(-1)).toBe("answers");
});

test("a question that takes too long fails in words, and the process goes", async () => {
  const { labs, started } = makeLabs({ jobMs: 1 });
  await expect(collect(labs.ask(JOB, open()))).rejects.toMatchObject({ status: 503 });
  expect([started[0].isEnded, labs.state().models]).toEqual([true, "closed"]);
});

test("a process that ends by itself fails its question in words, and the next has a new one", async () => {
  const { labs, started, answer } = makeLabs();
  const first = collect(labs.ask(JOB, open()));
  const second = collect(labs.ask(JOB, open()));
  started[0].listener.onEnd("SIGKILL");
  await expect(first).rejects.toThrow("the process that holds the models ended (SIGKILL)");
  expect(started).toHaveLength(2);
  answer(1, 2);
  expect((await second).at(-1)).toBe("answers");
});

test("a refusal is thrown with its words; a defect as an error of the program", async () => {
  const { labs, started } = makeLabs();
  const error = { error: "the prompt: expected a token", hint: "write one" };
  const ask = (fault: string) => {
    const events = collect(labs.ask(JOB, open()));
    const { id } = started[0].orders.at(-1)!;
    started[0].listener.onMessage({ id, event: { kind: "failed", error, fault } });
    return events;
  };
  await expect(ask("")).rejects.toMatchObject({ message: error.error, hint: error.hint });
  await expect(ask("Error: at x")).rejects.not.toBeInstanceOf(ApiFailure);
});

test("without questions the models are let go, and come back with the next one", async () => {
  const { labs, started, answer } = makeLabs({ idleMs: 1 });
  const first = collect(labs.ask(JOB, open()));
  answer(0, 1);
  await first;
  await expect.poll(() => started[0].isEnded).toBe(true);
  expect(labs.state()).toEqual({ models: "closed", waiting: 0 });
  const second = collect(labs.ask(JOB, open()));
  answer(1, 2);
  expect((await second).at(-1)).toBe("answers");
});

test("closing ends the process and everybody's waiting, and nothing is taken any more", async () => {
  const { labs, started } = makeLabs();
  const all = [1, 2].map(() => collect(labs.ask(JOB, open())));
  const failed = all.map((events) => expect(events).rejects.toMatchObject({ status: 503 }));
  await labs.close();
  await Promise.all(failed);
  expect(started.map(({ isEnded }) => isEnded)).toEqual([true]);
  expect(() => labs.ask(JOB, open())).toThrow(expect.objectContaining({ status: 503 }));
});
