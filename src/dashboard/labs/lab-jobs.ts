// The models' side of the conversation with the server: orders in, events out. A question at a time; the server sends no second one before the
// first has ended.
//
// lab-child.ts is this in a process of its own. Errors leave as words that may go to a browser, and a stack for the server's terminal
// where the program is at fault.

import { answerFor } from "../errors-out.ts";
import { createLabModels, type LabModels } from "./lab-models.ts";
import type { LabEvent, LabJob, LabMessage, LabOrder } from "./lab-protocol.ts";

/** Takes orders; every job ends with exactly one reading, answers or failed. */
export function createLabJobs(
  send: (message: LabMessage) => void,
  models: LabModels = createLabModels(),
): (order: LabOrder) => Promise<void> {
  const running = new Map<number, AbortController>();
  return async (order) => {
    const { id } = order;
    if (order.kind === "cancel") {
      running.get(id)?.abort();
      return;
    }
    const stop = new AbortController();
    running.set(id, stop);
    const post = (event: LabEvent): void => send({ id, event });
    try {
      post(await runJob(models, order.job, { post, signal: stop.signal }));
    } catch (error) {
      const { body, isFault } = answerFor(error);
      const fault = isFault ? String((error as Error)?.stack ?? error) : "";
      post({ kind: "failed", error: body, fault });
    } finally {
      running.delete(id);
    }
  };
}

async function runJob(
  models: LabModels,
  job: LabJob,
  { post, signal }: { post: (event: LabEvent) => void; signal: AbortSignal },
): Promise<LabEvent> {
  const report = (words: string, done: number, total: number | null): void =>
    post({ kind: "progress", words, done, total });
  if (job.kind === "read") {
    return { kind: "reading", reading: await models.read(job.ground, job.question, { report, signal }) };
  }
  const outcome = await models.steer(job.ground, job.question, {
    ...{ report, signal, onText: post },
    onSide: (answers) => post({ kind: "side", answers }),
  });
  return { kind: "answers", ...outcome };
}
