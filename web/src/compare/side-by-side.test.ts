import { expect, test } from "vitest";
import type { Missing, Overview } from "../../../src/dashboard/api-contract.ts";
import { type Compared, compareSides } from "./side-by-side.ts";

const missing = (command: string): Missing => ({ state: "missing", words: "Not made.", command });

const plain = { form: null, controlOf: "", gapClosed: null } as const;

function side({ seed, fve, fit = true }: { seed: number; fve: number; fit?: boolean }): Compared {
  const dictionary = { name: "main", nLatents: 24, sparsity: "TopK, k 4", isMain: true, measured: fit };
  const overview: Overview = {
    pair: {
      ...{ id: 0, title: "t", base: "b", finetuned: "f", running: null },
      ...{ layer: { base: 1, finetuned: 1 }, dictionaries: [dictionary] },
    },
    fit: fit
      ? {
          state: "made",
          value: {
            ...{ fve: { base: fve, finetuned: fve, total: fve }, l0: 4, deadFraction: 0.25 },
            ...{ nLatents: 24, nRows: 10, nDocuments: 2 },
          },
        }
      : missing("tunediff measure STUDY"),
    counts: { state: "made", value: { finetunedSpecific: 10 * seed } },
    verdicts: { state: "made", value: { genuine: 3, "": 2 } },
    ...{ nulls: missing("tunediff null STUDY"), stability: missing("tunediff stability STUDY") },
    ...{ truth: missing(""), glance: missing("tunediff glance STUDY") },
    causal: {
      state: "made",
      value: {
        ...{ conversations: 1, tokens: 9 },
        bars: [
          { name: "None", tokenSet: "firstNine", kl: 9, low: 9, high: 9, ...plain },
          { name: "None", tokenSet: "all", kl: 3.5 - seed, low: 3, high: 4, ...plain },
        ],
      },
    },
    ...{ findings: [], warnings: [] },
  };
  return {
    ...{ overview, dictionary },
    facts: {
      measured: missing("tunediff measure STUDY"),
      training: {
        state: "made",
        value: { seed, steps: 20, normalise: true, ...(seed === 1 && { kStart: 8 }) },
      },
    },
  };
}

const [A, B] = [side({ seed: 0, fve: 0.5 }), side({ seed: 1, fve: 0.75 })];
const groupOf = (name: string, [a, b]: [Compared, Compared] = [A, B]) =>
  compareSides(a, b).find((group) => group.name.startsWith(name));
const rowOf = (group: string, name: string, sides?: [Compared, Compared]) =>
  groupOf(group, sides)?.rows.find((row) => row.name === name);

test("each figure stands in both, what differs is marked, and numbers say by how much", () => {
  expect(rowOf("Fit", "FVE, both models")).toEqual({
    ...{ name: "FVE, both models", a: "0.500", b: "0.750", differs: true, difference: "+0.250" },
  });
  expect(rowOf("Fit", "L0")).toMatchObject({ a: "4.00", b: "4.00", differs: false, difference: "" });
  expect(rowOf("Training", "kStart")).toMatchObject({ a: "–", b: "8", differs: true, difference: "" });
  expect(rowOf("Training", "normalise")).toMatchObject({ a: "yes", differs: false });
  expect(rowOf("Latents by class", "finetuned-specific")).toMatchObject({
    a: "0",
    b: "10",
    difference: "+10",
  });
  expect(groupOf("Latents by verdict")?.rows.map(({ name }) => name)).toEqual(["genuine"]);
  expect(rowOf("Causal", "no edit")).toMatchObject({ a: "3.500", b: "2.500", difference: "−1.000" });
});

test("what one of the two lacks is named with its command; of what both lack there are no rows", () => {
  const lacking = side({ seed: 1, fve: 0, fit: false });
  expect(groupOf("Fit", [A, lacking])?.missing).toEqual([
    { of: "b", part: missing("tunediff measure STUDY") },
  ]);
  expect(rowOf("Fit", "L0", [A, lacking])).toMatchObject({ a: "4.00", b: "–", differs: true });
  expect(groupOf("False claims")).toMatchObject({ rows: [], missing: [{ of: "a" }, { of: "b" }] });
});

test("the same dictionary twice differs in nothing", () => {
  expect(compareSides(A, A).flatMap(({ rows }) => rows.filter(({ differs }) => differs))).toEqual([]);
});
