// A stretch of the examples of one latent, with what each model adds to the pre-activation and what both predict next.
//
// Order: the strongest first (bin −1), then the paper's bins, weakest bin first. Contributions need the store that was measured;
// predictions need its outputs. Where they are not there both are null, and the page is whole without them.

import { FormatError, MismatchError, StorageError } from "../errors.ts";
import type { ExampleTokenOutputs } from "../measure/joined-outputs.ts";
import type { LatentExample } from "../measure/measure-contract.ts";
import type { Example, ExamplePage, Part } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";

export interface ExampleQuestion {
  latent: number;
  /** Only this bin; absent: all. */
  bin?: number;
  from: number;
  count: number;
}

/** More than a measurement keeps of one latent. */
const ALL = 100_000;

export async function readExamplePage(
  view: DictionaryView,
  { latent, bin, from, count }: ExampleQuestion,
): Promise<Part<ExamplePage>> {
  const page = await view.part("examples", (reader) => {
    const all = [...reader.ofLatent(latent, ALL), ...reader.sampleOfLatent(latent)].filter(
      (example) => bin === undefined || example.bin === bin,
    );
    const shown = all.slice(from, from + count);
    return { total: all.length, shown, outputs: shown.map((example) => reader.outputsOf(example)) };
  });
  if (page.state !== "made") return page;
  const { total, shown, outputs } = page.value;
  const contributions = await contributionsOf(view, shown);
  return {
    state: "made",
    value: {
      total,
      examples: shown.map(
        (example, i): Example => ({
          ...{
            bin: example.bin,
            rank: example.rank,
            documentId: example.documentId,
            dataset: example.dataset,
          },
          ...{ rowStart: example.rowStart, tokens: example.tokens, activations: example.activations },
          ...{ peak: example.peak, maxActivation: example.maxActivation },
          contributions: contributions?.[i] ?? null,
          outputs: outputsOf(outputs[i]),
        }),
      ),
    },
  };
}

/** undefined without the store, or where it is damaged: the examples themselves do not need it. */
async function contributionsOf(
  view: DictionaryView,
  shown: readonly LatentExample[],
): Promise<Example["contributions"][] | undefined> {
  const part = await view.part("contributions", async (reader) => {
    const found: Example["contributions"][] = [];
    for (const { latent, rowStart, tokens } of shown) {
      try {
        found.push(await reader.of(latent, rowStart, rowStart + tokens.length));
      } catch (error) {
        const isOfFile = [FormatError, StorageError, MismatchError].some((kind) => error instanceof kind);
        if (!isOfFile) throw error;
        found.push(null); // a damaged shard: `tunediff verify` names it
      }
    }
    return found;
  });
  return part.state === "made" ? part.value : undefined;
}

/** Null where a token of the window is not covered: half a strip would be read as a whole one. */
function outputsOf(outputs: (ExampleTokenOutputs | null)[] | null): Example["outputs"] {
  if (outputs === null) return null;
  const whole = outputs.filter((output) => output !== null);
  if (whole.length !== outputs.length) return null;
  const named = (list: ExampleTokenOutputs["topBase"]) =>
    list.map(({ token, probability }) => ({ token, probability }));
  return whole.map(({ kl, topBase, topFinetuned }) => ({
    kl,
    base: named(topBase),
    finetuned: named(topFinetuned),
  }));
}
