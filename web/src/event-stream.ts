// Server-sent events over fetch: EventSource cannot show a refusal's words, be aborted by a signal, or be kept from trying again.
//
// Only what the server writes: "data:" lines of JSON, comments as heartbeat, a blank line after each event.

import type { ApiError } from "../../src/dashboard/api-contract.ts";
import { RequestError } from "./request-error.ts";

export interface StreamEvent {
  /** "" for an ordinary one. */
  name: string;
  data: string;
}

/**
 * The data of every event; ends with the stream.
 *
 * Throws what `open` throws; RequestError for an event named "failed", whose data is an ApiError; SyntaxError for data that is not JSON.
 */
export async function* readEvents<T>(open: () => Promise<Response>): AsyncGenerator<T> {
  const response = await open();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const parser = createEventParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const { name, data } of parser(value)) {
        if (name === "failed") throw new RequestError(response.status, JSON.parse(data) as ApiError);
        yield JSON.parse(data) as T;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // already ended or aborted
  }
}

/** Takes text as it comes, in any pieces; gives the events that it completes. */
export function createEventParser(): (piece: string) => StreamEvent[] {
  let rest = "";
  let name = "";
  let lines: string[] = [];
  return (piece) => {
    const events: StreamEvent[] = [];
    const parts = (rest + piece).split("\n");
    rest = parts.pop() as string;
    for (const line of parts) {
      const [field, ...after] = line.replace(/\r$/, "").split(":");
      const value = after.join(":").replace(/^ /, "");
      if (field === "data") lines.push(value);
      else if (field === "event") name = value;
      else if (line.replace(/\r$/, "") === "") {
        if (lines.length > 0) events.push({ name, data: lines.join("\n") });
        name = "";
        lines = [];
      }
    }
    return events;
  };
}
