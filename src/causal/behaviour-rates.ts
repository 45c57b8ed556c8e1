// How often answers show a behaviour when a latent is added to the base, taken from the fine-tune or added to it, beside matched controls.
//
// Greedy answers, judged by a regular expression a behaviour. How hard to push is chosen on `heldout` prompts from a grid, for
// each latent and direction of its own; what is reported is counted on `test` prompts. Controls get the candidate's factors, in
// units of their own greatest activation. A degenerate answer shows nothing, whatever words it holds.

import { ConfigError } from "../errors.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { AnswerMemory } from "./answer-memory.ts";
import { type Behaviour, detector } from "./behaviours-file.ts";
import type { BehaviourRate } from "./causal-contract.ts";
import { describeDegenerate, referencePerplexity } from "./degenerate.ts";
import { requireWidth, type SteerOptions } from "./steer.ts";
import { type ModelAnswer, openSteeredModel, type SteeredModel } from "./steered-model.ts";
import { type SteeringVectorOptions, steeringVector } from "./steering-vectors.ts";

export const BEHAVIOUR_RATE_DEFAULTS = {
  /** Tried on held-out prompts, in units of the latent's greatest activation. */
  factors: [0.25, 0.5, 1, 2, 4],
  /** Fewer controls are refused. */
  controlsAtLeast: 5,
} as const;

export interface BehaviourPrompt {
  id: string;
  split: "heldout" | "test";
  /** The behaviour that it calls for, or null. */
  expected: string | null;
  /** As createPromptTokenizer gives them. */
  tokens: Record<ModelSide, Uint32Array>;
}

/** A latent that may cause a behaviour, and latents like it that should not. */
export interface BehaviourTrial {
  behaviour: string;
  latent: number;
  /** At least 5; see matched-controls.ts. */
  controls: readonly number[];
}

export interface BehaviourRatesOptions
  extends Omit<SteerOptions, "vector" | "prompts" | "sides" | "onToken" | "seeds" | "temperature" | "topP">,
    Pick<SteeringVectorOptions, "dictionary" | "measured"> {
  /** Default "activation". */
  unit?: SteeringVectorOptions["unit"];
  prompts: readonly BehaviourPrompt[];
  behaviours: readonly Pick<Behaviour, "name" | "detect">[];
  trials: readonly BehaviourTrial[];
  /** Default BEHAVIOUR_RATE_DEFAULTS.factors; all above 0. */
  factors?: readonly number[];
  /** Answers made before, for a job that goes on; see openAnswerMemory. */
  memory?: AnswerMemory;
}

type Split = BehaviourPrompt["split"];
type Arm = BehaviourRate["arms"][number];
type Counts = Omit<Arm, "arm" | "controls">;
/** One answer, judged. */
interface Judged {
  isDegenerate: boolean;
  text: string;
}
/** What one edit's arms say of one trial. */
interface EditOutcome {
  factor: number;
  plain: Counts;
  steered: Counts;
  control: Counts;
}
/** Answers to the prompts of a split with a latent pushed, or none. */
type Ask = (split: Split, push?: { latent: number; factor: number }) => Promise<Judged[]>;

/**
 * One entry a trial, in their order; all BEHAVIOUR_ARMS each.
 *
 * Throws ConfigError (a trial of an unknown behaviour, too few controls, no prompt in a split that calls for the behaviour,
 * factors), MismatchError (models of different width), NumericsError, InterruptedError.
 */
export async function behaviourRates(options: BehaviourRatesOptions): Promise<BehaviourRate[]> {
  const { trials, behaviours } = options;
  checkTrials(options);
  const counted = trials.map((trial) => {
    const behaviour = behaviours.find(({ name }) => name === trial.behaviour)!;
    return { ...trial, shows: detector(behaviour) };
  });
  const progress = createProgress(options);
  const outcomes = async (side: ModelSide, edits: readonly Edit[]): Promise<EditOutcome[][]> => {
    const asker = createAsker(side, { ...options, progress });
    try {
      const made: EditOutcome[][] = [];
      for (const edit of edits) made.push(await outcomesOf(edit, counted, { ...options, asker }));
      return made;
    } finally {
      await asker.dispose();
    }
  };
  const [base] = await outcomes("base", [EDITS.add]);
  const [removed, pushed] = await outcomes("finetuned", [EDITS.remove, EDITS.push]);
  return counted.map(({ behaviour, latent, controls }, i) => ({
    behaviour,
    latent,
    factor: base[i].factor,
    removalFactor: removed[i].factor,
    pushFactor: pushed[i].factor,
    arms: [
      { arm: "base", controls: 0, ...base[i].plain },
      { arm: "base + latents", controls: 0, ...base[i].steered },
      { arm: "base + control", controls: controls.length, ...base[i].control },
      { arm: "finetuned", controls: 0, ...removed[i].plain },
      { arm: "finetuned − latents", controls: 0, ...removed[i].steered },
      { arm: "finetuned − control", controls: controls.length, ...removed[i].control },
      { arm: "finetuned + latents", controls: 0, ...pushed[i].steered },
      { arm: "finetuned + control", controls: controls.length, ...pushed[i].control },
    ],
  }));
}

interface Edit {
  sign: 1 | -1;
  /** What the factor is chosen by, from the counts on held-out prompts. */
  gain: (counts: Counts) => number;
}

const EDITS: Record<"add" | "remove" | "push", Edit> = {
  /** Answers of the base that show the behaviour, asked for or not. */
  add: { sign: 1, gain: ({ called, notCalled }) => called.shown + notCalled.shown },
  /** Sound answers of the fine-tune that no longer show it. */
  remove: { sign: -1, gain: ({ called, degenerate }) => -called.shown - degenerate },
  /** Answers of the fine-tune that show it where nobody asked for it. */
  push: { sign: 1, gain: ({ notCalled }) => notCalled.shown },
};

type CountedTrial = BehaviourTrial & { shows: (answer: string) => boolean };

async function outcomesOf(
  { sign, gain }: Edit,
  trials: readonly CountedTrial[],
  options: BehaviourRatesOptions & { asker: Asker },
): Promise<EditOutcome[]> {
  const { factors = BEHAVIOUR_RATE_DEFAULTS.factors, prompts, asker } = options;
  const outcomes: EditOutcome[] = [];
  for (const trial of trials) {
    const { latent, controls, behaviour, shows } = trial;
    const count = (split: Split, answers: readonly Judged[]): Counts =>
      countAnswers(
        prompts.filter((prompt) => prompt.split === split),
        answers,
        { behaviour, shows },
      );
    const tried: { factor: number; gain: number }[] = [];
    for (const factor of factors) {
      const answers = await asker.ask("heldout", { latent, factor: sign * factor });
      tried.push({ factor, gain: gain(count("heldout", answers)) });
    }
    const { factor } = bestFactor(tried);
    const controlCounts: Counts[] = [];
    for (const control of controls) {
      controlCounts.push(count("test", await asker.ask("test", { latent: control, factor: sign * factor })));
    }
    outcomes.push({
      factor,
      plain: count("test", await asker.ask("test")),
      steered: count("test", await asker.ask("test", { latent, factor: sign * factor })),
      control: sumCounts(controlCounts),
    });
  }
  return outcomes;
}

interface Asker {
  /** Judged against the same model's untouched answers. push: in units of the latent's greatest activation, signed. */
  ask: Ask;
  dispose(): Promise<void>;
}

/** Answers of one model, each asked for once, the model loaded when the first of them is not remembered. */
function createAsker(
  side: ModelSide,
  options: BehaviourRatesOptions & { progress: (answers: number) => void },
): Asker {
  const { checkpoints, layers, stopIds, decode, threads, device, positions, maxNewTokens, signal } = options;
  const { dictionary, measured, unit = "activation", memory, progress } = options;
  let model: SteeredModel | undefined;
  const made = new Map<string, ModelAnswer[]>();
  const answersTo = async (
    split: Split,
    push?: { latent: number; factor: number },
  ): Promise<ModelAnswer[]> => {
    const key = [side, split, push === undefined ? "plain" : `${push.latent}:${push.factor}`].join(" ");
    const prompts = options.prompts.filter((prompt) => prompt.split === split);
    const known = made.get(key) ?? memory?.get(key);
    if (known !== undefined) {
      if (!made.has(key)) progress(prompts.length);
      made.set(key, known);
      return known;
    }
    const vector = push && steeringVector([push], { dictionary, measured, unit });
    if (vector !== undefined) requireWidth(side, checkpoints, vector);
    model ??= await openSteeredModel({
      ...{ side, stopIds, decode, threads, device },
      checkpoint: checkpoints[side],
      layer: layers[side],
    });
    const answers = await model.answer({ prompts, vector, positions, maxNewTokens, signal });
    made.set(key, answers);
    await memory?.put(key, answers);
    progress(prompts.length);
    return answers;
  };
  return {
    async ask(split, push) {
      const plain = await answersTo(split);
      const reference = referencePerplexity(plain.map(({ perplexity }) => perplexity));
      const answers = push === undefined ? plain : await answersTo(split, push);
      return answers.map((answer) => ({
        text: answer.text,
        isDegenerate: describeDegenerate({ ...answer, reference }) !== "",
      }));
    },
    dispose: async () => model?.dispose(),
  };
}

/** prompts and answers of one split, in the same order. */
function countAnswers(
  prompts: readonly BehaviourPrompt[],
  answers: readonly Judged[],
  { behaviour, shows }: Pick<CountedTrial, "behaviour" | "shows">,
): Counts {
  const counts: Counts = {
    called: { shown: 0, prompts: 0 },
    notCalled: { shown: 0, prompts: 0 },
    degenerate: 0,
  };
  for (const [i, { text, isDegenerate }] of answers.entries()) {
    const of = prompts[i].expected === behaviour ? counts.called : counts.notCalled;
    of.prompts += 1;
    if (isDegenerate) counts.degenerate += 1;
    else if (shows(text)) of.shown += 1;
  }
  return counts;
}

/** The greatest gain; of equal ones the gentlest push. */
function bestFactor(tried: readonly { factor: number; gain: number }[]): { factor: number } {
  return tried.toSorted((a, b) => b.gain - a.gain || a.factor - b.factor)[0];
}

function sumCounts(all: readonly Counts[]): Counts {
  const sum = (of: (counts: Counts) => number): number =>
    all.reduce((total, counts) => total + of(counts), 0);
  return {
    called: { shown: sum(({ called }) => called.shown), prompts: sum(({ called }) => called.prompts) },
    notCalled: {
      shown: sum(({ notCalled }) => notCalled.shown),
      prompts: sum(({ notCalled }) => notCalled.prompts),
    },
    degenerate: sum(({ degenerate }) => degenerate),
  };
}

/** Reports answers done of the most that there can be; equal questions of several trials are asked once. */
function createProgress(options: BehaviourRatesOptions): (answers: number) => void {
  const { prompts, trials, factors = BEHAVIOUR_RATE_DEFAULTS.factors, reportProgress } = options;
  const nHeldout = prompts.filter(({ split }) => split === "heldout").length;
  const nTest = prompts.length - nHeldout;
  const questions = (heldout: number, test: number): number => heldout * nHeldout + test * nTest;
  const perEdit = trials.reduce(
    (sum, { controls }) => sum + questions(factors.length, 1 + controls.length),
    questions(1, 1),
  );
  let done = 0;
  return (answers) => {
    done += answers;
    reportProgress?.({ stage: "behaviours", done, total: 3 * perEdit, unit: "answers" });
  };
}

function checkTrials(options: BehaviourRatesOptions): void {
  const { trials, behaviours, prompts, factors = BEHAVIOUR_RATE_DEFAULTS.factors } = options;
  const { controlsAtLeast } = BEHAVIOUR_RATE_DEFAULTS;
  if (factors.length === 0 || !factors.every((factor) => factor > 0 && Number.isFinite(factor))) {
    throw new ConfigError(`factors: expected numbers above 0, got [${factors}]`);
  }
  for (const { behaviour, latent, controls } of trials) {
    const place = `behaviour ${behaviour}, latent ${latent}`;
    if (!behaviours.some(({ name }) => name === behaviour)) {
      const names = behaviours.map(({ name }) => name).join(", ");
      throw new ConfigError(`${place}: expected one of the behaviours ${names}`);
    }
    if (controls.length < controlsAtLeast || controls.includes(latent)) {
      throw new ConfigError(
        `${place}: expected at least ${controlsAtLeast} other latents as controls, got [${controls}]`,
      );
    }
    for (const split of ["heldout", "test"] as const) {
      if (prompts.some((prompt) => prompt.split === split && prompt.expected === behaviour)) continue;
      throw new ConfigError(`${place}: expected prompts of split ${split} that call for it, got none`, {
        hint: "the push is chosen on heldout prompts and counted on test prompts: both need some",
      });
    }
  }
}
