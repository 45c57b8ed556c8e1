// A refusal of the server, in its own words. status 0: it did not answer at all.

import type { ApiError } from "../../src/dashboard/api-contract.ts";

export class RequestError extends Error {
  readonly status: number;
  readonly hint: string;

  constructor(status: number, words: ApiError) {
    super(words.error);
    this.name = "RequestError";
    this.status = status;
    this.hint = words.hint;
  }
}
