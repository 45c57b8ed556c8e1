import { afterEach, expect, test, vi } from "vitest";
import type { TrainingEvent } from "../../../src/dashboard/api-contract.ts";
import { follow, NOTHING, type Trainings } from "./use-trainings.ts";

afterEach(() => vi.unstubAllGlobals());

const event = (steps: number[], reset: boolean): TrainingEvent => ({
  ...{ study: 0, dictionary: "main", reset, nLines: 0, validations: [], passedSteps: [] },
  state: { kind: "live", changed: null },
  lines: steps.map((step) => ({
    ...{ step, loss: 1, l0: 4, dead: 0, fve: { base: 0, finetuned: 0, total: 0 } },
  })),
});
const stream =
  (...events: TrainingEvent[]) =>
  () =>
    new Response(events.map((one) => `data: ${JSON.stringify(one)}\n\n`).join(""));
const away = () => {
  throw new TypeError("fetch failed");
};

test("a stream that ends or a server that is away is asked again, more and more rarely; a refusal ends it", async () => {
  const answers = [
    stream(event([1, 2], true), event([3], false)),
    away,
    away,
    stream(event([1, 2, 3, 4], true)),
    () => Response.json({ error: "sign in", hint: "" }, { status: 401 }),
  ];
  const addresses: string[] = [];
  vi.stubGlobal("fetch", async (address: string) => {
    addresses.push(address);
    return (answers[addresses.length - 1] as () => Response)();
  });
  let now: Trainings = NOTHING;
  const seen: string[] = [];
  const waits: number[] = [];
  await follow(
    [
      { study: 0, dictionary: "main" },
      { study: 1, dictionary: "b" },
    ],
    new AbortController().signal,
    (change) => {
      now = { ...now, ...change(now) };
      seen.push(`${now.connection} ${now.logs.get("0/main")?.lines.map(({ step }) => step)}`);
    },
    async (ms) => void waits.push(ms),
  );
  expect(addresses).toEqual(Array(5).fill("/api/studies/0/main/training/live?with=1%2Fb"));
  expect(waits).toEqual([1000, 2000, 4000, 1000]);
  expect(seen).toEqual([
    ...["open 1,2", "open 1,2,3", "away 1,2,3", "away 1,2,3", "away 1,2,3"],
    ...["open 1,2,3,4", "away 1,2,3,4", "away 1,2,3,4"],
  ]);
  expect(now.error?.message).toBe("sign in");
});
