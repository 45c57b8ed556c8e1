// Questions to the models, one after another: a short queue, cancelled when nobody listens any more, and the models let go when nobody asks.
//
// The models live in a process of their own (lab-process.ts). A question that does not end in time, or does not stop when it is told to, costs that
// process its life; the next question gets a new one.

import { ApiFailure } from "../errors-out.ts";
import { type LabProcess, type StartLabProcess, startLabProcess } from "./lab-process.ts";
import type { LabEvent, LabJob, LabMessage } from "./lab-protocol.ts";
import { LAB_SETTINGS, type LabTimes } from "./lab-settings.ts";

/** What a listener gets; "failed" is thrown at it instead. */
export type LabAnswer = Exclude<LabEvent, { kind: "failed" }>;

export interface Labs {
  /**
   * Takes a place in the queue at once; the events end with reading or answers. Leaving the iteration, or the signal, ends the work.
   *
   * Throws ApiFailure 429 when too many wait; the iteration throws ApiFailure for what the models' side refuses, and Error for its defects.
   */
  ask(job: LabJob, signal: AbortSignal): AsyncIterable<LabAnswer>;
  /** closed: no models in memory. open: loaded for the next question. */
  state(): { models: "closed" | "open" | "busy"; waiting: number };
  /** Ends the work and the process. */
  close(): Promise<void>;
}

interface Ticket {
  id: number;
  job: LabJob;
  channel: Channel;
  /** Nobody waits for it any more. */
  isLeft: boolean;
}

export function createLabs({
  start = startLabProcess,
  times = {},
}: {
  start?: StartLabProcess;
  times?: Partial<LabTimes>;
} = {}): Labs {
  const { idleMs, jobMs, cancelMs } = { ...LAB_SETTINGS, ...times };
  const waiting: Ticket[] = [];
  let active: Ticket | undefined;
  let models: LabProcess | undefined;
  let ending: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let nJobs = 0;

  const after = (ms: number, work: () => void): void => {
    clearTimeout(timer);
    timer = setTimeout(work, ms);
    timer.unref();
  };
  const endProcess = (): void => {
    ending = Promise.all([ending, models?.end()]).then(() => undefined);
    models = undefined;
  };
  /** Ends the active question, and its process too when that is still at work on it. */
  const settle = (error: Error | undefined): void => {
    const ticket = active;
    active = undefined;
    clearTimeout(timer);
    ticket?.channel.end(error);
    next();
  };
  const startProcess = (): LabProcess => {
    const own: LabProcess = start({
      onMessage: (message) => {
        if (models === own) hear(message);
      },
      onEnd: (reason) => {
        if (models !== own) return;
        models = undefined;
        settle(endedFailure(reason));
      },
    });
    return own;
  };
  const hear = ({ id, event }: LabMessage): void => {
    if (active === undefined || active.id !== id || event.kind === "ready") return;
    if (event.kind === "failed") {
      const { error, fault } = event;
      settle(fault === "" ? new ApiFailure(409, error.error, error.hint) : new Error(fault));
      return;
    }
    active.channel.push(event);
    if (event.kind === "reading" || event.kind === "answers") settle(undefined);
  };
  const next = (): void => {
    if (active !== undefined || isClosed) return;
    active = waiting.shift();
    for (const [i, { channel }] of waiting.entries()) channel.push(placeInQueue(i + 1));
    if (active === undefined) {
      if (models !== undefined) after(idleMs, endProcess);
      return;
    }
    const { id, job } = active;
    if (models === undefined) active.channel.push(STARTING);
    models ??= startProcess();
    after(jobMs, () => {
      endProcess();
      settle(new ApiFailure(503, `it took longer than ${Math.round(jobMs / 60_000)} minutes`, ASK_LESS));
    });
    models.send({ id, kind: "job", job });
  };
  const leave = (ticket: Ticket): void => {
    if (ticket.isLeft) return;
    ticket.isLeft = true;
    const place = waiting.indexOf(ticket);
    if (place >= 0) waiting.splice(place, 1);
    ticket.channel.end(undefined);
    if (active !== ticket) return;
    models?.send({ id: ticket.id, kind: "cancel" });
    after(cancelMs, () => {
      endProcess();
      settle(undefined);
    });
  };

  return {
    ask(job, signal) {
      if (isClosed) throw new ApiFailure(503, "the server is closing", "");
      if (waiting.length >= LAB_SETTINGS.waiting) {
        throw new ApiFailure(
          429,
          `the models are busy, and ${waiting.length} questions wait already`,
          "ask again when one of them has been answered",
        );
      }
      nJobs += 1;
      const ticket: Ticket = { id: nJobs, job, channel: createChannel(), isLeft: false };
      const onAbort = (): void => leave(ticket);
      signal.addEventListener("abort", onAbort, { once: true });
      waiting.push(ticket);
      if (active !== undefined) ticket.channel.push(placeInQueue(waiting.length));
      next();
      if (signal.aborted) leave(ticket);
      return {
        [Symbol.asyncIterator]: async function* () {
          try {
            yield* ticket.channel.events();
          } finally {
            signal.removeEventListener("abort", onAbort);
            leave(ticket);
          }
        },
      };
    },
    state: () => ({
      models: active !== undefined ? "busy" : models === undefined ? "closed" : "open",
      waiting: waiting.length,
    }),
    async close() {
      isClosed = true;
      clearTimeout(timer);
      for (const ticket of [active, ...waiting.splice(0)]) {
        ticket?.channel.end(new ApiFailure(503, "the server is closing", ""));
      }
      active = undefined;
      endProcess();
      await ending;
    },
  };
}

const STARTING: LabAnswer = { kind: "progress", words: "starting", done: 0, total: null };
const ASK_LESS = "ask for fewer or shorter answers, or at a smaller pair";

function placeInQueue(place: number): LabAnswer {
  const words = `waiting: ${place} ${place === 1 ? "question is" : "questions are"} before this one`;
  return { kind: "progress", words, done: 0, total: null };
}

function endedFailure(reason: string): ApiFailure {
  return new ApiFailure(
    503,
    `the process that holds the models ended (${reason})`,
    "most often the models do not fit into memory beside everything else: close something and ask again",
  );
}

interface Channel {
  push(event: LabAnswer): void;
  /** What comes later is let go. */
  end(error: Error | undefined): void;
  events(): AsyncGenerator<LabAnswer>;
}

/** Events on their way to one listener. They wait for it; a question has few enough. */
function createChannel(): Channel {
  const held: LabAnswer[] = [];
  let isOver = false;
  let failure: Error | undefined;
  let wake = (): void => {};
  return {
    push(event) {
      if (isOver) return;
      held.push(event);
      wake();
    },
    end(error) {
      if (isOver) return;
      isOver = true;
      failure = error;
      wake();
    },
    async *events() {
      for (;;) {
        const event = held.shift();
        if (event !== undefined) yield event;
        else if (isOver) break;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      if (failure !== undefined) throw failure;
    },
  };
}
