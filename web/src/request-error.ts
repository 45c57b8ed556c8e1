// A refusal of the server, in its own words. status 0: it did not answer at all.

import type { ApiError } from "../../src/dashboard/api-contract.ts";

export class RequestError extends Error {
  readonly status: number;
  readonly hint: string;
  /** The answer's whole JSON; null when it had none. */
  readonly body: unknown;

  constructor(status: number, words: ApiError, body: unknown = null) {
    super(words.error);
    this.name = "RequestError";
    this.status = status;
    this.hint = words.hint;
    this.body = body;
  }
}
