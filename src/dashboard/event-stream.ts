// Server-sent events from an async generator: one event an item, ids, a heartbeat, an end when the client goes.
//
// The generator is asked for the next item only when the last one has been taken, so a slow reader holds little. It must watch the
// request's signal (c.req.raw.signal) in long waits; its finally runs when the stream ends for whatever reason.

import { answerFor } from "./errors-out.ts";

/** Milliseconds between comments that keep a quiet connection open. */
const HEARTBEAT_MS = 15_000;

/**
 * The answer of a streaming route: each item as `data: JSON`, with ids from 1.
 *
 * An error of the generator becomes a last event named "failed" with an ApiError; reportFault gets it when it is a defect.
 */
export function eventStream<T>(
  events: AsyncIterable<T>,
  options: { signal: AbortSignal; reportFault: (error: unknown) => void; heartbeatMs?: number },
): Response {
  const { signal, reportFault, heartbeatMs = HEARTBEAT_MS } = options;
  const iterator = events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let heartbeat: NodeJS.Timeout | undefined;
  let id = 0;
  let isOver = false;
  let controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    clearInterval(heartbeat);
    signal.removeEventListener("abort", stop);
    // The generator may be waiting and never look at it again; what it throws in its finally is a defect.
    Promise.resolve(iterator.return?.()).catch(reportFault);
  };
  const stop = (): void => {
    if (isOver) return;
    finish();
    controller.close();
  };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(given) {
      controller = given;
      signal.addEventListener("abort", stop, { once: true });
      heartbeat = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(":\n\n"));
      }, heartbeatMs);
      heartbeat.unref();
      if (signal.aborted) stop();
    },
    async pull() {
      let event: string;
      let isLast = false;
      try {
        const { done, value } = await iterator.next();
        if (isOver) return;
        if (done === true) {
          stop();
          return;
        }
        id += 1;
        event = `id: ${id}\ndata: ${JSON.stringify(value)}\n\n`;
      } catch (error) {
        if (isOver) return;
        const answer = answerFor(error);
        if (answer.isFault) reportFault(error);
        event = `event: failed\ndata: ${JSON.stringify(answer.body)}\n\n`;
        isLast = true;
      }
      controller.enqueue(encoder.encode(event));
      if (isLast) stop();
    },
    cancel: finish,
  });
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}
