// Error classes, one for each thing the caller can do about it.
//
// A message reads "PLACE: EXPECTED, GOT"; the hint says the next step. The library throws these and never prints
// or exits: src/cli/ turns them into one line and an exit code.

export interface ErrorDetails {
  /** What the reader can do next, one sentence in the imperative. */
  hint?: string;
  cause?: unknown;
}

export abstract class TunediffError extends Error {
  /** Process exit code: 2 usage, 3 bad data, 4 numerics, 5 remote. */
  abstract readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, { hint, cause }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.hint = hint;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** The configuration or command line is wrong; editing it mends this. The message names the path in the config. */
export class ConfigError extends TunediffError {
  readonly exitCode = 2;
}

/** A file is bad for good: names file and, where known, tensor and byte offset. */
export class FormatError extends TunediffError {
  readonly exitCode = 3;
}

/** Two things that do not belong together (tokenizers, widths, hashes). Names both values. */
export class MismatchError extends TunediffError {
  readonly exitCode = 3;
}

/** A store, disk or folder cannot take or give what is asked (missing, full, locked, read-only). */
export class StorageError extends TunediffError {
  readonly exitCode = 3;
}

/** A programmer's mistake: an array of the wrong shape or length. */
export class ShapeError extends TunediffError {
  readonly exitCode = 3;
}

/** A non-finite or degenerate number where a finite one must be: names step, tensor and first bad index. */
export class NumericsError extends TunediffError {
  readonly exitCode = 4;
}

/** Something far away failed and may work later; never carries credentials. */
export class RemoteError extends TunediffError {
  readonly exitCode = 5;
}

/** The user asked to stop (Ctrl-C); what was committed stays and a second run goes on from it. */
export class InterruptedError extends TunediffError {
  readonly exitCode = 130;
}

/** Throws InterruptedError when the signal has been aborted; called between units of work that are worth keeping. */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new InterruptedError("interrupted", {
      hint: "run the same command again: it goes on from the last committed piece",
    });
  }
}
