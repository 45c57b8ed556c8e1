import { expect, test } from "vitest";
import { ApiFailure } from "../errors-out.ts";
import { createSharedWork, type SharedWork, type WorkProgress } from "./shared-work.ts";

type Compute = Parameters<SharedWork<string>["run"]>[1];
const forever = (): AbortSignal => new AbortController().signal;
const LIMITS = { kept: 2, pending: 2 };

async function lastValue(events: ReturnType<SharedWork<string>["run"]>): Promise<string | undefined> {
  let value: string | undefined;
  for await (const event of events) if (event.kind === "value") value = event.value;
  return value;
}

/** A computation that a test ends. */
function held(name: string) {
  let end = (): void => {};
  let begun = (): void => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const state = { runs: 0, stopped: 0, report: (_: WorkProgress): void => {} };
  const compute: Compute = ({ signal, report }) => {
    state.runs += 1;
    state.report = report;
    begun();
    return new Promise((resolve, reject) => {
      end = () => resolve(name);
      signal.addEventListener("abort", () => {
        state.stopped += 1;
        reject(new Error("stopped"));
      });
    });
  };
  return { state, compute, hasBegun, end: () => end() };
}

test("two that ask for the same share one computation, and a third is given what was kept", async () => {
  const work = createSharedWork<string>(LIMITS);
  const job = held("x");
  const asked = [1, 2].map(() => lastValue(work.run("key", job.compute, forever())));
  await job.hasBegun;
  job.end();
  expect(await Promise.all(asked)).toEqual(["x", "x"]);
  expect(await lastValue(work.run("key", job.compute, forever()))).toBe("x");
  expect(job.state.runs).toBe(1);
});

test("it goes on while one of them waits, and is ended with the last", async () => {
  const work = createSharedWork<string>(LIMITS);
  const job = held("x");
  const [one, two] = [new AbortController(), new AbortController()];
  const asked = [one, two].map(({ signal }) => lastValue(work.run("key", job.compute, signal)));
  await job.hasBegun;
  one.abort();
  expect(await asked[0]).toBeUndefined();
  expect(job.state.stopped).toBe(0);
  two.abort();
  expect(await asked[1]).toBeUndefined();
  expect(job.state.stopped).toBe(1);
  const again = held("y");
  const later = lastValue(work.run("key", again.compute, forever()));
  await again.hasBegun;
  again.end();
  expect(await later).toBe("y");
});

test("one is computed at a time; more than the bound are refused in words", async () => {
  const work = createSharedWork<string>(LIMITS);
  const [first, second, third] = [held("1"), held("2"), held("3")];
  const asked = lastValue(work.run("1", first.compute, forever()));
  await first.hasBegun;
  const next = work.run("2", second.compute, forever());
  expect((await next.next()).value).toMatchObject({ kind: "progress", progress: { total: null } });
  expect(second.state.runs).toBe(0);
  await expect(lastValue(work.run("3", third.compute, forever()))).rejects.toThrow(ApiFailure);
  first.end();
  expect(await asked).toBe("1");
  const value = lastValue(next);
  await second.hasBegun;
  second.end();
  expect(await value).toBe("2");
});

test("a slow reader is given the newest progress", async () => {
  const work = createSharedWork<string>(LIMITS);
  const job = held("x");
  const events = work.run("key", job.compute, forever());
  await events.next();
  await job.hasBegun;
  for (const done of [1, 2, 3]) job.state.report({ words: "tiles", done, total: 3 });
  expect((await events.next()).value).toEqual({
    kind: "progress",
    progress: { words: "tiles", done: 3, total: 3 },
  });
  job.end();
  expect((await events.next()).value).toEqual({ kind: "value", value: "x" });
});

test("a failure goes to all who wait and is not kept; of the results the last few are", async () => {
  const work = createSharedWork<string>(LIMITS);
  const fail: Compute = () => Promise.reject(new Error("broken"));
  const both = [1, 2].map(() => lastValue(work.run("key", fail, forever())));
  for (const one of both) await expect(one).rejects.toThrow("broken");
  const runs: string[] = [];
  const compute =
    (name: string): Compute =>
    () => {
      runs.push(name);
      return Promise.resolve(name);
    };
  for (const key of ["a", "b", "a", "c", "a", "b"]) await lastValue(work.run(key, compute(key), forever()));
  expect(runs).toEqual(["a", "b", "c", "b"]);
});
