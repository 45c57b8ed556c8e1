// What the guarded process is asked and what it answers; types only. guard-process.ts asks, guard-child.ts answers.

import type { ChatMessage } from "./document.ts";

/** A chat rendered, or why the template did not: its own raise_exception and every other fault of running it. */
export type RenderOutcome = { text: string } | { refused: string };

export interface RenderJob {
  kind: "render";
  source: string;
  globals: Record<string, string>;
  /** Items of chats; the answer to an item holds one outcome a chat. */
  items: ChatMessage[][][];
  /** Whether each render goes on with the opening of the assistant's turn. */
  addGenerationPrompt: boolean;
  maxOutputChars: number;
}

export interface EncodeJob {
  kind: "encode";
  /** Stands for the engine's JSON; engineJson is sent along when the process has not seen it yet. */
  engineKey: string;
  engineJson?: string;
  /** Items of texts; the answer to an item holds one encoding a text. */
  items: string[][];
}

export interface LookUpJob {
  kind: "lookUp";
  engineKey: string;
  engineJson?: string;
  /** Items of token contents; the answer to an item holds one id (null: unknown) a content. */
  items: string[][];
}

export type GuardJob = RenderJob | EncodeJob | LookUpJob;

/** Offsets are code points in the text. */
export interface RawEncoding {
  ids: Uint32Array;
  start: Uint32Array;
  end: Uint32Array;
}

export type GuardReply =
  | { kind: "ready" }
  | { kind: "item"; job: number; result: unknown }
  /** The job as a whole is bad: a template that does not parse, a tokenizer that does not load. */
  | { kind: "failed"; job: number; reason: string }
  | { kind: "tooMuchMemory" };
