// What the server and the process that holds the models say to each other: questions with everything that they need, and what comes of them.
//
// The models' side knows files and models alone; tables, labels and words of the browser are joined to it by the server's side.

import type { SteeredAnswer } from "../../causal/causal-contract.ts";
import type { SteeringUnit } from "../../causal/steering-vectors.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { ApiError, LabProgress, LabPrompt, PromptRequest, SteerRequest } from "../api-contract.ts";

/** Which models and which dictionary a question is about. */
export interface LabGround {
  /** With study.yaml, which names the models. */
  studyFolder: string;
  dictionaryFolder: string;
  /** Of its model.safetensors: another one is loaded anew. */
  dictionarySha256: string;
}

export interface ReadingQuestion extends Pick<PromptRequest, "answer" | "maxNewTokens"> {
  prompt: LabPrompt;
  /** Largest ordinary norm of each site, raw activation units; absent: no row is taken for an outlier. */
  normLimits?: number[];
}

/** What the models and the dictionary say of a text. n tokens; rows without firings where the measurement leaves rows out. */
export interface RawReading {
  tokens: string[];
  roles: string[];
  isAnswer: (0 | 1)[];
  /** [n] KL(p_finetuned ‖ p_base) of the token after each one, nats. */
  kl: Float32Array;
  next: Record<ModelSide, { token: string; probability: number }[][]>;
  /** Activations (code × W) in compressed rows: entries [rowStart[i], rowStart[i + 1]) belong to token i, latents ascending. */
  rowStart: Uint32Array;
  latent: Uint32Array;
  activation: Float32Array;
  /** [nLatents], from the dictionary's own rows; NaN for a latent without any. */
  deltaNorm: Float32Array;
  warnings: string[];
}

export interface SteeringQuestion
  extends Pick<
    SteerRequest,
    "latents" | "positions" | "prompts" | "temperature" | "seeds" | "maxNewTokens" | "models"
  > {
  unit: SteeringUnit;
  /** [nLatents] greatest code on the measured rows. */
  maxCode: Float64Array;
}

export type LabJob = { ground: LabGround } & (
  | { kind: "read"; question: ReadingQuestion }
  | { kind: "steer"; question: SteeringQuestion }
);

/** To the process. */
export type LabOrder = { id: number; kind: "job"; job: LabJob } | { id: number; kind: "cancel" };

export interface LabToken {
  kind: "token";
  arm: string;
  prompt: number;
  seed: number;
  text: string;
}

/** A question's events; the last is reading, answers or failed. */
export type LabEvent =
  | LabProgress
  | LabToken
  | { kind: "reading"; reading: RawReading }
  /** Of one model, as soon as it is done; and all of them at the end. */
  | { kind: "side"; answers: SteeredAnswer[] }
  | { kind: "answers"; answers: SteeredAnswer[]; warnings: string[] }
  | { kind: "failed"; error: ApiError; fault: string };

/** From the process. "ready" once, before all else. */
export type LabMessage = { id: number; event: LabEvent } | { id: 0; event: { kind: "ready" } };
