// What a browser is told of an error: status, one sentence, the next step. Never a stack, never a path of the disk.
//
// Route files throw ApiFailure for what they refuse themselves and let everything else pass: answerFor turns it into words.

import { zValidator } from "@hono/zod-validator";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ZodType } from "zod";
import { ConfigError, InterruptedError, MismatchError, StorageError, TunediffError } from "../errors.ts";
import type { ApiError } from "./api-contract.ts";

/** A refusal by a route. Its words go to the browser as they are: the thrower keeps paths and foreign text out of them. */
export class ApiFailure extends Error {
  readonly status: ContentfulStatusCode;
  readonly hint: string;

  constructor(status: ContentfulStatusCode, error: string, hint = "") {
    super(error);
    this.status = status;
    this.hint = hint;
  }
}

export interface ErrorAnswer {
  status: ContentfulStatusCode;
  body: ApiError;
  /** Not foreseen by the program: the server's own log should have it whole. */
  isFault: boolean;
}

const DEFECT: ApiError = {
  error: "something in the program failed",
  hint: "the terminal in which `tunediff serve` runs says more",
};

/** Status and words for whatever was thrown. */
export function answerFor(error: unknown): ErrorAnswer {
  if (error instanceof ApiFailure) {
    const body = { error: error.message, hint: error.hint };
    return { status: error.status, body, isFault: error.status >= 500 };
  }
  if (error instanceof HTTPException) {
    const body = { error: "the request could not be read", hint: "send what the page sends" };
    return { status: error.status as ContentfulStatusCode, body, isFault: error.status >= 500 };
  }
  if (error instanceof TunediffError) {
    const body = { error: withoutPaths(error.message), hint: withoutPaths(error.hint ?? "") };
    return { status: statusOf(error), body, isFault: false };
  }
  return { status: 500, body: DEFECT, isFault: true };
}

function statusOf(error: TunediffError): ContentfulStatusCode {
  if (error instanceof ConfigError) return 400;
  if (error instanceof MismatchError) return 409;
  if (error instanceof StorageError || error instanceof InterruptedError) return 503;
  return 500;
}

/**
 * The text with every absolute path cut to its last part: "/srv/data/study/x.json: bad" is "x.json: bad".
 *
 * A path begins with a slash, a drive or a tilde after the line's start, a space or an opening mark. Folders with spaces in their names are cut
 * up to the last slash before the next quote, colon or line end. Slashes between words ("and/or", "http://") stay.
 */
export function withoutPaths(text: string): string {
  return text.replace(
    /(^|[\s"'`(=[<])(?:file:\/\/|~|[A-Za-z]:)?[\\/](?:[^"'`:<>\n]*[\\/])?([^\s"'`:<>\\/]*)/g,
    "$1$2",
  );
}

/**
 * zValidator whose refusal is an ApiError that repeats nothing of what was sent: the place, and what was expected there.
 *
 * Use: `.get("/x", checked("query", schema), (c) => … c.req.valid("query"))`.
 */
export function checked<T extends ZodType, Target extends "json" | "query" | "param">(
  target: Target,
  schema: T,
) {
  const check = zValidator(target, schema, (result) => {
    if (result.success) return;
    const [issue] = result.error.issues;
    const place = issue.path.filter((part) => typeof part !== "symbol").join(".");
    // A record's keys come from the request; those of our own schemas are plain words.
    const where = /^[\w.-]{1,80}$/.test(place) ? `${place} is` : "a value is";
    throw new ApiFailure(400, `${where} not what is expected here`, HINTS[issue.code] ?? "");
  });
  checks.set(check, { target, schema });
  return check;
}

export interface RouteCheck {
  target: "json" | "query" | "param";
  schema: ZodType;
}

const checks = new WeakMap<object, RouteCheck>();

/** What a handler of a route was made to check by `checked`; undefined for any other handler. For the API reference. */
export function checkOf(handler: object): RouteCheck | undefined {
  return checks.get(handler);
}

const HINTS: Readonly<Record<string, string>> = {
  invalid_type: "a value is missing or of another type",
  too_big: "it is above the bound in the API reference",
  too_small: "it is below the bound in the API reference",
  unrecognized_keys: "there is a key that is not known here",
  invalid_format: "it is written otherwise than expected",
  invalid_value: "it is none of the words that are known here",
};
